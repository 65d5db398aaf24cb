package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var getdelCommand = Command{
	Name: "getdel", Arity: 2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access delete",
	Group: "string", Since: "6.2.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Removes a value and answers it, or null",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planGetDel,
}

func planGetDel(a *resp.Args, s Settings) (Plan, error) {
	return write(&fsm.GetDel{Key: a.Bytes(), Owner: s.Owner}, replyValue)
}

var delexCommand = Command{
	Name: "delex", Arity: -2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RM delete",
	Group: "string", Since: "8.4.0", Complexity: "O(L) in the length of the value with a condition",
	Summary:    "Removes a key if its value, or the digest of its value, is or is not the one given; answers 1 or 0",
	Syntax:     "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
	Categories: []string{"string"},
	Differs:    "With a condition a directory is WRONGTYPE; without one it is removed when empty, as by DEL.",
	Plan:       planDelEx,
}

var errDelExCondition = resp.Errorf("ERR", "Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")

func planDelEx(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.RemoveIf{Key: a.Bytes(), Owner: s.Owner}
	if !a.More() {
		return write(op, replyInt)
	}
	if a.Len() != 2 {
		return Plan{}, resp.WrongArity("delex")
	}
	switch a.Keyword() {
	case "IFEQ":
		op.If = fsm.IfEqual
	case "IFNE":
		op.If = fsm.IfNotEqual
	case "IFDEQ":
		op.If = fsm.IfDigestEqual
	case "IFDNE":
		op.If = fsm.IfDigestNotEqual
	default:
		return Plan{}, errDelExCondition
	}
	op.Match = a.Bytes()
	if err := checkDigest(op.If, op.Match); err != nil {
		return Plan{}, err
	}
	return write(op, replyInt)
}

var delifeqCommand = Command{
	Name: "delifeq", Arity: 3, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RM delete",
	Group: "string", Since: "9.0.0", Complexity: "O(L) in the length of the value",
	Summary:    "Removes a key if its value is the one given; answers 1 or 0",
	Syntax:     "key value",
	Categories: []string{"string"},
	Differs:    "It is Valkey's; DELEX key IFEQ value is Redis's word for it.",
	Plan:       planDelIfEq,
}

func planDelIfEq(a *resp.Args, s Settings) (Plan, error) {
	return write(&fsm.RemoveIf{Key: a.Bytes(), If: fsm.IfEqual, Match: a.Bytes(), Owner: s.Owner}, replyInt)
}

var digestCommand = Command{
	Name: "digest", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "string", Since: "8.4.0", Complexity: "O(L) in the length of the value",
	Summary:    "Answers the digest of a value, 16 hexadecimal characters of XXH3-64, or null",
	Syntax:     "key",
	Categories: []string{"string"},
	Plan:       planDigest,
}

func planDigest(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return read(func(w *resp.Writer, v fsm.View) {
		if n, ok := lookupValue(w, v, key); ok {
			w.BulkString(fsm.ValueDigest(n.Value))
		}
	})
}
