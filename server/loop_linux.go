package server

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// loop serves many connections from one goroutine, as Redis does: it asks the kernel which sockets have bytes, runs what
// each has sent, proposes the writes of all of them together, and writes the replies. A goroutine for each connection
// would be woken for each request, and on a machine of few cores the waking costs more than the work.
//
// The loop itself never waits for anything but its sockets. What may wait or take long (a transaction, a deep pipeline, a
// read that needs a confirmed leader, a peer that takes no replies) is handed to a goroutine, which runs the same code as
// a connection without a loop and gives the connection back when its unit is done.
//
// The loop's goroutine owns every field but those below mu, and every connection that is not away. Only it closes their
// sockets, since it uses the descriptors beside package net.
type loop struct {
	srv    *Server
	epoll  int
	event  int // an eventfd that ends the wait
	conns  map[int32]*conn
	writes []*conn // units of this round whose writes are to be proposed

	landing int // connections whose writes are on their way
	active  int // connections that had something to say between the last two sweeps
	heard   int // the same since the last sweep
	sweeps  int

	landed chan struct{} // wakes a loop that waits for the log

	mu     sync.Mutex
	back   []*conn // new connections, and those that were away
	nudged bool    // look at all connections: some were killed, or the node stops
	over   bool    // end
	state  rest
}

// rest says what a loop waits for.
type rest uint8

const (
	awake   rest = iota
	asleep       // for its sockets; the eventfd wakes it
	patient      // for the log; the channel landed wakes it
)

// station says where a connection of a loop is.
type station uint8

const (
	fresh    station = iota // accepted, not registered yet
	atHome                  // the loop may run it
	visiting                // a goroutine runs the rest of its unit
	landing                 // its writes are on their way through the log
)

// peerGone is how poll(2) tells that the peer sends no more.
const peerGone = unix.POLLRDHUP

const (
	loopEvents = 256
	sweepEvery = time.Second
	loopBatch  = 32  // commands that a unit of the loop may hold; a connection with deeper pipelines leaves the loop..
	calmUnits  = 256 // ..and comes back after so many units in a row that the loop would have taken
)

// newLoops returns one loop for every two processors.
func newLoops(s *Server) ([]*loop, error) {
	loops := make([]*loop, max(1, runtime.GOMAXPROCS(0)/2))
	for i := range loops {
		l := &loop{srv: s, conns: map[int32]*conn{}, landed: make(chan struct{}, 1)}
		var err error
		if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return nil, err
		}
		if l.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return nil, err
		}
		if err := l.register(l.event); err != nil {
			return nil, err
		}
		loops[i] = l
	}
	return loops, nil
}

func (l *loop) register(fd int) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)})
}

// post gives the loop a connection. Any goroutine may call it.
func (l *loop) post(c *conn) {
	l.rouse(func() { l.back = append(l.back, c) })
}

// rouse changes what the loop is to look at, and wakes it however it rests.
func (l *loop) rouse(change func()) {
	l.mu.Lock()
	change()
	was := l.state
	l.state = awake
	l.mu.Unlock()
	switch was {
	case asleep:
		one := [8]byte{1}
		_, _ = unix.Write(l.event, one[:]) // full only if a wake is on its way already
	case patient:
		l.landed <- struct{}{}
	}
}

// nudge makes the loop look at all its connections. Any goroutine may call it.
func (l *loop) nudge() { l.rouse(func() { l.nudged = true }) }

// stop ends the loop. Connections that are still there are left alone.
func (l *loop) stop() { l.rouse(func() { l.over = true }) }

// run serves until it is stopped.
func (l *loop) run() {
	var events [loopEvents]unix.EpollEvent
	swept := time.Now()
	defer func() {
		_ = unix.Close(l.epoll) // nothing is left to lose
		_ = unix.Close(l.event)
	}()
	for !l.ended() {
		for _, e := range events[:l.wait(events[:])] {
			if int(e.Fd) == l.event {
				var b [8]byte
				_, _ = unix.Read(l.event, b[:])
				continue
			}
			if c := l.conns[e.Fd]; c != nil {
				c.readable = true
				c.ended = c.ended || e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
				if c.heard != l.sweeps {
					c.heard = l.sweeps
					l.heard++
				}
				if c.at == atHome {
					l.guard(c, l.turn)
				}
			}
		}
		back, nudged := l.take()
		for _, c := range back {
			l.guard(c, l.welcome)
		}
		l.propose()
		if now := time.Now(); nudged || now.Sub(swept) >= sweepEvery {
			swept = now
			l.sweep(now)
		}
	}
}

func (l *loop) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// wait returns how many sockets have news. It rests only when there is nothing else to do.
//
// Where most of the clients that have something to say wait for the log, the loop waits with them: a channel wakes it
// sooner than a descriptor would, and what the others send meanwhile goes into one entry. For them it is as in Redis,
// which hears nobody while it syncs.
func (l *loop) wait(events []unix.EpollEvent) int {
	n, _ := unix.EpollWait(l.epoll, events, 0)
	if n > 0 {
		return n
	}
	l.mu.Lock()
	switch {
	case len(l.back) > 0 || l.nudged || l.over:
	case l.landing > 0 && 2*l.landing >= max(l.active, l.heard):
		l.state = patient
	default:
		l.state = asleep
	}
	state := l.state
	l.mu.Unlock()
	switch state {
	case asleep:
		n, _ = unix.EpollWait(l.epoll, events, int(sweepEvery/time.Millisecond)) // EINTR is an early wake
		l.mu.Lock()
		l.state = awake
		l.mu.Unlock()
	case patient:
		<-l.landed
	}
	return max(n, 0)
}

func (l *loop) take() (back []*conn, nudged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	back, nudged = l.back, l.nudged
	l.back, l.nudged = nil, false
	return back, nudged
}

// guard runs one step of a connection. A panic of a command ends its connection and nothing else.
func (l *loop) guard(c *conn, step func(*conn)) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			l.drop(c)
		}
	}()
	step(c)
}

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
		c.answerWrites(c.landed)
		c.clearPending()
		if !l.finish(c) {
			return
		}
		if more && c.request == nil && !c.stopped() {
			c.at = atHome
			if !l.unit(c) {
				return
			}
		}
	}
	c.at = atHome
	switch {
	case c.closing || c.broken || c.stopped() && c.request == nil:
		l.drop(c)
	case c.request != nil || c.sub.Subscriber != nil:
		l.release(c, c.beginUnit)
	default:
		l.turn(c)
	}
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
			c.refuse(resp.ErrNoAuth)
		case err != nil:
			c.refuse(c.refusal(cmd, err))
		case c.light(cmd, &plan, argv):
			c.act(&plan, len(argv))
		default:
			kept := plan // a captured variable lives in the heap, and this one only from here
			l.handOver(c, func() { c.act(&kept, len(argv)) })
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
		l.handOver(c, func() {})
		return false
	case len(u.pending) > 0:
		_ = c.readState() // the state was current a moment ago; if it is not any more, the rest waits
		if u.next < len(u.pending) {
			l.handOver(c, c.flushIfFull)
			return false
		}
		c.clearPending()
	}
	return l.finish(c)
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
	}
	return false
}

// propose sends the writes of this round, of all connections, on their way together.
func (l *loop) propose() {
	for len(l.writes) > 0 {
		g := l.writes[0].group
		var proposals []*replica.Proposal
		var own, others []*conn
		for _, c := range l.writes {
			if c.group != g {
				others = append(others, c)
				continue
			}
			c.unit.proposal.Done = c.landFunc
			l.landing++
			own, proposals = append(own, c), append(proposals, &c.unit.proposal)
		}
		if !g.Submit(proposals) {
			for _, c := range own {
				c.unit.proposal.Done = nil
				l.landing--
				l.handOver(c, func() {}) // there it waits for a leader, or learns that there is none
			}
		}
		l.writes = append(l.writes[:0], others...)
	}
}

// land is how the group tells that a connection's writes are applied, or what became of them.
func (c *conn) land(err error) {
	c.landed = err
	c.loop.post(c)
}

// finish ends a unit in the loop: the replies go out, at once or, when the peer is slow, from a goroutine. It reports
// whether the connection is still the loop's.
func (l *loop) finish(c *conn) bool {
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

// sweep ends connections that were told to, that were idle for too long, or whose command did not arrive in time.
func (l *loop) sweep(now time.Time) {
	l.active, l.heard = l.heard, 0
	l.sweeps++
	for _, c := range l.conns {
		if c.at != atHome {
			continue
		}
		due := c.readDue()
		switch {
		case c.stopped():
			l.drop(c)
		case !due.IsZero() && now.After(due):
			l.guard(c, func(c *conn) {
				c.tooSlow()
				_, _ = unix.Write(int(c.fd), c.out.Buf)
				c.out.Buf = nil
				l.drop(c)
			})
		}
	}
}

// drop ends a connection.
func (l *loop) drop(c *conn) {
	delete(l.conns, c.fd)
	c.at = visiting // nothing of this round may run it again
	c.close()
}
