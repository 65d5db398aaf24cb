package commands

import (
	"errors"
	"slices"
	"strings"
)

// The syntax of a command is written once, as people read it, and parsed into what COMMAND DOCS tells clients:
//
//	key                  an argument
//	NX                   a word to be typed as it is
//	MATCH pattern        an argument behind such a word
//	[ ... ]              may be left out
//	[NX | XX] <YES | NO> one of several
//	key [key ...]        what stands before the brackets, any number of times
//
// argument is one node of the parsed tree.
type argument struct {
	name, kind, token  string // kind is COMMAND DOCS' type: "key", "integer", "pure-token", "oneof", "block" ...
	optional, multiple bool
	inner              []argument // of a oneof or a block
}

// kinds are the types of arguments by name; others are strings.
var kinds = map[string]string{
	"key": "key", "newkey": "key", "source": "key", "destination": "key",
	"pattern":           "pattern",
	"decimal":           "double",
	"unix-time-seconds": "unix-time", "unix-time-milliseconds": "unix-time",
	"seconds": "integer", "milliseconds": "integer", "offset": "integer", "start": "integer", "end": "integer",
	"increment": "integer", "decrement": "integer", "count": "integer", "cursor": "integer", "index": "integer",
	"destination-db": "integer", "numreplicas": "integer", "numlocal": "integer", "timeout": "integer",
	"protover": "integer", "client-id": "integer", "maxage": "integer",
}

// marks are the words of the notation itself.
var marks = []string{"[", "]", "<", ">", "|", "..."}

var errNotation = errors.New("commands: the syntax does not follow its notation")

// parseSyntax reads the notation above.
func parseSyntax(text string) ([]argument, error) {
	for _, mark := range marks {
		text = strings.ReplaceAll(text, mark, " "+mark+" ")
	}
	p := parser{words: strings.Fields(text)}
	args := p.sequence()
	if p.failed || len(p.words) > 0 {
		return nil, errNotation
	}
	return args, nil
}

type parser struct {
	words  []string // what is left
	failed bool
}

// next takes the next word if it is the one wanted.
func (p *parser) next(want string) bool {
	if len(p.words) == 0 || p.words[0] != want {
		return false
	}
	p.words = p.words[1:]
	return true
}

// sequence reads arguments up to what ends them, which it leaves.
func (p *parser) sequence() []argument {
	var args []argument
	for len(p.words) > 0 && !p.failed {
		switch {
		case p.next("["):
			args = p.optional(args)
		case p.next("<"):
			args = append(args, p.group(">"))
		case slices.Contains(marks, p.words[0]):
			return args
		default:
			args = append(args, p.word())
		}
	}
	return args
}

// word reads an argument, or a word to be typed and the argument behind it.
func (p *parser) word() argument {
	word := p.words[0]
	p.words = p.words[1:]
	if !typed(word) {
		kind := kinds[word]
		if kind == "" {
			kind = "string"
		}
		return argument{name: word, kind: kind}
	}
	switch {
	case p.next("<"):
		choice := p.group(">")
		choice.token = word
		return choice
	case len(p.words) > 0 && !typed(p.words[0]) && !slices.Contains(marks, p.words[0]):
		arg := p.word()
		arg.token = word
		return arg
	}
	return argument{name: strings.ToLower(word), kind: "pure-token", token: word}
}

// typed tells words to be typed from names of arguments.
func typed(word string) bool { return word == strings.ToUpper(word) && word != strings.ToLower(word) }

// optional reads what follows a "[": a repetition of the last arguments, or something that may be left out.
func (p *parser) optional(args []argument) []argument {
	start := p.words
	again := p.sequence()
	if p.next("...") {
		n := len(again)
		if !p.next("]") || n == 0 || n > len(args) || render(bare(args[len(args)-n:])) != render(again) {
			p.failed = true
			return args
		}
		if n == 1 {
			args[len(args)-1].multiple = true
			return args
		}
		block := argument{name: again[0].name, kind: "block", multiple: true, inner: again}
		return append(args[:len(args)-n], block)
	}
	p.words = start
	group := p.group("]")
	group.optional = true
	return append(args, group)
}

// bare is args without the words before them, as a repetition names them.
func bare(args []argument) []argument {
	args = slices.Clone(args)
	for i := range args {
		if args[i].kind != "pure-token" {
			args[i].token = ""
		}
	}
	return args
}

// group reads alternatives up to the closing bracket.
func (p *parser) group(end string) argument {
	var choices []argument
	for {
		args := p.sequence()
		switch len(args) {
		case 0:
			p.failed = true
			return argument{}
		case 1:
			choices = append(choices, args[0])
		default:
			choices = append(choices, argument{name: args[0].name, kind: "block", inner: args})
		}
		if p.next(end) {
			break
		}
		if !p.next("|") {
			p.failed = true
			return argument{}
		}
	}
	if len(choices) == 1 {
		return choices[0]
	}
	return argument{name: "choice", kind: "oneof", inner: choices}
}

// render writes arguments in the notation; it undoes parseSyntax.
func render(args []argument) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a.render()
	}
	return strings.Join(words, " ")
}

func (a argument) render() string {
	var text string
	switch a.kind {
	case "pure-token":
		text = a.token
	case "oneof":
		choices := make([]string, len(a.inner))
		for i, c := range a.inner {
			choices[i] = c.render()
		}
		text = strings.Join(choices, " | ")
		if !a.optional || a.token != "" {
			text = "<" + text + ">"
		}
	case "block":
		text = render(a.inner)
	default:
		text = a.name
	}
	again := text
	if a.token != "" && a.kind != "pure-token" {
		text = a.token + " " + text
	}
	if a.multiple {
		text += " [" + again + " ...]"
	}
	if a.optional {
		text = "[" + text + "]"
	}
	return text
}
