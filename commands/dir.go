package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var mkdirCommand = Command{
	Name: "dtkv.mkdir", Arity: -2, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "OW insert",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(D log N) for a key of D segments",
	Summary: "Makes a directory, with PARENTS also those above it; answers 1, or 0 when it is there. With PX it is temporary: unless " +
		"its owner makes it again or prolongs it by DTKV.UPDATETTL, it goes after so many milliseconds, with everything in it",
	Syntax:     "key [PX milliseconds [OWNER owner]] [PARENTS]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Plan:       planMkdir,
}

func planMkdir(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.MakeDir{Key: a.Bytes()}
	var px []byte
	owner := s.Owner
	for a.More() {
		switch a.Keyword() {
		case "PARENTS":
			op.Parents = true
		case "PX":
			px = a.Bytes()
		case "OWNER":
			if owner = ownerID(a); px == nil {
				a.Fail(resp.ErrSyntax)
			}
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	if px != nil && a.Err() == nil {
		var err error
		if op.Millis, err = millis("dtkv.mkdir", px, s); err != nil {
			return Plan{}, err
		}
		op.Owner = owner
	}
	return write(op, replyInt)
}

var rmdirCommand = Command{
	Name: "dtkv.rmdir", Arity: -2, Flags: Writes,
	First: 1, Last: 1, Step: 1, Access: "RM delete",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(M log N) for M nodes removed among N",
	Summary:    "Removes an empty directory, with RECURSIVE everything below it too; answers how many nodes went",
	Syntax:     "key [RECURSIVE]",
	Categories: []string{"tree"},
	Differs:    "All or nothing: NOTOWNER, and nothing goes, when somebody else's temporary node or a lock is below it.",
	Plan:       planRmdir,
}

func planRmdir(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.RemoveDir{Key: a.Bytes(), Owner: s.Owner}
	if a.More() {
		if a.Keyword() != "RECURSIVE" {
			return Plan{}, resp.ErrSyntax
		}
		op.Recursive = true
	}
	return write(op, replyInt)
}

var casCommand = Command{
	Name: "dtkv.cas", Arity: 4, Flags: Writes | DenyOOM | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW update delete",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Stores a new value if the present one is the expected one; answers 1 or 0. An empty expected value means " +
		"that the key must be missing, an empty new one removes it",
	Syntax:     "key expected new",
	Categories: []string{"tree", "string"},
	Plan:       planCAS,
}

var errEmptyCAS = resp.Errorf("ERR", "expected and new value cannot both be empty")

func planCAS(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.CompareAndSet{Key: a.Bytes(), Expected: a.Bytes(), New: a.Bytes()}
	if len(op.Expected)+len(op.New) == 0 {
		return Plan{}, errEmptyCAS
	}
	if err := checkValue(op.New, s); err != nil {
		return Plan{}, err
	}
	return write(op, replyInt)
}
