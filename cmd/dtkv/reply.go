package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds on replies that are read as a whole.
const (
	maxReply = 16 << 20 // bytes of a string
	maxParts = 1 << 16  // elements of an array
	maxDepth = 8
)

// do sends a command and reads its reply: a string, an int64, a []any, or nil.
func (c *client) do(args ...string) (any, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	return c.reply(0)
}

func (c *client) reply(depth int) (any, error) {
	kind, text, err := c.line()
	if err != nil {
		return nil, err
	}
	if kind == '+' {
		return text, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a reply: %q", string(kind)+text)
	case kind == ':':
		return n, nil
	case n == -1 && (kind == '$' || kind == '*'):
		return nil, nil
	case kind == '$' && n >= 0 && n <= maxReply:
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, cut(err)
		}
		return string(b[:n]), nil
	case kind == '*' && n >= 0 && n <= maxParts && depth < maxDepth:
		list := make([]any, 0, min(n, 64))
		for range n {
			one, err := c.reply(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	}
	return nil, fmt.Errorf("not the reply that was expected: %q", string(kind)+text)
}

// record is a map that a node answered, with its values as text.
type record map[string]string

// records reads an array of maps.
func records(reply any) (list []record) {
	all, _ := reply.([]any)
	for _, one := range all {
		list = append(list, recordOf(one))
	}
	return list
}

// recordOf reads a map, which RESP2 has as an array. A list of names is joined by spaces.
func recordOf(reply any) record {
	fields, _ := reply.([]any)
	r := record{}
	for i := 0; i+1 < len(fields); i += 2 {
		r[plain(fields[i])] = plain(fields[i+1])
	}
	return r
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = plain(v[i])
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprint(v)
}

// number is a field as a number, 0 if it is none.
func (r record) number(name string) int64 {
	n, _ := strconv.ParseInt(r[name], 10, 64)
	return n
}

// infoOf reads the fields of INFO.
func infoOf(text string) record {
	r := record{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			r[name] = value
		}
	}
	return r
}

// part is one of the comma-separated parts of a field, as in count=3,p50=10.
func (r record) part(name, part string) int64 {
	for piece := range strings.SplitSeq(r[name], ",") {
		if key, value, ok := strings.Cut(piece, "="); ok && key == part {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}
