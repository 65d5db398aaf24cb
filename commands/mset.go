package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var msetCommand = Command{
	Name: "mset", Arity: -3, Flags: Writes | DenyOOM,
	First: 1, Last: -1, Step: 2, Access: "OW update",
	Group: "string", Since: "1.0.1", Complexity: "O(K log N) for K keys among N",
	Summary:    "Stores several values, all or none",
	Syntax:     "key value [key value ...]",
	Categories: []string{"string"},
	Differs:    "One refused key (WRONGTYPE, NOPARENT, NOTDIR, TEMPNODE) refuses all of them.",
	Plan: func(a *resp.Args, s Settings) (Plan, error) {
		return planSetMany(a, s, "mset", fsm.Always, replyOK)
	},
}

var msetnxCommand = Command{
	Name: "msetnx", Arity: -3, Flags: Writes | DenyOOM,
	First: 1, Last: -1, Step: 2, Access: "OW insert",
	Group: "string", Since: "1.0.1", Complexity: "O(K log N) for K keys among N",
	Summary:    "Stores several values if none of the keys exists; answers 1 or 0",
	Syntax:     "key value [key value ...]",
	Categories: []string{"string"},
	Plan: func(a *resp.Args, s Settings) (Plan, error) {
		return planSetMany(a, s, "msetnx", fsm.IfAbsent, replyInt)
	},
}

func planSetMany(a *resp.Args, s Settings, name string, c fsm.Condition, reply func(*resp.Writer, fsm.Result)) (Plan, error) {
	op := &fsm.SetMany{Pairs: a.Rest(), If: c}
	if len(op.Pairs)%2 != 0 {
		return Plan{}, resp.WrongArity(name)
	}
	return planPairs(op, s, reply)
}

// planPairs plans the storing of pairs once the values are known to be short enough.
func planPairs(op *fsm.SetMany, s Settings, reply func(*resp.Writer, fsm.Result)) (Plan, error) {
	for i := 1; i < len(op.Pairs); i += 2 {
		if err := checkValue(op.Pairs[i], s); err != nil {
			return Plan{}, err
		}
	}
	return write(op, reply)
}
