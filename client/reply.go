package client

import (
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Kind is what a node is: "value", "dir", "lock", or "none" for a key that has no node.
type Kind string

// The kinds.
const (
	KindNone  Kind = "none"
	KindValue Kind = "value"
	KindDir   Kind = "dir"
	KindLock  Kind = "lock"
)

// Node is a node of the tree.
type Node struct {
	Name                     string // the last part of its key
	Kind                     Kind
	Value                    []byte
	CreateIndex, UpdateIndex uint64 // log indexes of the entries that made it and changed it last, or anything below it
	Created, Updated         time.Time
	TTL                      time.Duration // what is left of its life; -1: it is permanent
	Children                 int64         // of a directory; only from Stat
	Owner                    string        // a digest, for a temporary node; only from Stat
}

// Reply is the answer to [Client.Do].
type Reply struct{ reply any }

// Nil reports whether the answer was null.
func (r Reply) Nil() bool { return r.reply == nil }

// Int is an answer that is a number, or 0.
func (r Reply) Int() int64 {
	n, err := asInt("", r.reply)
	if err != nil {
		n, _ = strconv.ParseInt(r.Text(), 10, 64) // 0 is what we promise.
	}
	return n
}

// Text is an answer that is a text, or empty.
func (r Reply) Text() string {
	s, _ := r.reply.(string)
	return s
}

// List is the elements of an answer that is an array.
func (r Reply) List() []Reply {
	all, _ := r.reply.([]any)
	list := make([]Reply, len(all))
	for i := range all {
		list[i] = Reply{all[i]}
	}
	return list
}

// Map is the elements of an answer that is a map of texts to something.
func (r Reply) Map() map[string]Reply {
	m := map[string]Reply{}
	for name, v := range asMap(r.reply) {
		m[name] = Reply{v}
	}
	return m
}

func asReply(_ string, reply any) (Reply, error) { return Reply{reply}, nil }

func asOK(op string, reply any) (struct{}, error) {
	if s, ok := reply.(string); ok && s == "OK" {
		return struct{}{}, nil
	}
	return struct{}{}, unexpected(op, reply)
}

func asInt(op string, reply any) (int64, error) {
	if n, ok := reply.(int64); ok {
		return n, nil
	}
	return 0, unexpected(op, reply)
}

func asBool(op string, reply any) (bool, error) {
	n, err := asInt(op, reply)
	return n != 0, err
}

func asBytes(op string, reply any) ([]byte, error) {
	switch v := reply.(type) {
	case nil:
		return nil, &failure{op, ErrRefused, ErrNotFound}
	case string:
		return []byte(v), nil
	}
	return nil, unexpected(op, reply)
}

func asValues(op string, reply any) ([][]byte, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, unexpected(op, reply)
	}
	values := make([][]byte, len(list))
	for i, v := range list {
		if s, ok := v.(string); ok {
			values[i] = []byte(s)
		}
	}
	return values, nil
}

func asResults(op string, reply any) ([]Result, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, unexpected(op, reply)
	}
	results := make([]Result, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case redis.Error:
			results[i].Err = classify(op, true, v)
		case int64:
			results[i].Done = v != 0
		case string:
			results[i].Done = true
		default:
			return nil, unexpected(op, v)
		}
	}
	return results, nil
}

// fields are those of a node in a list, which come without their names in RESP2.
var fields = [...]string{"name", "kind", "value", "create-index", "update-index", "create-ms", "update-ms", "pttl"}

// asMap makes one map of what is a map in RESP3, and in RESP2 an array of names and values.
func asMap(reply any) map[string]any {
	m := map[string]any{}
	switch r := reply.(type) {
	case map[any]any:
		for k, v := range r {
			if name, ok := k.(string); ok {
				m[name] = v
			}
		}
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			if name, ok := r[i].(string); ok {
				m[name] = r[i+1]
			}
		}
	default:
		return nil
	}
	return m
}

func asNode(op string, reply any) (Node, error) {
	if reply == nil {
		return Node{}, &failure{op, ErrRefused, ErrNotFound}
	}
	m := asMap(reply)
	if list, ok := reply.([]any); ok && len(list) == len(fields) {
		for i, v := range list {
			m[fields[i]] = v
		}
	}
	if m == nil {
		return Node{}, unexpected(op, reply)
	}
	text := func(name string) string { s, _ := m[name].(string); return s }
	number := func(name string) int64 { n, _ := m[name].(int64); return n }
	n := Node{
		Name: text("name"), Kind: Kind(text("kind")),
		CreateIndex: uint64(number("create-index")), UpdateIndex: uint64(number("update-index")),
		Created: time.UnixMilli(number("create-ms")), Updated: time.UnixMilli(number("update-ms")),
		TTL: -1, Children: number("children"), Owner: text("owner"),
	}
	if v, ok := m["value"].(string); ok {
		n.Value = []byte(v)
	}
	if ms := number("pttl"); ms >= 0 {
		n.TTL = time.Duration(ms) * time.Millisecond
	}
	return n, nil
}

func asNodes(op string, reply any) ([]Node, error) {
	if reply == nil {
		return nil, &failure{op, ErrRefused, ErrNotFound}
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, unexpected(op, reply)
	}
	nodes := make([]Node, len(list))
	for i := range list {
		var err error
		if nodes[i], err = asNode(op, list[i]); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}
