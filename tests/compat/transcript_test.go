package compat

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// A transcript is a text file:
//
//	# A comment says which rule the next lines show.
//	> SET k one            a command, with the quoting of redis-cli: "a b\x00", 'a b'
//	< +OK                  a line of its reply; CRLF is implied, what does not print is \xNN, a backslash is \\
//	b> GET k               the same on a second connection, named b
//	b< $3
//	b< one
//
//	b< :2                  without a command before it: a reply that came late, to a ~> of b
//
// Commands that follow one another are sent in one write: a pipeline. These lines need more words:
//
//	>> *1\r\n$4\r\nPING\r\n  bytes as they are, for what is not a proper command
//	~> CLIENT REPLY SKIP     a command that gets no reply
//	< (closed)               after the replies the server closes the connection
//	< ${int}                 {int} stands for any integer, {any} for any text within a line,
//	< {lines}                {lines}, alone on its line, for any number of lines, {role} for the name of a node's role
//
// A line that begins with @ is an instruction. At the head of a file:
//
//	@ redis                  Redis 7.0 must reply the same
//	@ proto 3                every connection says HELLO 3 first
//	@ auto-mkdir             dtkv runs with --auto-mkdir yes
//
// and for the next exchange only:
//
//	@ dtkv                   not for Redis: the command is newer than 7.0, or ours
//	@ only-redis             not for dtkv: how Redis differs, on record
//	@ replies 2              a >> line holds this many commands (1 unless said)
//	@ sorted                 arrays have no order of their own: compare their elements sorted
//	@ alone                  not for a dtkv that follows others (see harness.ThroughFollower): it is about the place of a node
//	@ follower               only for such a one
//	@ soon                   sent again and again until the reply is right, for what takes its time
type transcript struct {
	name      string
	redis     bool
	proto3    bool
	password  bool // the server asks for one
	autoMkdir bool
	lines     []string // the file as it is
	exchanges []exchange
}

// exchange is one write of a connection and what must come back for it.
type exchange struct {
	line    int // number of its first line in the file
	from    int // index of the first expected line in lines; where -rewrite puts what came
	to      int
	conn    string
	send    []byte
	replies int
	want    []string
	closed  bool
	on      string // dtkv or redis: only there
	sorted  bool
	soon    bool
	place   string // alone or follower: only for a dtkv that is that
}

var (
	sendLine = regexp.MustCompile(`^([a-z]?)(~>|>>|>) (.*)$`)
	wantLine = regexp.MustCompile(`^([a-z]?)< ?(.*)$`)
)

func load(path string) (*transcript, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &transcript{name: path, lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}
	return t, t.parse()
}

func (t *transcript) parse() error {
	var marks exchange // what instructions say of the next exchange
	var x *exchange    // the exchange being read
	for i, line := range t.lines {
		where := fmt.Sprintf("%s:%d", t.name, i+1)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			x = nil
		case strings.HasPrefix(line, "@ "):
			x = nil
			if err := t.instruct(line[2:], &marks); err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
		case sendLine.MatchString(line):
			m := sendLine.FindStringSubmatch(line)
			if x == nil || x.conn != m[1] || len(x.want) > 0 || x.closed {
				t.exchanges = append(t.exchanges, marks)
				marks = exchange{}
				x = &t.exchanges[len(t.exchanges)-1]
				x.line, x.conn = i+1, m[1]
			}
			if err := x.add(m[2], m[3]); err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
			x.from, x.to = i+1, i+1
		case wantLine.MatchString(line):
			m := wantLine.FindStringSubmatch(line)
			if x == nil || x.conn != m[1] || x.replies == 0 && m[2] != "(closed)" {
				marks.line, marks.from, marks.conn = i+1, i, m[1]
				marks.replies++
				t.exchanges = append(t.exchanges, marks)
				marks = exchange{}
				x = &t.exchanges[len(t.exchanges)-1]
			}
			if m[2] == "(closed)" {
				x.closed = true
			} else {
				x.want = append(x.want, m[2])
			}
			x.to = i + 1
		default:
			return fmt.Errorf("%s: what is %q?", where, line)
		}
	}
	return nil
}

func (t *transcript) instruct(word string, marks *exchange) error {
	switch word {
	case "redis":
		t.redis = true
	case "proto 3":
		t.proto3 = true
	case "auto-mkdir":
		t.autoMkdir = true
	case "password":
		t.password = true
	case "dtkv":
		marks.on = "dtkv"
	case "only-redis":
		marks.on = "redis"
	case "sorted":
		marks.sorted = true
	case "soon":
		marks.soon = true
	case "alone", "follower":
		marks.place = word
	default:
		n, err := fmt.Sscanf(word, "replies %d", &marks.replies)
		if n != 1 {
			return fmt.Errorf("no such instruction: %q: %w", word, err)
		}
		marks.replies-- // The line itself counts for one.
	}
	return nil
}

func (x *exchange) add(how, what string) error {
	if how == ">>" {
		raw, err := strconv.Unquote(`"` + strings.ReplaceAll(what, `"`, `\"`) + `"`)
		if err != nil {
			return err
		}
		x.send = append(x.send, raw...)
		x.replies++
		return nil
	}
	args, err := words(what)
	if err != nil {
		return err
	}
	x.send = fmt.Appendf(x.send, "*%d\r\n", len(args))
	for _, a := range args {
		x.send = fmt.Appendf(x.send, "$%d\r\n%s\r\n", len(a), a)
	}
	if how == ">" {
		x.replies++
	}
	return nil
}

// words splits a command line as redis-cli does. A word may also say {rep N text}: text N times over.
func words(line string) ([]string, error) {
	var out []string
	for rest := strings.TrimLeft(line, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var word string
		var end int
		switch rest[0] {
		case '"':
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rest, err)
			}
			word, _ = strconv.Unquote(quoted)
			end = len(quoted)
		case '\'':
			close := strings.IndexByte(rest[1:], '\'')
			if close < 0 {
				return nil, fmt.Errorf("%s: no closing quote", rest)
			}
			word, end = rest[1:1+close], close+2
		default:
			end = strings.IndexByte(rest+" ", ' ')
			word = rest[:end]
		}
		if end < len(rest) && rest[end] != ' ' {
			return nil, fmt.Errorf("%s: a quote ends within a word", rest)
		}
		out, rest = append(out, repeat(word)), rest[end:]
	}
	return out, nil
}

var repeated = regexp.MustCompile(`^(.*)\{rep:(\d+):(.+)\}(.*)$`)

// repeat writes out {rep:N:text}, so that a key of 8192 bytes fits on a line.
func repeat(word string) string {
	m := repeated.FindStringSubmatch(word)
	if m == nil {
		return word
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		return word
	}
	return m[1] + strings.Repeat(m[3], n) + m[4]
}
