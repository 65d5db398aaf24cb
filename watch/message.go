package watch

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/dtkv/dtkv/fsm"
)

// changeJSON returns the message about a changed node.
func changeJSON(r *Record) []byte { return recordJSON(r.What, r) }

func recordJSON(w fsm.What, r *Record) []byte {
	g := glimpse{key: r.Key, node: r.Node, holder: r.Owner, token: r.Token}
	return appendJSON(r.Index, w.String(), &g, r.What == fsm.EventLock, false)
}

// stateJSON returns the message about what a node is at first.
func stateJSON(g *glimpse, index uint64, partial bool) []byte {
	return appendJSON(index, "state", g, g.token != 0, partial)
}

// flushJSON returns the message about a flush to those who watch the key of now, which is what it is afterwards. The root
// stands.
func flushJSON(now *Record, index uint64) []byte {
	now.Index = index
	if now.Key == "" {
		now.Node = rootNode
	}
	return recordJSON(fsm.EventFlush, now)
}

// lostMessage says that something was dropped and that the current state follows.
func lostMessage(t *topic) Message {
	m := Message{Kind: t.kind, Channel: t.name, Payload: lostPayload}
	if t.kind == Pattern {
		m.Pattern = t.name
		m.Channel = string(appendName(nil, fromWatch, t.group.id, ""))
	}
	return m
}

var lostPayload = []byte(`{"event":"lost"}`)

// appendJSON writes a message of a watch channel, see the documentation of the package.
func appendJSON(index uint64, event string, g *glimpse, held, partial bool) []byte {
	kind, value := fsm.None, ""
	if g.node != nil {
		kind, value = g.node.Kind, g.node.Value
	}
	b := make([]byte, 0, 96+len(g.key)+len(value)+len(value)/8)
	b = append(b, `{"index":`...)
	b = strconv.AppendUint(b, index, 10)
	b = append(b, `,"event":"`...)
	b = append(b, event...)
	b, binaryKey := appendText(append(b, `","key":`...), g.key)
	b = append(b, `,"kind":"`...)
	b = append(b, kind.String()...)
	b = append(b, '"')
	if kind == fsm.Value {
		var binary bool
		if b, binary = appendText(append(b, `,"value":`...), value); binary {
			b = append(b, `,"encoding":"base64"`...)
		}
	}
	if binaryKey {
		b = append(b, `,"key_encoding":"base64"`...)
	}
	if kind == fsm.Lock && held {
		b = strconv.AppendUint(append(b, `,"token":`...), g.token, 10)
		b = append(b, `,"owner":"`...)
		b = append(b, g.holder.Digest()...)
		b = append(b, '"')
	}
	if partial {
		b = append(b, `,"partial":true`...)
	}
	return append(b, '}')
}

// appendText appends s as a JSON string: in base64, and binary, unless it is UTF-8.
func appendText(b []byte, s string) (text []byte, binary bool) {
	b = append(b, '"')
	if !utf8.ValidString(s) {
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, '"'), true
	}
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"'), false
}
