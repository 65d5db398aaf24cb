package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var puttempCommand = Command{
	Name: "dtkv.puttemp", Arity: -4, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "OW update",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Stores a temporary value, which goes after so many milliseconds unless its owner stores it again or prolongs it by " +
		"DTKV.UPDATETTL. NOTOWNER over somebody else's, NOTTEMP over a permanent or expiring node, UNDERTEMP in a temporary directory",
	Syntax:     "key milliseconds value [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree", "string"},
	Plan:       planPutTemp,
}

func planPutTemp(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.PutTemp{Key: a.Bytes()}
	ms := a.Bytes()
	op.Value = a.Bytes()
	op.Owner = ownerOption(a, s)
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.Millis, err = millis("dtkv.puttemp", ms, s); err != nil {
		return Plan{}, err
	}
	if err := checkValue(op.Value, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyOK)
}

var updatettlCommand = Command{
	Name: "dtkv.updatettl", Arity: -3, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW update",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Gives a temporary node so many milliseconds from now on; answers 1, or 0 when it is missing. NOTOWNER unless it is " +
		"one's own, NOTTEMP for other nodes",
	Syntax:     "key milliseconds [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Plan:       planUpdateTTL,
}

func planUpdateTTL(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.UpdateTTL{Key: a.Bytes()}
	ms := a.Bytes()
	op.Owner = ownerOption(a, s)
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.Millis, err = millis("dtkv.updatettl", ms, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyInt)
}

var removeCommand = Command{
	Name: "dtkv.remove", Arity: -2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RM delete",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Removes a value or an empty directory as DEL does, for an owner other than the connection's if one is named; answers " +
		"1 or 0. NOTOWNER for somebody else's temporary node",
	Syntax:     "key [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Plan:       planRemove,
}

func planRemove(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.RemoveOwned{Key: a.Bytes()}
	op.Owner = ownerOption(a, s)
	return write(op, replyInt)
}
