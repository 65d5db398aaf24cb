package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// Settings are the settings of node and connection that a plan may depend on.
type Settings struct {
	MaxValue   int   // longest value in bytes; longer ones are refused before the log sees them
	WallMillis int64 // this node's wall clock, ms since the epoch: what EXPIRETIME counts from, and TIME shows
	Database   int   // the connection's database, for COPY .. DB

	Owner fsm.Owner // whom the connection acts for; see [Connection]
}

// Kind says which road a plan takes. The server's dispatch is a switch over kinds and knows no command by name.
type Kind uint8

const (
	Write       Kind = iota + 1 // Op goes through the log; Answer prints the result
	Read                        // Read runs on a state at least as new as the command
	Local                       // Local needs neither log nor state
	Transaction                 // Txn tells the connection's transaction what to do
	Subscribe                   // Sub says what the connection subscribes to, or no longer
	Await                       // Await says what to wait for; in MULTI it is a Write or a Local and does not wait
	Administer                  // Change, Survey, Groups or Backup is about whole groups, which takes a while; never in MULTI
	Select                      // the connection turns to Database, which need not exist; answered with OK
	WriteAll                    // Op goes through the log of every group: not as one, and so not in MULTI if there are several
)

// Plan is what one command means: data, of few kinds, with the functions that print what came of it.
//
// A plan aliases the arguments it was made from. Whoever keeps it beyond the reader's next Fill (a transaction's queue)
// copies the arguments first and prepares the copy.
type Plan struct {
	Kind  Kind
	Close bool // close the connection once this reply is written

	// Long marks a Read that visits any number of nodes: run it on a frozen copy, outside locks.
	Long bool

	// A Transaction's step, and the keys of TxnWatch.
	Txn   TxnAction
	Watch [][]byte

	// Where a Select turns to.
	Database int32

	// A Subscribe: what to subscribe to.
	Sub Subscription

	// An Await: what the connection waits for. Op or Local is the same without waiting, for MULTI.
	Await Waiting

	// A Write: what goes through the log, and what prints a result without Err; see Answer.
	Op    fsm.Op
	Reply func(w *resp.Writer, r fsm.Result)

	// A Read prints its one reply from a state. Key is what it looks up, if it is a single key: whoever has many such plans
	// may look all of them up ahead.
	Read func(w *resp.Writer, v fsm.View)
	Key  []byte

	// A Local prints its one reply; only CLIENT REPLY OFF and SKIP, and a SHUTDOWN that is obeyed, print none.
	Local func(w *resp.Writer, s Session)

	// An Administer: a change of the members of a group or of the groups, answered with OK; or else what prints them; or else the
	// state of the group is wanted as a backup.
	Change *Change
	Survey func(w *resp.Writer, c Cluster)
	Groups func(w *resp.Writer, g []Group)
	Backup bool

	// describe answers commands that speak of the table itself. The table cannot mention itself (an initialization
	// cycle), so Prepare binds it and makes it a Local.
	describe func(w *resp.Writer, table []Command, container *Command)
}

// Waiting is what an Await plan waits for. One field is set.
type Waiting struct {
	// Lock is to be granted, or its wait to end: Reply then prints a result as of a Write, Found with the token or not. The
	// server sets the Ticket before it proposes.
	Lock *fsm.AcquireLock
	// Streams have something to show, or their time is over: then the reply is a null array.
	Streams *Streams
}

// Hurry makes the plan one that does not wait.
func (p *Plan) Hurry() {
	switch {
	case p.Kind != Await:
	case p.Op != nil:
		p.Kind = Write
	default:
		p.Kind = Local
	}
}

// Answer prints what a Write plan's operation did: a refusal, or the command's own reply.
func (p *Plan) Answer(w *resp.Writer, r fsm.Result) {
	if r.Err != nil {
		w.Error(RefusalError(r.Err))
		return
	}
	p.Reply(w, r)
}

// TxnAction is a step of the connection's transaction. The server owns the queue and the watches:
//
//   - TxnMulti opens a queue and answers OK; in an open one: resp.ErrNestedMulti.
//   - TxnExec runs the queue as one fsm.Txn; resp.ErrExecNoMulti, resp.ErrExecAbort (a queued command was refused), or a null
//     array when a watched key changed.
//   - TxnDiscard drops queue and watches and answers OK; resp.ErrDiscardNoMulti.
//   - TxnWatch remembers the versions of the keys and answers OK; in an open queue: resp.ErrWatchInMulti.
//   - TxnUnwatch forgets the watches and answers OK. Unlike the others it is queued, and then answers OK and does nothing.
//
// In an open queue, commands with the Unqueued flag run at once, commands with NoMulti are refused with [ErrNotInMulti], and
// all others are queued and answered with QUEUED, even those whose arguments are refused: see [Prepare].
type TxnAction uint8

const (
	TxnMulti TxnAction = iota + 1
	TxnExec
	TxnDiscard
	TxnWatch
	TxnUnwatch
)
