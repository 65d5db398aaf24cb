package commands

import (
	"math/rand/v2"
	"strings"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var keysCommand = Command{
	Name: "keys", Arity: 2, Flags: ReadOnly,
	Group: "generic", Since: "1.0.0", Complexity: "O(N) in the number of keys below the pattern's literal directory",
	Summary:    "Answers the keys of all values that match a pattern",
	Syntax:     "pattern",
	Categories: []string{"keyspace", "dangerous"},
	Differs:    "Values only, not directories. A pattern has at most 1024 bytes. \"a.b.*\" looks at the directory a.b alone.",
	Plan:       planKeys,
}

func planKeys(a *resp.Args, _ Settings) (Plan, error) {
	g, err := compileGlob(a.Bytes(), false)
	if err != nil {
		return Plan{}, err
	}
	plan, err := read(func(w *resp.Writer, v fsm.View) {
		var found []string
		walkMatches(v, g, func(key string) { found = append(found, key) })
		w.Array(len(found))
		for _, key := range found {
			w.BulkString(key)
		}
	})
	plan.Long = true
	return plan, err
}

// walkMatches visits the values whose keys match, and no more of the tree than the pattern's literal beginning leaves.
func walkMatches(v fsm.View, g *glob, fn func(key string)) {
	visit := func(n *fsm.Node) bool {
		if n.Kind == fsm.Value && g.matches(n.Key) {
			fn(n.Key)
		}
		return true
	}
	prefix, whole := g.literal()
	if whole {
		if n, ok := v.Lookup([]byte(prefix)); ok {
			visit(n)
		}
		return
	}
	if dot := strings.LastIndexByte(prefix, fsm.Separator); dot > 0 {
		v.Subtree([]byte(prefix[:dot]), visit)
		return
	}
	v.Ascend(visit)
}

var randomkeyCommand = Command{
	Name: "randomkey", Arity: 1, Flags: ReadOnly,
	Group: "generic", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers the key of a value chosen at random, or null when there is none",
	Categories: []string{"keyspace"},
	Differs:    "Values only, not directories.",
	Plan:       planRandomKey,
}

func planRandomKey(*resp.Args, Settings) (Plan, error) {
	return read(func(w *resp.Writer, v fsm.View) {
		n, ok := v.Random(rand.Uint64())
		if !ok {
			w.Null()
			return
		}
		w.BulkString(n.Key)
	})
}

var dbsizeCommand = Command{
	Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast,
	Group: "server", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Counts the values of the database",
	Categories: []string{"keyspace"},
	Differs:    "Values only, not directories.",
	Plan:       planDBSize,
}

func planDBSize(*resp.Args, Settings) (Plan, error) {
	return read(func(w *resp.Writer, v fsm.View) { w.Int(int64(v.Len())) })
}
