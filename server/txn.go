package server

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// Bounds of one connection's transaction.
const (
	maxTxnBytes   = 64 << 20 // bytes of queued arguments, and of watched keys
	maxTxnReplies = 64 << 20 // bytes of replies of EXEC's reads, which are kept until all are known
	argOverhead   = 24       // bytes counted for each argument beside its own, so that empty ones are not free
)

var (
	errTxnTooLarge   = resp.Errorf("ERR", "the transaction holds more than %d MiB", maxTxnBytes>>20)
	errWatchTooMany  = resp.Errorf("ERR", "the watched keys take more than %d MiB", maxTxnBytes>>20)
	errReplyTooLarge = resp.Errorf("ERR", "the replies of this transaction exceed %d MiB; this one was left out", maxTxnReplies>>20)
)

// txn is a connection's transaction: what WATCH and MULTI prepare for EXEC.
type txn struct {
	open    bool // after MULTI
	aborted bool // a queued command was refused; EXEC will be, too
	queue   []commands.Plan
	calls   []*commands.Command // of the queue
	first   [][]byte            // the arguments of the first one
	args    int                 // queued arguments
	bytes   int                 // what they take

	watches    []fsm.Watch
	watchBytes int
}

// transact takes one step of the transaction and answers it.
func (c *conn) transact(p *commands.Plan) {
	t := &c.txn
	switch p.Txn {
	case commands.TxnMulti:
		if t.open {
			c.out.Error(resp.ErrNestedMulti)
			return
		}
		t.open = true
		c.out.OK()
	case commands.TxnExec:
		if !t.open {
			c.out.Error(resp.ErrExecNoMulti)
			return
		}
		whole := *t
		c.txn = txn{}
		if c.sub.Subscriber != nil {
			c.take(maxMessages) // not in the midst of the array
		}
		c.exec(&whole)
	case commands.TxnDiscard:
		if !t.open {
			c.out.Error(resp.ErrDiscardNoMulti)
			return
		}
		c.txn = txn{}
		c.out.OK()
	case commands.TxnWatch:
		if t.open {
			c.out.Error(resp.ErrWatchInMulti)
			return
		}
		c.watch(p.Watch)
	case commands.TxnUnwatch:
		t.watches, t.watchBytes = nil, 0
		c.out.OK()
	}
}

// watch remembers the versions of keys as they are now.
func (c *conn) watch(keys [][]byte) {
	t := &c.txn
	added := make([]fsm.Watch, 0, len(keys))
	size := t.watchBytes
	for _, key := range keys {
		size += len(key) + argOverhead
		added = append(added, fsm.Watch{Key: append([]byte(nil), key...)})
	}
	if size > maxTxnBytes {
		c.out.Error(errWatchTooMany)
		return
	}
	err := c.group.Read(c.srv.ctx, func(v fsm.View) {
		for i := range added {
			added[i].Version = version(v, added[i].Key)
		}
	})
	if err != nil {
		c.out.Error(c.readVerdict(err))
		return
	}
	t.watches, t.watchBytes = append(t.watches, added...), size
	c.out.OK()
}

// version is what WATCH remembers of a key: the log index of its last change, 0 while it is absent.
func version(v fsm.View, key []byte) uint64 {
	if n, ok := v.Lookup(key); ok {
		return n.Updated.Index
	}
	return 0
}

// enqueue takes one command inside MULTI. The arguments are copied, since the queue outlives the read buffer, and the
// plan is made of the copy at once. Who gets the name or the number of arguments wrong is refused, and so is EXEC then;
// what is wrong with the arguments themselves has a plan that says so when EXEC runs it.
func (c *conn) enqueue(argv [][]byte) {
	kept, size := copyArgs(argv)
	cmd, plan, err := c.planner.Prepare(kept, c.settings)
	if cmd != nil {
		c.lastName = cmd
	}
	plan.Hurry() // nobody waits in the midst of a transaction
	t := &c.txn
	switch {
	case plan.Kind == 0:
	case cmd.Flags.Has(commands.Unqueued):
		c.act(cmd, &plan, kept)
		return
	case cmd.Flags.Has(commands.NoMulti):
		err = commands.ErrNotInMulti
	case plan.Kind == commands.Select && int(plan.Database) != c.settings.Database:
		err = errSelectInMulti
	case plan.Kind == commands.WriteAll && c.srv.databases() > 1:
		err = errFlushAllInMulti
	case t.bytes+size > maxTxnBytes:
		err = errTxnTooLarge
	default:
		err = nil // EXEC will print it
	}
	start, bad := c.out.Len(), false
	if err != nil {
		t.aborted, bad = true, true
		t.queue, t.calls, t.first, t.args, t.bytes = nil, nil, nil, 0, 0 // They will not run; later ones are still checked.
		c.out.Error(c.refusal(cmd, err))
	} else {
		if plan.Kind == commands.WriteAll {
			plan.Kind = commands.Write
		}
		if !t.aborted {
			if len(t.queue) == 0 {
				t.first = kept
			}
			t.queue, t.calls = append(t.queue, plan), append(t.calls, cmd)
			t.args, t.bytes = t.args+len(kept), t.bytes+size
		}
		c.out.Simple("QUEUED")
	}
	c.answered(start, numberOf(cmd), bad)
	c.flushIfFull()
}

// refusal is the reply to a command that could not be planned. An EXEC that is refused ends the transaction all the same,
// as in Redis; it is the one command that has to be known by its name, since it has no plan to tell what it is.
func (c *conn) refusal(cmd *commands.Command, err error) error {
	var reply *resp.Error
	if cmd == nil || cmd.Name != "exec" || !errors.As(err, &reply) {
		return err
	}
	c.txn = txn{}
	return resp.Errorf(resp.ErrExecAbort.Prefix, "Transaction discarded because of: %s", reply.Text)
}

// copyArgs copies a command out of the read buffer. size is what it counts for.
func copyArgs(argv [][]byte) (kept [][]byte, size int) {
	for _, a := range argv {
		size += len(a)
	}
	block := make([]byte, 0, size)
	kept = make([][]byte, len(argv))
	for i, a := range argv {
		from := len(block)
		block = append(block, a...)
		kept[i] = block[from:len(block):len(block)]
	}
	return kept, size + argOverhead*len(argv)
}

// exec runs a transaction and answers EXEC.
func (c *conn) exec(t *txn) {
	if t.aborted {
		c.out.Error(resp.ErrExecAbort)
		return
	}
	for _, cmd := range t.calls {
		c.unit.tally.add(cmd, t.first)
	}
	e := &execution{queue: t.queue, calls: t.calls}
	e.out.Proto = c.out.Proto
	writes, reads := 0, 0
	for i := range t.queue {
		switch t.queue[i].Kind {
		case commands.Write:
			writes++
		case commands.Read:
			reads++
			e.long = e.long || t.queue[i].Long
		}
	}
	var results []fsm.Result
	var intact bool
	switch {
	case writes > 0:
		var err error
		if results, intact, err = c.execWrites(e, t, writes); err != nil {
			c.out.Error(err)
			return
		}
	case reads > 0 || len(t.watches) > 0:
		var err error
		if intact, err = c.execReads(e, t); err != nil {
			c.out.Error(c.readVerdict(err))
			return
		}
	default:
		intact = true
	}
	if !intact {
		c.out.NullArray()
		return
	}
	c.printExec(e, results)
}

// execWrites runs the queue as one operation of the log. intact is false when a watched key changed. The error is the reply.
func (c *conn) execWrites(e *execution, t *txn, writes int) (results []fsm.Result, intact bool, err error) {
	op := fsm.Txn{Watches: t.watches, Ops: make([]fsm.Op, 0, writes)}
	for i := range t.queue {
		if t.queue[i].Kind == commands.Write {
			op.Ops = append(op.Ops, t.queue[i].Op)
		}
	}
	// A proposal of its own: after an unknown outcome the group may still write to it.
	p := &replica.Proposal{Ops: op.AppendTo(nil), N: 1, See: func(_, pos int, v fsm.View) { e.see(pos, v) }}
	if err := c.group.Propose(c.srv.ctx, p); err != nil {
		return nil, false, c.writeVerdict(err)
	}
	if e.panicked != nil {
		panic(e.panicked)
	}
	r := p.Results[0]
	if r.Err != nil {
		return nil, false, commands.RefusalError(r.Err)
	}
	return r.List, r.Found, nil
}

// execReads runs a queue without writes, which needs no log entry.
func (c *conn) execReads(e *execution, t *txn) (intact bool, err error) {
	look := func(v fsm.View) {
		for _, w := range t.watches {
			if version(v, w.Key) != w.Version {
				return
			}
		}
		intact = true
		e.see(0, v)
	}
	if e.long || t.args+len(t.watches) > longArgs {
		v, err := c.group.Frozen(c.srv.ctx)
		if err != nil {
			return false, err
		}
		look(v)
	} else if err := c.group.Read(c.srv.ctx, look); err != nil {
		return false, err
	}
	if e.panicked != nil {
		panic(e.panicked)
	}
	return intact, nil
}

// printExec answers EXEC in the order of the queue.
//
// A command that prints nothing (CLIENT REPLY) still is an element of the array, else the client would take the next
// command's reply for it.
func (c *conn) printExec(e *execution, results []fsm.Result) {
	c.out.Array(len(e.queue))
	read, write := 0, 0
	for i := range e.queue {
		p, start := &e.queue[i], c.out.Len()
		switch p.Kind {
		case commands.Write:
			p.Answer(&c.out, results[write])
			write++
		case commands.Read:
			c.out.Raw(e.reply(read))
			read++
		case commands.Local:
			p.Local(&c.out, c)
		case commands.Subscribe:
			c.subscribe(&p.Sub)
			continue
		}
		if c.out.Len() == start {
			c.out.OK()
		}
		if c.out.Buf[start] == '-' {
			c.srv.noteError(c.out.Buf[start:], numberOf(e.calls[i]), false)
		}
	}
}

// execution is one EXEC under way. It reuses no memory of the connection, since the state machine may still be at it
// when Propose has given up on an unknown outcome.
type execution struct {
	queue    []commands.Plan
	calls    []*commands.Command // of the queue
	long     bool                // one of the reads is
	next     int                 // first of queue that has not been passed
	writes   int                 // writes among those passed
	out      resp.Writer
	ends     []int // where each read's reply ends in out
	panicked error
}

// see answers the reads of the queue that come after pos writes. While the queue holds writes, the state machine calls it
// in the midst of applying the transaction: a panic here must not take the node down, so it is kept for the connection.
func (e *execution) see(pos int, v fsm.View) {
	defer func() {
		if p := recover(); p != nil {
			e.panicked = fmt.Errorf("%v\n%s", p, debug.Stack())
		}
	}()
	for ; e.next < len(e.queue); e.next++ {
		switch p := &e.queue[e.next]; p.Kind {
		case commands.Write:
			if e.writes == pos {
				return
			}
			e.writes++
		case commands.Read:
			if e.out.Len() < maxTxnReplies {
				p.Read(&e.out, v)
			} else {
				e.out.Error(errReplyTooLarge)
			}
			e.ends = append(e.ends, e.out.Len())
		}
	}
}

// reply is what the i-th read printed.
func (e *execution) reply(i int) []byte {
	start := 0
	if i > 0 {
		start = e.ends[i-1]
	}
	return e.out.Buf[start:e.ends[i]]
}
