package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var setCommand = Command{
	Name: "set", Arity: -3, Flags: Writes | DenyOOM,
	First: 1, Last: 1, Step: 1, Access: "RW access update variable_flags",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary: "Stores a value, on a condition if one is given, and may answer the one before",
	Syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] " +
		"[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
	Categories: []string{"string"},
	Differs: "A directory is never overwritten (WRONGTYPE). The parent directory must exist (NOPARENT), unless the server " +
		"runs with auto-mkdir. A temporary node is not overwritten either (TEMPNODE).",
	Plan: planSet,
}

func planSet(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.Set{Key: a.Bytes(), Value: a.Bytes()}
	if err := checkValue(op.Value, s); err != nil {
		return Plan{}, err
	}
	if !a.More() {
		return write(op, replyDone)
	}
	var life lifetime
	for a.More() {
		option := a.Peek()
		switch a.Keyword() {
		case "NX":
			only(a, op, fsm.IfAbsent)
		case "XX":
			only(a, op, fsm.IfPresent)
		case "IFEQ":
			only(a, op, fsm.IfEqual)
		case "IFNE":
			only(a, op, fsm.IfNotEqual)
		case "IFDEQ":
			only(a, op, fsm.IfDigestEqual)
		case "IFDNE":
			only(a, op, fsm.IfDigestNotEqual)
		case "GET":
			op.Get = true
		case "KEEPTTL":
			life.read(a, option, false)
		case "EX", "PX", "EXAT", "PXAT":
			life.read(a, option, true)
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	if err := checkDigest(op.If, op.Match); err != nil && a.Err() == nil {
		return Plan{}, err
	}
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.TTL, err = life.ttl("set", s); err != nil {
		return Plan{}, err
	}
	if op.Get {
		return write(op, replyValue)
	}
	return write(op, replyDone)
}

// only sets the one condition a SET may have, and reads what it compares with.
func only(a *resp.Args, op *fsm.Set, c fsm.Condition) {
	again := op.If == c && c < fsm.IfEqual // NX NX says nothing new
	if op.If != fsm.Always && !again {
		a.Fail(resp.ErrSyntax)
	}
	op.If = c
	if c >= fsm.IfEqual {
		op.Match = a.Bytes()
	}
}

// checkDigest refuses a digest that no value can have.
func checkDigest(c fsm.Condition, match []byte) error {
	if c != fsm.IfDigestEqual && c != fsm.IfDigestNotEqual {
		return nil
	}
	if fsm.CheckDigest(match) != nil {
		return errBadDigest
	}
	return nil
}

var setnxCommand = Command{
	Name: "setnx", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "OW insert",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Stores a value unless the key exists; answers 1 or 0",
	Syntax:     "key value",
	Categories: []string{"string"},
	Differs:    "A directory is WRONGTYPE, not 0.",
	Plan:       planSetNX,
}

func planSetNX(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.Set{Key: a.Bytes(), Value: a.Bytes(), If: fsm.IfAbsent}
	if err := checkValue(op.Value, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyInt)
}

var getsetCommand = Command{
	Name: "getset", Arity: 3, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Stores a value and answers the one before, or null",
	Syntax:     "key value",
	Categories: []string{"string"},
	Plan:       planGetSet,
}

func planGetSet(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.Set{Key: a.Bytes(), Value: a.Bytes(), Get: true}
	if err := checkValue(op.Value, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyValue)
}
