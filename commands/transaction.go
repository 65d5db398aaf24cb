package commands

import "github.com/dtkv/dtkv/resp"

var multiCommand = Command{
	Name: "multi", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Unqueued,
	Group: "transactions", Since: "1.2.0", Complexity: "O(1)",
	Summary:    "Begins to queue commands",
	Categories: []string{"transaction"},
	Plan:       planTxn(TxnMulti),
}

var execCommand = Command{
	Name: "exec", Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog | Unqueued,
	Group: "transactions", Since: "1.2.0", Complexity: "Depends on the commands",
	Summary:    "Runs the queued commands as one, or answers null if a watched key has changed",
	Categories: []string{"transaction"},
	Differs:    "One log entry: all of it is applied on every node, or nothing.",
	Plan:       planTxn(TxnExec),
}

var discardCommand = Command{
	Name: "discard", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Unqueued,
	Group: "transactions", Since: "2.0.0", Complexity: "O(N) in the number of queued commands",
	Summary:    "Forgets the queued commands and the watched keys",
	Categories: []string{"transaction"},
	Plan:       planTxn(TxnDiscard),
}

var watchCommand = Command{
	Name: "watch", Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Unqueued,
	First: 1, Last: -1, Step: 1, Access: "RO",
	Group: "transactions", Since: "2.2.0", Complexity: "O(K log N) for K keys among N",
	Summary:    "Makes the next EXEC depend on the keys: if one has changed by then, nothing is done",
	Syntax:     "key [key ...]",
	Categories: []string{"transaction"},
	Differs:    "A watched directory has changed when anything below it has. A key is compared by version, so a change back counts.",
	Plan:       planWatch,
}

var unwatchCommand = Command{
	Name: "unwatch", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy,
	Group: "transactions", Since: "2.2.0", Complexity: "O(1)",
	Summary:    "Forgets the watched keys",
	Categories: []string{"transaction"},
	Plan:       planTxn(TxnUnwatch),
}

func planTxn(action TxnAction) func(*resp.Args, Settings) (Plan, error) {
	return func(*resp.Args, Settings) (Plan, error) { return Plan{Kind: Transaction, Txn: action}, nil }
}

func planWatch(a *resp.Args, _ Settings) (Plan, error) {
	return Plan{Kind: Transaction, Txn: TxnWatch, Watch: a.Rest()}, nil
}
