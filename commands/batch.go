package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var batchputCommand = Command{
	Name: "dtkv.batchput", Arity: -3, Flags: Writes | DenyOOM | EachKey,
	First: 1, Last: -1, Step: 2, Access: "OW update",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Stores several values in one log entry, each for itself; answers OK or an error for each",
	Syntax:     "key value [key value ...]",
	Categories: []string{"tree", "string"},
	Differs:    "Unlike MSET, a refused key does not keep the others from being stored. A value that is too long does.",
	Plan:       planBatchPut,
}

func planBatchPut(a *resp.Args, s Settings) (Plan, error) {
	pairs := a.Rest()
	if len(pairs)%2 != 0 {
		return Plan{}, resp.WrongArity("dtkv.batchput")
	}
	sets := make([]fsm.Set, len(pairs)/2) // one allocation for all: there may be half a million
	ops := make([]fsm.Op, len(sets))
	for i := range sets {
		sets[i] = fsm.Set{Key: pairs[2*i], Value: pairs[2*i+1]}
		if err := checkValue(sets[i].Value, s); err != nil {
			return Plan{}, err
		}
		ops[i] = &sets[i]
	}
	return write(&fsm.Batch{Ops: ops}, func(w *resp.Writer, r fsm.Result) { replyEach(w, r, replyOK) })
}

var batchremoveCommand = Command{
	Name: "dtkv.batchremove", Arity: -2, Flags: Writes | EachKey,
	First: 1, Last: -1, Step: 1, Access: "RM delete",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Removes several keys in one log entry, each for itself; answers 1, 0 or an error for each",
	Syntax:     "key [key ...]",
	Categories: []string{"tree", "keyspace"},
	Differs:    "Unlike DEL, a refused key does not keep the others from being removed.",
	Plan:       planBatchRemove,
}

func planBatchRemove(a *resp.Args, s Settings) (Plan, error) {
	keys := a.Rest()
	removes := make([]fsm.Remove, len(keys))
	ops := make([]fsm.Op, len(keys))
	for i := range keys {
		removes[i] = fsm.Remove{Keys: keys[i : i+1], Owner: s.Owner}
		ops[i] = &removes[i]
	}
	return write(&fsm.Batch{Ops: ops}, func(w *resp.Writer, r fsm.Result) { replyEach(w, r, replyInt) })
}

func replyEach(w *resp.Writer, r fsm.Result, reply func(*resp.Writer, fsm.Result)) {
	w.Array(len(r.List))
	for _, one := range r.List {
		if one.Err != nil {
			w.Error(RefusalError(one.Err))
			continue
		}
		reply(w, one)
	}
}
