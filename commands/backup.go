package commands

import "github.com/dtkv/dtkv/resp"

var backupCommand = Command{
	Name: "dtkv.backup", Arity: 1, Flags: Admin | NoScript | NoMulti,
	Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the size of the database",
	Summary: "Answers the whole database as it was at one moment, as a backup: an array of strings of at most 64 KiB, the last of " +
		"which is empty. Writes go on meanwhile",
	Differs: "Any node answers, from a copy that holds every write acknowledged before. It is sent at the client's pace; a client that " +
		"takes nothing for 10 seconds is disconnected. An answer without its last string is not a backup. `dtkv backup` " +
		"gathers the databases of a cluster in a file, which `dtkv restore` makes a new cluster of.",
	Plan: func(*resp.Args, Settings) (Plan, error) { return Plan{Kind: Administer, Backup: true}, nil },
}
