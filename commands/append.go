package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var appendCommand = Command{
	Name: "append", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW insert",
	Group: "string", Since: "2.0.0", Complexity: "O(L) in the length of the result",
	Summary:    "Appends to a value, which is created if missing; answers its length in bytes",
	Syntax:     "key value",
	Categories: []string{"string"},
	Plan:       planAppend,
}

func planAppend(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.Append{Key: a.Bytes(), Value: a.Bytes()}
	if err := checkValue(op.Value, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyInt)
}

var setrangeCommand = Command{
	Name: "setrange", Arity: 4, Flags: Writes | DenyOOM,
	First: 1, Last: 1, Step: 1, Access: "RW update",
	Group: "string", Since: "2.2.0", Complexity: "O(L) in the length of the result",
	Summary:    "Overwrites a value from a position on, zero bytes filling a gap; answers its length in bytes",
	Syntax:     "key offset value",
	Categories: []string{"string"},
	Plan:       planSetRange,
}

func planSetRange(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.SetRange{Key: a.Bytes(), Offset: a.Int(), Value: a.Bytes()}
	if op.Offset < 0 {
		return Plan{}, resp.ErrOffset
	}
	if len(op.Value) > 0 { // an empty value changes nothing, wherever it is put
		end := min(op.Offset, math.MaxInt64-int64(len(op.Value))) + int64(len(op.Value))
		if err := checkLength(end, s); err != nil {
			return Plan{}, err
		}
	}
	return write(op, replyInt)
}
