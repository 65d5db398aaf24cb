package commands

import (
	"strconv"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var scanCommand = Command{
	Name: "scan", Arity: -2, Flags: ReadOnly,
	Group: "generic", Since: "2.8.0", Complexity: "O(COUNT) for a step, O(N) for a whole round",
	Summary:    "Answers some keys and a cursor to go on with; 0 begins a round and ends it",
	Syntax:     "cursor [MATCH pattern] [COUNT count] [TYPE type]",
	Categories: []string{"keyspace"},
	Differs: "Values only, unless TYPE is dir or lock. A key that is there from the beginning to the end of a round is " +
		"returned, whatever node or restart serves the steps; one that never changed is returned once.",
	Plan: planScan,
}

// scanShort is how many nodes a step may visit and still count as a short read.
const scanShort = 1000

func planScan(a *resp.Args, _ Settings) (Plan, error) {
	cursor, err := strconv.ParseUint(a.Text(), 10, 64)
	if err != nil {
		return Plan{}, resp.ErrInvalidCursor
	}
	count, kind := int64(10), fsm.Value
	var match *glob
	for a.More() {
		switch a.Keyword() {
		case "MATCH":
			g, err := compileGlob(a.Bytes(), false)
			a.Fail(err)
			match = g
		case "COUNT":
			count = a.Int()
			if count < 1 {
				a.Fail(resp.ErrSyntax)
			}
		case "TYPE":
			kind = kindOf(a.Bytes())
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	plan, err := read(func(w *resp.Writer, v fsm.View) { scan(w, v, kind, cursor, count, match) })
	plan.Long = count > scanShort
	return plan, err
}

// kindOf reads a type as TYPE prints it. Types that this server does not have are kinds that no node is.
func kindOf(name []byte) fsm.Kind {
	for _, k := range []fsm.Kind{fsm.Value, fsm.Directory, fsm.Lock} {
		if equalFold(name, typeName(k)) {
			return k
		}
	}
	return fsm.None
}

func scan(w *resp.Writer, v fsm.View, kind fsm.Kind, cursor uint64, count int64, match *glob) {
	var found []string
	next := uint64(0)
	if kind != fsm.None {
		next = v.ScanKind(kind, cursor, int(count), func(n *fsm.Node) {
			if match == nil || match.matches(n.Key) {
				found = append(found, n.Key)
			}
		})
	}
	w.Array(2)
	w.BulkString(strconv.FormatUint(next, 10))
	w.Array(len(found))
	for _, key := range found {
		w.BulkString(key)
	}
}
