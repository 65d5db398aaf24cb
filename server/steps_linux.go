package server

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/resp"
)

// The steps of one connection of a loop. All run on the loop's goroutine.

// welcome goes on with a connection that was given to the loop.
func (l *loop) welcome(c *conn) {
	switch c.at {
	case fresh:
		l.conns[c.fd] = c
		if err := l.register(int(c.fd)); err != nil {
			c.partWith(err)
			l.drop(c)
			return
		}
	case landing:
		l.landing--
		more := c.request != nil // then commands behind it may be there already
		if !l.land(c) || !l.finish(c) {
			return
		}
		if more && c.request == nil && !c.stopped() {
			c.at, c.now = atHome, time.Now()
			if !l.unit(c) {
				return
			}
		}
	}
	c.at = atHome
	switch {
	case c.closing || c.broken || c.stopped() && c.request == nil && c.outlet == nil:
		l.drop(c)
	case c.request != nil || c.sub.Subscriber != nil || c.outlet != nil:
		l.release(c, c.beginUnit)
	default:
		l.turn(c)
	}
}

// land answers a unit whose writes or reads have come to their end. It reports whether the connection is still the loop's.
func (l *loop) land(c *conn) bool {
	switch {
	case c.unit.proposal.N > 0:
		l.arrive(c)
		c.answerWrites(c.landed)
	case c.landed != nil:
		c.failReads(readVerdict(c.landed))
	default:
		l.answered = true
		_ = c.group.Stale(c.lookFunc) // fails when the group has ended, and the rest will learn that
		return l.looked(c)
	}
	c.clearPending()
	return true
}

// turn runs what a socket has sent, as long as the loop may run it.
func (l *loop) turn(c *conn) {
	for c.readable {
		err := c.in.Fill()
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			c.partWith(err)
			l.drop(c)
			return
		}
		c.now = time.Now()
		if !l.unit(c) {
			return // it is somebody else's now
		}
		if c.in.Buffered() > 0 && c.begun.IsZero() {
			c.begun = c.now
		}
	}
}

// readSocket is Read for a connection of a loop: it never waits. A read that does not fill p has emptied the socket, and
// the kernel reports what comes later.
func (c *conn) readSocket(p []byte) (int, error) {
	n, err := unix.Read(int(c.fd), p)
	switch {
	case err != nil:
		if errors.Is(err, unix.EINTR) {
			err = unix.EAGAIN
		}
		c.readable = false
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	c.readable = n == len(p) || c.ended // no event will tell of the end again
	c.account.netIn += uint64(n)
	return n, nil
}

// unit runs the complete commands that were received, or hands the connection over at the first that is not for a loop.
// It reports whether the connection is still the loop's and at home.
func (l *loop) unit(c *conn) bool {
	c.beginUnit()
	u := c.unit
	for {
		argv, ok, err := c.in.Next()
		if err != nil {
			reason := err // a captured variable lives in the heap, and this one only from here
			l.handOver(c, func() { c.settle(); c.refuseProtocol(reason) })
			return false
		}
		if !ok {
			break
		}
		if len(u.pending) >= loopBatch {
			l.release(c, func() { c.command(argv) })
			return false
		}
		if c.txn.open {
			l.handOver(c, func() { c.command(argv) })
			return false
		}
		c.begun = time.Time{}
		c.account.commands++
		cmd, plan, err := c.planner.Prepare(argv, c.settings)
		if cmd != nil {
			c.lastName = cmd
		}
		switch {
		case c.barred(cmd, plan.Kind):
			plan.Kind = 0
			c.refuse(cmd, argv, &plan, resp.ErrNoAuth)
		case err != nil:
			c.refuse(cmd, argv, &plan, c.refusal(cmd, err))
		case c.light(cmd, &plan, argv):
			c.act(cmd, &plan, argv)
		default:
			kept := plan // a captured variable lives in the heap, and this one only from here
			l.handOver(c, func() { c.act(cmd, &kept, argv) })
			return false
		}
		if c.request != nil {
			break // what follows waits for it
		}
	}
	switch {
	case u.proposal.N > 0:
		c.at = landing
		l.writes = append(l.writes, c)
		return false
	case len(u.pending) > 0 && !c.face.reads && !c.group.Current():
		c.at = landing
		l.reads = append(l.reads, c)
		return false
	case len(u.pending) > 0:
		_ = c.readState() // the state was current a moment ago; if it is not any more, the rest waits
		if !l.looked(c) {
			return false
		}
	}
	return l.finish(c)
}

// looked ends the reads of a unit. It reports whether the connection is still the loop's: so many replies that the socket is
// to be written to in between are not for a loop.
func (l *loop) looked(c *conn) bool {
	if c.unit.next < len(c.unit.pending) {
		l.handOver(c, c.flushIfFull)
		return false
	}
	c.clearPending()
	return true
}

// light reports whether a loop may run the plan now, without waiting for anybody and behind what is pending.
func (c *conn) light(cmd *commands.Command, p *commands.Plan, argv [][]byte) bool {
	u := c.unit
	if len(argv) > loopBatch {
		return false
	}
	switch p.Kind {
	case commands.Await:
		if p.Await.Lock == nil {
			return false
		}
		fallthrough
	case commands.Write:
		size := len(u.proposal.Ops)
		for _, arg := range argv {
			size += len(arg)
		}
		return size < maxBatch/2 && (u.proposal.N > 0 || len(u.pending) == 0)
	case commands.Read:
		return u.proposal.N == 0 && !p.Long
	case commands.Local:
		return len(u.pending) == 0 && cmd.Flags.Has(commands.Fast) && !p.Close
	case commands.Select:
		return len(u.pending) == 0 && c.srv.group(int(p.Database)) != nil
	}
	return false
}

// land is how the group tells that a connection's writes are applied, or what became of them.
func (c *conn) land(err error) {
	c.landed = err
	c.loop.post(c)
}

// finish ends a unit in the loop: the replies go out, at once or, when the peer is slow, from a goroutine. It reports
// whether the connection is still the loop's.
func (l *loop) finish(c *conn) bool {
	c.lap()
	c.publish()
	for len(c.out.Buf) > 0 {
		n, err := unix.Write(int(c.fd), c.out.Buf)
		if n > 0 {
			c.account.netOut += uint64(n)
			c.out.Buf = c.out.Buf[:copy(c.out.Buf, c.out.Buf[n:])]
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			l.handOver(c, func() {})
			return false
		}
		if !errors.Is(err, unix.EINTR) {
			c.broken, c.closing = true, true
			break
		}
	}
	c.endUnit()
	if c.closing || c.broken {
		l.drop(c)
		return false
	}
	return true
}

// drop ends a connection.
func (l *loop) drop(c *conn) {
	delete(l.conns, c.fd)
	c.at = visiting // nothing of this round may run it again
	c.close()
}
