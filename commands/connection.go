package commands

import (
	"math"

	"github.com/dtkv/dtkv/resp"
)

var pingCommand = Command{
	Name: "ping", Arity: -1, Flags: Fast | WhileSubscribed,
	Group: "connection", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Answers PONG, or the message it was given",
	Syntax:     "[message]",
	Categories: []string{"connection"},
	Plan:       planPing,
}

func planPing(a *resp.Args, _ Settings) (Plan, error) {
	if !a.More() {
		return local(replyPong)
	}
	message := a.Bytes()
	if a.More() {
		return Plan{}, resp.WrongArity("ping")
	}
	return local(func(w *resp.Writer, s Session) {
		if !pongMessage(w, s, message) {
			w.Bulk(message)
		}
	})
}

func replyPong(w *resp.Writer, s Session) {
	if !pongMessage(w, s, nil) {
		w.Simple("PONG")
	}
}

// pongMessage answers a subscriber of RESP2 in the form of a message, which is all that it understands.
func pongMessage(w *resp.Writer, s Session, message []byte) bool {
	if w.Proto == 3 || !s.Subscribed() {
		return false
	}
	w.Array(2)
	w.BulkString("pong")
	w.Bulk(message)
	return true
}

var echoCommand = Command{
	Name: "echo", Arity: 2, Flags: Loading | Stale | Fast,
	Group: "connection", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Answers the message it was given",
	Syntax:     "message",
	Categories: []string{"connection"},
	Plan:       planEcho,
}

func planEcho(a *resp.Args, _ Settings) (Plan, error) {
	message := a.Bytes()
	return local(func(w *resp.Writer, _ Session) { w.Bulk(message) })
}

var quitCommand = Command{
	Name: "quit", Arity: -1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Unqueued | WhileSubscribed,
	Group: "connection", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Closes the connection after answering OK",
	Categories: []string{"connection"},
	Plan:       planQuit,
}

func planQuit(a *resp.Args, s Settings) (Plan, error) {
	a.Rest() // Redis takes any arguments too
	plan, err := localOK(a, s)
	plan.Close = true
	return plan, err
}

var resetCommand = Command{
	Name: "reset", Arity: 1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Unqueued | WhileSubscribed,
	Group: "connection", Since: "6.2.0", Complexity: "O(1)",
	Summary:    "Makes the connection as good as new: RESP2, database 0, no name, no transaction, no subscriptions, no login, an owner of its own",
	Categories: []string{"connection"},
	Plan:       planReset,
}

func planReset(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) {
		s.Reset()
		w.Proto = 2
		w.Simple("RESET")
	})
}

var selectCommand = Command{
	Name: "select", Arity: 2, Flags: Loading | Stale | Fast,
	Group: "connection", Since: "1.0.0", Complexity: "O(1)",
	Summary:    "Chooses the database of the connection",
	Syntax:     "index",
	Categories: []string{"connection"},
	Differs: "A database is a Raft group: 0 and those that DTKV.GROUP ADD made exist. One that lives on other nodes only is served by " +
		"one of them, through this connection. A transaction cannot turn to another database, nor can a connection while it watches keys.",
	Plan: planSelect,
}

func planSelect(a *resp.Args, _ Settings) (Plan, error) {
	return Plan{Kind: Select, Database: int32(databaseNumber(a))}, nil
}

var errNotInt32 = resp.Errorf("ERR", "value is out of range, value must between %d and %d", math.MinInt32, math.MaxInt32)

// databaseNumber reads an index of a database, which need not exist.
func databaseNumber(a *resp.Args) int64 {
	db := a.Int()
	if db < math.MinInt32 || db > math.MaxInt32 {
		a.Fail(errNotInt32)
	}
	return db
}

var readonlyCommand = Command{
	Name: "readonly", Arity: 1, Flags: Loading | Stale | Fast,
	Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
	Summary:    "Lets the node answer this connection's reads from its own state, which may be stale",
	Categories: []string{"connection"},
	Differs:    "Works outside cluster mode too. The reads of a transaction, and WATCH, are never stale.",
	Plan:       planReadOnly(true),
}

var readwriteCommand = Command{
	Name: "readwrite", Arity: 1, Flags: Loading | Stale | Fast,
	Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
	Summary:    "Makes this connection's reads linearizable again",
	Categories: []string{"connection"},
	Differs:    "Works outside cluster mode too.",
	Plan:       planReadOnly(false),
}

func planReadOnly(on bool) func(*resp.Args, Settings) (Plan, error) {
	return func(*resp.Args, Settings) (Plan, error) {
		return local(func(w *resp.Writer, s Session) {
			s.SetReadOnly(on)
			w.OK()
		})
	}
}

var askingCommand = Command{
	Name: "asking", Arity: 1, Flags: Fast,
	Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
	Summary:    "Answers OK: no key ever moves between nodes",
	Categories: []string{"connection"},
	Differs:    "Works outside cluster mode too, and does nothing.",
	Plan:       localOK,
}
