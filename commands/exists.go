package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var existsCommand = Command{
	Name: "exists", Arity: -2, Flags: ReadOnly | Fast,
	First: 1, Last: -1, Step: 1, Access: "RO",
	Group: "generic", Since: "1.0.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Counts how many of the keys exist; one given twice counts twice",
	Syntax:     "key [key ...]",
	Categories: []string{"keyspace"},
	Differs:    "Directories count too.",
	Plan:       planExists,
}

var touchCommand = Command{
	Name: "touch", Arity: -2, Flags: ReadOnly | Fast,
	First: 1, Last: -1, Step: 1, Access: "RO",
	Group: "generic", Since: "3.2.1", Complexity: "O(K log N) for K keys among N",
	Summary:    "Counts how many of the keys exist",
	Syntax:     "key [key ...]",
	Categories: []string{"keyspace"},
	Differs:    "Access times are not kept, so this is EXISTS.",
	Plan:       planExists,
}

func planExists(a *resp.Args, _ Settings) (Plan, error) {
	keys := a.Rest()
	return read(func(w *resp.Writer, v fsm.View) {
		n := int64(0)
		for _, key := range keys {
			if _, ok := v.Lookup(key); ok {
				n++
			}
		}
		w.Int(n)
	})
}

var typeCommand = Command{
	Name: "type", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO",
	Group: "generic", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers what a key is: string, dir, lock or none",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Plan:       planType,
}

func planType(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return read(func(w *resp.Writer, v fsm.View) {
		n, ok := v.Lookup(key)
		if !ok {
			w.Simple("none")
			return
		}
		w.Simple(typeName(n.Kind))
	})
}

// typeName is a kind of node as Redis's TYPE would call it.
func typeName(k fsm.Kind) string {
	if k == fsm.Value {
		return "string"
	}
	return k.String()
}
