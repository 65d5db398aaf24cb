package commands

import (
	"bytes"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var renameCommand = Command{
	Name: "rename", Arity: 3, Flags: Writes,
	First: 1, Last: 2, Step: 1, Access: "RW access delete/OW update",
	Group: "generic", Since: "1.0.0", Complexity: "O(log N) for a value; O(M log N) for a directory with M nodes below it",
	Summary:    "Moves a value, or a directory with everything below it",
	Syntax:     "key newkey",
	Categories: []string{"keyspace"},
	Differs: "A directory is neither overwritten nor moved onto another key. What moved has a new create-index. Temporary nodes, " +
		"and directories that hold some or locks, stay where they are (TEMPNODE); so do locks (WRONGTYPE).",
	Plan: planRename,
}

func planRename(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Rename{From: a.Bytes(), To: a.Bytes()}, replyOK)
}

var renamenxCommand = Command{
	Name: "renamenx", Arity: 3, Flags: Writes | Fast,
	First: 1, Last: 2, Step: 1, Access: "RW access delete/OW insert",
	Group: "generic", Since: "1.0.0", Complexity: "O(log N) for a value; O(M log N) for a directory with M nodes below it",
	Summary:    "Moves a key unless the new one exists; answers 1 or 0",
	Syntax:     "key newkey",
	Categories: []string{"keyspace"},
	Plan:       planRenameNX,
}

func planRenameNX(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Rename{From: a.Bytes(), To: a.Bytes(), NX: true}, replyInt)
}

var copyCommand = Command{
	Name: "copy", Arity: -3, Flags: Writes | DenyOOM,
	First: 1, Last: 2, Step: 1, Access: "RO access/OW update",
	Group: "generic", Since: "6.2.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Copies a value, if the destination is free or REPLACE is given; answers 1 or 0",
	Syntax:     "source destination [DB destination-db] [REPLACE]",
	Categories: []string{"keyspace"},
	Differs:    "Values only, and only within one database: DB may name the one the connection has selected.",
	Plan:       planCopy,
}

var errCopyDatabase = resp.Errorf("ERR", "COPY to another database is not supported: no log entry spans two databases")

func planCopy(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.Copy{From: a.Bytes(), To: a.Bytes()}
	db := int64(s.Database)
	for a.More() {
		switch a.Keyword() {
		case "REPLACE":
			op.Replace = true
		case "DB":
			db = databaseNumber(a)
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	switch {
	case a.Err() != nil:
		return Plan{}, a.Err()
	case db < 0:
		return Plan{}, resp.ErrDBIndex
	case db != int64(s.Database):
		return Plan{}, errCopyDatabase
	case bytes.Equal(op.From, op.To):
		return Plan{}, resp.ErrSameObject
	}
	return write(op, replyInt)
}
