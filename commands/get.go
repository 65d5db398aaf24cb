package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var getCommand = Command{
	Name: "get", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers the value of a key, or null",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planGet,
}

func planGet(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return Plan{Kind: Read, Key: key, Read: func(w *resp.Writer, v fsm.View) {
		if n, ok := lookupValue(w, v, key); ok {
			w.BulkString(n.Value)
		}
	}}, nil
}

// lookupValue finds a value. Otherwise it has printed the reply: null for a missing key, a refusal for another kind.
func lookupValue(w *resp.Writer, v fsm.View, key []byte) (*fsm.Node, bool) {
	n, ok := v.Lookup(key)
	switch {
	case !ok:
		w.Null()
	case n.Kind != fsm.Value:
		w.Error(resp.ErrWrongType)
	default:
		return n, true
	}
	return nil, false
}

var mgetCommand = Command{
	Name: "mget", Arity: -2, Flags: ReadOnly | Fast,
	First: 1, Last: -1, Step: 1, Access: "RO access",
	Group: "string", Since: "1.0.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Answers the values of several keys, with null for each that holds none",
	Syntax:     "key [key ...]",
	Categories: []string{"string"},
	Plan:       planMGet,
}

func planMGet(a *resp.Args, _ Settings) (Plan, error) {
	keys := a.Rest()
	return read(func(w *resp.Writer, v fsm.View) {
		w.Array(len(keys))
		for _, key := range keys {
			if n, ok := v.Lookup(key); ok && n.Kind == fsm.Value {
				w.BulkString(n.Value)
			} else {
				w.Null()
			}
		}
	})
}

var strlenCommand = Command{
	Name: "strlen", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO",
	Group: "string", Since: "2.2.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers the length of a value in bytes, 0 for a missing key",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planStrlen,
}

func planStrlen(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return read(func(w *resp.Writer, v fsm.View) {
		value, ok := valueOrEmpty(w, v, key)
		if ok {
			w.Int(int64(len(value)))
		}
	})
}

// valueOrEmpty reads a value, with "" for a missing key. For another kind it has printed the refusal.
func valueOrEmpty(w *resp.Writer, v fsm.View, key []byte) (string, bool) {
	n, ok := v.Lookup(key)
	if !ok {
		return "", true
	}
	if n.Kind != fsm.Value {
		w.Error(resp.ErrWrongType)
		return "", false
	}
	return n.Value, true
}

var getrangeCommand = Command{
	Name: "getrange", Arity: 4, Flags: ReadOnly,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "string", Since: "2.4.0", Complexity: "O(L) in the length of the reply",
	Summary:    "Answers part of a value, both ends included; negative positions count from the end",
	Syntax:     "key start end",
	Categories: []string{"string"},
	Plan:       planGetRange,
}

var substrCommand = Command{
	Name: "substr", Arity: 4, Flags: ReadOnly,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "string", Since: "1.0.0", Complexity: "O(L) in the length of the reply",
	Summary:    "The old name of GETRANGE",
	Syntax:     "key start end",
	Categories: []string{"string"},
	Plan:       planGetRange,
}

func planGetRange(a *resp.Args, _ Settings) (Plan, error) {
	key, start, end := a.Bytes(), a.Int(), a.Int()
	return read(func(w *resp.Writer, v fsm.View) {
		value, ok := valueOrEmpty(w, v, key)
		if ok {
			w.BulkString(slice(value, start, end))
		}
	})
}

// slice cuts by positions of which both are included, and of which negative ones count from the end.
func slice(value string, start, end int64) string {
	n := int64(len(value))
	if start < 0 && end < 0 && start > end {
		return ""
	}
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0) // as in Redis: "abc" from 0 to -9 is "a"
	}
	end = min(end, n-1)
	if start > end {
		return ""
	}
	return value[start : end+1]
}
