package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var incrCommand = Command{
	Name: "incr", Arity: 2, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Adds one to an integer; a missing key counts as 0",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planIncr,
}

func planIncr(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Increment{Key: a.Bytes(), By: 1}, replyInt)
}

var decrCommand = Command{
	Name: "decr", Arity: 2, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Subtracts one from an integer; a missing key counts as 0",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planDecr,
}

func planDecr(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Increment{Key: a.Bytes(), By: -1}, replyInt)
}

var incrbyCommand = Command{
	Name: "incrby", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Adds to an integer; a missing key counts as 0",
	Syntax:     "key increment",
	Categories: []string{"string"},
	Plan:       planIncrBy,
}

func planIncrBy(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Increment{Key: a.Bytes(), By: a.Int()}, replyInt)
}

var decrbyCommand = Command{
	Name: "decrby", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Subtracts from an integer; a missing key counts as 0",
	Syntax:     "key decrement",
	Categories: []string{"string"},
	Plan:       planDecrBy,
}

var errDecrement = resp.Errorf("ERR", "decrement would overflow")

func planDecrBy(a *resp.Args, _ Settings) (Plan, error) {
	key, by := a.Bytes(), a.Int()
	if by == math.MinInt64 {
		return Plan{}, errDecrement // it has no negative
	}
	return write(&fsm.Increment{Key: key, By: -by}, replyInt)
}

var incrbyfloatCommand = Command{
	Name: "incrbyfloat", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "2.6.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Adds to a decimal number; a missing key counts as 0",
	Syntax:     "key decimal",
	Categories: []string{"string"},
	Plan:       planIncrByFloat,
}

func planIncrByFloat(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.IncrementFloat{Key: a.Bytes(), By: a.Text()}, replySum)
}

func replySum(w *resp.Writer, r fsm.Result) { w.BulkString(r.Value) }
