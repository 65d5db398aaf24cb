package commands

import (
	"encoding/hex"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var listCommand = Command{
	Name: "dtkv.list", Arity: -2, Flags: ReadOnly | RootKey,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(C) in the number of children listed",
	Summary: "Answers a directory's children in the order of their names, as arrays (RESP3: maps) of name, kind, value, " +
		"create-index, update-index, create-ms, update-ms and pttl; null when it is missing. The empty key is the root",
	Syntax:     "key [AFTER name] [LIMIT count] [NOVALUES]",
	Categories: []string{"tree"},
	Plan:       planList,
}

// listShort is how many children a listing may have and still count as a short read.
const listShort = 1000

// list is what DTKV.LIST asks for.
type list struct {
	key    []byte
	after  []byte // children up to this name are left out
	limit  int64  // 0: no limit
	values bool
}

func planList(a *resp.Args, _ Settings) (Plan, error) {
	l := list{key: a.Bytes(), values: true}
	for a.More() {
		switch a.Keyword() {
		case "AFTER":
			l.after = a.Bytes()
		case "LIMIT":
			if l.limit = a.Int(); l.limit < 1 {
				a.Fail(resp.ErrNotPositive)
			}
		case "NOVALUES":
			l.values = false
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	plan, err := read(l.print)
	plan.Long = l.limit == 0 || l.limit > listShort
	return plan, err
}

func (l *list) print(w *resp.Writer, v fsm.View) {
	dir, ok := v.Lookup(l.key)
	if !ok {
		w.NullArray()
		return
	}
	if dir.Kind != fsm.Directory {
		w.Error(resp.Errorf("NOTDIR", "'%s' is not a directory", l.key))
		return
	}
	var found []*fsm.Node
	v.Children(l.key, l.after, func(_ string, n *fsm.Node) bool {
		found = append(found, n)
		return l.limit == 0 || int64(len(found)) < l.limit
	})
	w.Array(len(found))
	for _, n := range found {
		if w.Proto == 3 {
			w.Map(nodeFields)
			printNode(w, v, n, l.values, true)
		} else {
			w.Array(nodeFields)
			printNode(w, v, n, l.values, false)
		}
	}
}

// nodeFields is how many fields printNode prints.
const nodeFields = 8

// printNode prints what a node is, each field with its name or all without.
func printNode(w *resp.Writer, v fsm.View, n *fsm.Node, values, named bool) {
	label := func(name string) {
		if named {
			w.BulkString(name)
		}
	}
	label("name")
	w.BulkString(n.Name())
	label("kind")
	w.BulkString(n.Kind.String())
	label("value")
	if values && n.Kind == fsm.Value {
		w.BulkString(n.Value)
	} else {
		w.Null()
	}
	label("create-index")
	w.Int(int64(n.Created.Index))
	label("update-index")
	w.Int(int64(n.Updated.Index))
	label("create-ms")
	w.Int(n.Created.Millis)
	label("update-ms")
	w.Int(n.Updated.Millis)
	label("pttl")
	w.Int(remaining(v, n))
}

var statCommand = Command{
	Name: "dtkv.stat", Arity: 2, Flags: ReadOnly | Fast | RootKey,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Answers a map of what DTKV.LIST tells about a node, its number of children and a digest of its owner; null " +
		"when it is missing. The empty key is the root",
	Syntax:     "key",
	Categories: []string{"tree"},
	Plan:       planStat,
}

func planStat(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return read(func(w *resp.Writer, v fsm.View) {
		n, ok := v.Lookup(key)
		if !ok {
			w.NullArray()
			return
		}
		w.Map(nodeFields + 2)
		printNode(w, v, n, true, true)
		w.BulkString("children")
		w.Int(int64(n.Children()))
		w.BulkString("owner")
		if owner := ownerOfNode(n); owner != (fsm.Owner{}) {
			w.BulkString(owner.Digest())
		} else {
			w.Null()
		}
	})
}

// ownerOfNode is whose a temporary node is, or who holds a lock; zero for other nodes.
func ownerOfNode(n *fsm.Node) fsm.Owner {
	if queue := n.Lock(); queue != nil {
		holder, _ := queue.Holder()
		return holder.Owner
	}
	return n.Owner()
}

var indexCommand = Command{
	Name: "dtkv.index", Arity: -1, Flags: ReadOnly | Fast,
	Group: "dtkv", Since: "0.1.0", Complexity: "O(1); with DIGEST O(N) in the number of nodes and the bytes in them",
	Summary: "Answers a map of the applied log index and the leader's term; with DIGEST also the SHA-256 of the whole state there, " +
		"which is the same at all nodes of a cluster",
	Syntax:     "[DIGEST]",
	Categories: []string{"tree"},
	Plan:       planIndex,
}

func planIndex(a *resp.Args, _ Settings) (Plan, error) {
	digest := a.More()
	if digest && a.Keyword() != "DIGEST" || a.More() {
		return Plan{}, resp.ErrSyntax
	}
	plan, err := read(func(w *resp.Writer, v fsm.View) {
		fields := 2
		if digest {
			fields++
		}
		w.Map(fields)
		w.BulkString("index")
		w.Int(int64(v.Index()))
		w.BulkString("term")
		w.Int(int64(v.LeaderTerm()))
		if digest {
			w.BulkString("digest")
			sum := v.Digest()
			w.BulkString(hex.EncodeToString(sum[:]))
		}
	})
	plan.Long = digest
	return plan, err
}
