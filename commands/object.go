package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var objectCommand = Command{
	Name: "object", Arity: -2,
	Group: "generic", Since: "2.2.3", Complexity: "O(log N) in the number of keys",
	Summary: "A container of commands that look at how a key is kept",
	Sub: []Command{
		{
			Name: "object|encoding", Arity: 3, Flags: ReadOnly,
			First: 2, Last: 2, Step: 1, Access: "RO",
			Group: "generic", Since: "2.2.3", Complexity: "O(log N) in the number of keys",
			Summary:    "Answers int, embstr or raw as Redis would keep the value, dir or lock for those, or null",
			Syntax:     "key",
			Categories: []string{"keyspace"},
			Plan:       planObject(func(w *resp.Writer, n *fsm.Node) { w.BulkString(encoding(n)) }),
		},
		{
			Name: "object|idletime", Arity: 3, Flags: ReadOnly,
			First: 2, Last: 2, Step: 1, Access: "RO",
			Group: "generic", Since: "2.2.3", Complexity: "O(log N) in the number of keys",
			Summary:    "Answers 0 for a key that exists, or null",
			Syntax:     "key",
			Categories: []string{"keyspace"},
			Differs:    "Access times are not kept.",
			Plan:       planObject(func(w *resp.Writer, _ *fsm.Node) { w.Int(0) }),
		},
		{
			Name: "object|refcount", Arity: 3, Flags: ReadOnly,
			First: 2, Last: 2, Step: 1, Access: "RO",
			Group: "generic", Since: "2.2.3", Complexity: "O(log N) in the number of keys",
			Summary:    "Answers 1 for a key that exists, or null",
			Syntax:     "key",
			Categories: []string{"keyspace"},
			Plan:       planObject(func(w *resp.Writer, _ *fsm.Node) { w.Int(1) }),
		},
		helpOf("object", "generic", "6.2.0", "keyspace"),
	},
}

// planObject plans a look at one node, with null for a missing one.
func planObject(print func(*resp.Writer, *fsm.Node)) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, _ Settings) (Plan, error) {
		key := a.Bytes()
		return read(func(w *resp.Writer, v fsm.View) {
			n, ok := v.Lookup(key)
			if !ok {
				w.Null()
				return
			}
			print(w, n)
		})
	}
}

// embedded is the longest value in bytes that Redis keeps beside its header and calls embstr.
const embedded = 44

func encoding(n *fsm.Node) string {
	if n.Kind != fsm.Value {
		return n.Kind.String()
	}
	if _, ok := resp.ParseInt([]byte(n.Value)); ok {
		return "int"
	}
	if len(n.Value) <= embedded {
		return "embstr"
	}
	return "raw"
}

var memoryCommand = Command{
	Name: "memory", Arity: -2,
	Group: "server", Since: "4.0.0", Complexity: "O(log N) in the number of keys",
	Summary: "A container of commands that look at memory",
	Sub: []Command{
		{
			Name: "memory|usage", Arity: -3, Flags: ReadOnly,
			First: 2, Last: 2, Step: 1, Access: "RO",
			Group: "server", Since: "4.0.0", Complexity: "O(log N) in the number of keys",
			Summary: "Estimates the bytes a key takes, or answers null",
			Syntax:  "key [SAMPLES count]",
			Differs: "SAMPLES changes nothing: a directory's children are not counted.",
			Plan:    planMemoryUsage,
		},
		helpOf("memory", "server", "4.0.0"),
	},
}

// nodeOverhead is what a node takes beside its key and value: its own fields and its places in two ordered indexes, in
// bytes. It was measured on the heap of a state of 300 000 values, and rounded.
const nodeOverhead = 192

func planMemoryUsage(a *resp.Args, s Settings) (Plan, error) {
	key := a.Bytes()
	for a.More() {
		if a.Keyword() != "SAMPLES" {
			return Plan{}, resp.ErrSyntax
		}
		if n := a.Int(); n < 0 || n > math.MaxInt32 {
			a.Fail(resp.ErrSyntax)
		}
	}
	return read(func(w *resp.Writer, v fsm.View) {
		n, ok := v.Lookup(key)
		if !ok {
			w.Null()
			return
		}
		w.Int(int64(nodeOverhead + len(n.Key) + len(n.Value)))
	})
}
