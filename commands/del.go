package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var delCommand = Command{
	Name: "del", Arity: -2, Flags: Writes,
	First: 1, Last: -1, Step: 1, Access: "RM delete",
	Group: "generic", Since: "1.0.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Removes values and empty directories, all or none, and answers how many there were",
	Syntax:     "key [key ...]",
	Categories: []string{"keyspace"},
	Differs: "A directory with children refuses the whole command with NOTEMPTY; DTKV.RMDIR removes it. " +
		"So does somebody else's temporary node with NOTOWNER, and a lock with WRONGTYPE: DTKV.UNLOCK ends it.",
	Plan: planDel,
}

var unlinkCommand = Command{
	Name: "unlink", Arity: -2, Flags: Writes | Fast,
	First: 1, Last: -1, Step: 1, Access: "RM delete",
	Group: "generic", Since: "4.0.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Removes keys as DEL does",
	Syntax:     "key [key ...]",
	Categories: []string{"keyspace"},
	Differs:    "Another name of DEL.",
	Plan:       planDel,
}

func planDel(a *resp.Args, s Settings) (Plan, error) {
	return write(&fsm.Remove{Keys: a.Rest(), Owner: s.Owner}, replyInt)
}

var flushdbCommand = Command{
	Name: "flushdb", Arity: -1, Flags: Writes,
	Group: "server", Since: "1.0.0", Complexity: "O(N) in the number of keys",
	Summary:    "Removes every key of the database",
	Syntax:     "[ASYNC | SYNC]",
	Categories: []string{"keyspace", "dangerous"},
	Differs:    "ASYNC and SYNC are the same.",
	Plan:       planFlush,
}

var flushallCommand = Command{
	Name: "flushall", Arity: -1, Flags: Writes,
	Group: "server", Since: "1.0.0", Complexity: "O(N) in the number of keys",
	Summary:    "Removes every key of every database",
	Syntax:     "[ASYNC | SYNC]",
	Categories: []string{"keyspace", "dangerous"},
	Differs: "One database after the other, and not in a transaction unless there is only one: no log entry spans two. INDOUBT says " +
		"that some may have been emptied and others not. ASYNC and SYNC are the same.",
	Plan: planFlushAll,
}

func planFlush(a *resp.Args, _ Settings) (Plan, error) {
	if a.More() {
		switch a.Keyword() {
		case "ASYNC", "SYNC":
		default:
			return Plan{}, resp.ErrSyntax
		}
	}
	return write(&fsm.Flush{}, replyOK)
}

func planFlushAll(a *resp.Args, s Settings) (Plan, error) {
	plan, err := planFlush(a, s)
	plan.Kind = WriteAll
	return plan, err
}
