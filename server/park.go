package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
	"github.com/dtkv/dtkv/watch"
)

const (
	parkedBytes = 1 << 20               // received behind a command that waits; the rest stays in the socket
	fullPause   = 25 * time.Millisecond // between two looks at a peer that has sent so much
	leavePause  = 20 * time.Millisecond // before a place in a queue is given up again, doubled up to..
	leaveRest   = time.Second           // ..this
	leaveTime   = 2 * time.Minute       // for so long
)

// request is a command that waits: for a lock to be granted, or for streams to show something. While there is one, no
// further command of its connection is run.
type request struct {
	group  group
	cmd    *commands.Command
	parked bool             // it waits for an event; before, for the log
	cancel func()           // takes back what the hub was asked
	bell   chan watch.Grant // of one place: the hub has news

	op    fsm.AcquireLock                // of a lock
	reply func(*resp.Writer, fsm.Result) // the same

	streams *commands.Streams // nil of a lock
	until   time.Time         // when streams have waited long enough; zero: never
}

// ring is called by the hub when it has news.
func (r *request) ring(c *conn, g watch.Grant) {
	select {
	case r.bell <- g:
	default: // it will look anyway
	}
	c.wake()
}

// await begins a command that waits.
func (c *conn) await(cmd *commands.Command, p *commands.Plan, argv [][]byte) {
	if p.Await.Streams != nil {
		c.begin(cmd, argv)
		c.awaitStreams(cmd, p.Await.Streams)
		c.lap()
		return
	}
	if c.unit.proposal.N == 0 {
		c.settle() // reads
	}
	r := &request{group: c.group, cmd: cmd, bell: make(chan watch.Grant, 1), reply: p.Reply}
	r.op = *p.Await.Lock
	r.op.Key = bytes.Clone(r.op.Key) // the reader goes on while it waits
	r.op.Ticket = fsm.Ticket{Process: c.group.Origin(), Number: c.srv.tickets.Add(1)}
	c.request = r
	c.listen() // before the grant can come
	plan := commands.Plan{Kind: commands.Write, Op: &r.op, Reply: func(w *resp.Writer, res fsm.Result) {
		if r.parked = !res.Found && res.Int > 0; !r.parked {
			r.reply(w, res)
		}
	}}
	c.addWrite(cmd, &plan, argv)
}

// listen has the hub tell of what the request in hand waits for.
func (c *conn) listen() {
	r, db := c.request, c.settings.Database
	if r.streams == nil {
		cancel := c.srv.hub.Park(db, string(r.op.Key), r.op.Owner, r.op.Ticket, func(g watch.Grant) { r.ring(c, g) })
		r.cancel = func() { cancel() }
		return
	}
	var cancels []func()
	r.streams.Each(func(path string, after commands.EventID) {
		cancels = append(cancels, c.srv.hub.Wait(db, path, watch.ID(after), func() { r.ring(c, watch.Grant{}) }))
	})
	r.cancel = func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
}

// concludeUnlessParked ends the request in hand if the log has answered it. It runs once its results are printed.
func (c *conn) concludeUnlessParked() {
	if !c.request.parked {
		c.conclude()
	}
}

// conclude ends the request in hand, which has been answered.
func (c *conn) conclude() {
	c.request.cancel()
	c.request = nil
}

func (c *conn) awaitStreams(cmd *commands.Command, s *commands.Streams) {
	start := c.out.Len()
	if s.Print(&c.out, c) {
		c.printed(start, cmd)
		c.flushIfFull()
		return
	}
	s.Keep()
	c.request = &request{group: c.group, cmd: cmd, parked: true, bell: make(chan watch.Grant, 1), streams: s}
	if s.Millis > 0 {
		c.request.until = time.Now().Add(time.Duration(s.Millis) * time.Millisecond)
	}
	c.listen()
}

// proceed reports whether the unit may go on: not while a request waits. In a loop, it cannot wait here: the connection
// leaves it first.
func (c *conn) proceed() bool {
	if c.request == nil {
		return c.outlet == nil || c.proceedElsewhere()
	}
	c.settle()
	if c.request == nil {
		return true
	}
	if c.loop != nil {
		return false
	}
	c.lap()
	c.park()
	c.unit.tally.since = time.Now()
	return !c.closing
}

// proceedElsewhere is proceed for a connection that has to be relayed.
func (c *conn) proceedElsewhere() bool {
	if c.loop != nil {
		return false
	}
	c.waited = true
	c.relay()
	return !c.closing
}

// park waits until the request in hand has its answer, which it prints. What the peer sends meanwhile waits in the buffer,
// or in the socket when it is much. When the peer is gone, the connection ends, and gives up its place.
func (c *conn) park() {
	c.waited = true
	c.publish()
	c.flush()
	for c.request != nil && !c.closing {
		select {
		case g := <-c.request.bell:
			c.hear(g)
			continue
		default:
		}
		switch {
		case c.orphaned.Load():
			c.answer(func() { c.out.Error(c.gone()) })
			c.closing = true
		case c.killed.Load():
			c.closing = true
		case c.srv.draining.Load():
			c.answer(func() { c.out.Error(c.request.stopping()) })
			c.closing = true
		case !c.request.until.IsZero() && !time.Now().Before(c.request.until):
			c.answer(c.out.NullArray)
		default:
			c.idle()
		}
	}
}

// answer prints the answer of the request in hand and ends it.
func (c *conn) answer(print func()) {
	start := c.out.Len()
	print()
	c.printed(start, c.request.cmd)
	c.conclude()
}

// stopping is what a node that stops can say: a read was not run; a place in the queue of a lock is in the log, and may
// become a grant at any time.
func (r *request) stopping() error {
	if r.streams != nil {
		return readVerdict(replica.ErrClosed)
	}
	return &resp.Error{Prefix: "INDOUBT", Text: "this node is stopping; the owner keeps its place in the queue if it asks again soon"}
}

// idle waits for the peer or the hub.
func (c *conn) idle() {
	if c.in.Buffered() >= parkedBytes {
		time.Sleep(fullPause)
		if _, gone := peek(c.sock); gone {
			c.closing = true
		}
		return
	}
	c.armRead(c.request.until)
	if len(c.request.bell) > 0 || c.stopped() { // Asked after arming: a wake that came before would have been overwritten.
		return
	}
	if c.sub.Subscriber != nil && c.woken.Swap(false) {
		c.woken.Store(!c.take(maxMessages))
		c.flush()
		c.closing = c.broken || c.sub.Err() != nil
		return
	}
	if err := c.in.Fill(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.partWith(err)
		c.closing = true
	}
}

// hear takes the news of the request in hand.
func (c *conn) hear(g watch.Grant) {
	r := c.request
	if r.streams != nil {
		c.hearStreams()
		return
	}
	if g.Outcome == watch.Unknown || g.Outcome == watch.Flushed {
		var err error
		if g, err = c.lookForGrant(g.Outcome); err != nil {
			verdict := inDoubt // it may have its place still; to ask again is safe
			if errors.Is(err, replica.ErrClosed) {
				verdict = c.writeVerdict(err)
			}
			c.answer(func() { c.out.Error(verdict) })
			return
		}
	}
	switch g.Outcome {
	case watch.Granted:
		if _, gone := peek(c.sock); gone {
			c.closing = true // and gives back what it was granted
			return
		}
		c.answer(func() { r.reply(&c.out, fsm.Result{Found: true, Int: int64(g.Token)}) })
	case watch.GaveUp:
		c.answer(func() { r.reply(&c.out, fsm.Result{}) })
	}
}

func (c *conn) hearStreams() {
	c.request.cancel()
	start := c.out.Len()
	if c.request.streams.Print(&c.out, c) {
		c.printed(start, c.request.cmd)
		c.conclude()
		return
	}
	c.listen()
}

// errUnseen is for a request that has left its queue while the hub did not look.
var errUnseen = errors.New("it may have been granted and ended meanwhile")

// lookForGrant finds out from the state what became of a request that the hub lost sight of. It goes by the owner: who has
// asked again elsewhere gets the same answer here.
func (c *conn) lookForGrant(why watch.Outcome) (g watch.Grant, err error) {
	c.request.cancel()
	c.listen() // before looking: nothing can come between
	r := c.request
	err = r.group.Read(c.srv.ctx, func(v fsm.View) {
		g = watch.Grant{Outcome: watch.GaveUp}
		n, ok := v.Lookup(r.op.Key)
		if !ok || n.Lock() == nil {
			return
		}
		queue := n.Lock()
		if holder, _ := queue.Holder(); holder.Owner == r.op.Owner {
			g = watch.Grant{Outcome: watch.Granted, Token: queue.Token()}
		} else if _, waits := queue.Lookup(r.op.Owner); waits {
			g = watch.Grant{} // and so do we
		}
	})
	if err == nil && g.Outcome == watch.GaveUp && why != watch.Flushed {
		err = errUnseen // null would say that it was not
	}
	return g, err
}

// abandon gives up what the connection waits for, as it ends. It reports whether that takes time: then the connection
// ends once it is done.
func (c *conn) abandon() bool {
	r := c.request
	if r == nil {
		return false
	}
	c.conclude()
	if r.streams != nil || !r.parked || c.srv.draining.Load() { // a node that stops leaves its clients their places
		return false
	}
	go func() {
		c.srv.leaveLock(r)
		c.close()
	}()
	return true
}

// leaveLock gives up the place of a request in its queue, or the lock if it was granted meanwhile. While there is no leader
// it tries again: to leave twice is to leave once.
func (s *Server) leaveLock(r *request) {
	ctx, cancel := context.WithTimeout(s.ctx, leaveTime)
	defer cancel()
	op := fsm.LeaveLock{Key: r.op.Key, Owner: r.op.Owner, Ticket: r.op.Ticket}
	for pause := leavePause; ; pause = min(2*pause, leaveRest) {
		err := r.group.Propose(ctx, &replica.Proposal{Ops: op.AppendTo(nil), N: 1})
		if err == nil || errors.Is(err, replica.ErrClosed) || s.draining.Load() {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			s.log.Warn("the place of a client that is gone could not be given up; it goes by itself when its time is over", "error", err)
			return
		}
	}
}
