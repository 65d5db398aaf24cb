package compat

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// show prints the bytes of replies as the lines of a transcript.
func show(raw string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSuffix(raw, "\r\n"), "\r\n") {
		var b strings.Builder
		for i := range len(line) {
			switch c := line[i]; {
			case c == '\\':
				b.WriteString(`\\`)
			case c < 0x20 || c == 0x7f || c >= 0x80, c == ' ' && i == len(line)-1: // Editors eat a space at the end.
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		out = append(out, b.String())
	}
	return out
}

var wild = regexp.MustCompile(`\\\{(int|any|rep:\d+:.+?)\\\}`)

// roles are what HELLO calls the places of nodes.
var roles = map[string]string{"alone": "$6\nmaster\n", "follower": "$7\nreplica\n"}

// same reports whether reply lines are what a transcript wants, its wildcards understood.
func same(want, got []string) bool {
	if slices.Equal(want, got) {
		return true
	}
	var pattern strings.Builder
	for _, line := range want {
		if line == "{lines}" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		if line == "{role}" {
			pattern.WriteString(regexp.QuoteMeta(roles[place("dtkv")]))
			continue
		}
		pattern.WriteString(wild.ReplaceAllStringFunc(regexp.QuoteMeta(line), func(w string) string {
			switch name := strings.TrimSuffix(strings.TrimPrefix(w, `\{`), `\}`); name {
			case "int":
				return `-?\d+`
			case "any":
				return `.*`
			default: // rep:N:text
				return regexp.QuoteMeta(repeat("{" + name + "}"))
			}
		}) + `\n`)
	}
	ok, err := regexp.MatchString(`^`+pattern.String()+`$`, strings.Join(got, "\n")+"\n")
	return err == nil && ok
}

// sortArrays puts the elements of every array of a reply into the order of their bytes, innermost first. Only arrays of
// scalars are reordered, so that SCAN's cursor stays in front of its keys.
func sortArrays(raw string) string {
	out, rest := sortOne(raw)
	for rest != "" {
		var one string
		one, rest = sortOne(rest)
		out += one
	}
	return out
}

func sortOne(raw string) (one, rest string) {
	head, rest, _ := strings.Cut(raw, "\r\n")
	head += "\r\n"
	n, err := strconv.Atoi(strings.Trim(head, "$*~%=\r\n"))
	switch {
	case err != nil || n < 0:
		return head, rest
	case head[0] == '$' || head[0] == '=':
		return head + rest[:n+2], rest[n+2:]
	case head[0] != '*' && head[0] != '~':
		return head, rest
	}
	elements := make([]string, 0, n)
	nested := false
	for range n {
		nested = nested || strings.HasPrefix(rest, "*") || strings.HasPrefix(rest, "~")
		var e string
		e, rest = sortOne(rest)
		elements = append(elements, e)
	}
	if !nested {
		slices.Sort(elements)
	}
	return head + strings.Join(elements, ""), rest
}
