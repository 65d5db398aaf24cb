package server

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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
	reads  []*conn // units of this round whose reads need a confirmed leader

	flights  map[group]*flight // entries of this loop's making that are on their way
	answered bool              // some clients were: look for what they ask next before another entry goes, or a round of reads begins
	company  int               // how many they and those who wait were
	took     time.Duration     // by a flight, on average

	landing int // connections whose writes are on their way, or whose reads wait
	active  int // connections that had something to say between the last two sweeps
	heard   int // the same since the last sweep
	sweeps  int

	landed   chan struct{} // wakes a loop that waits for the log
	patience *time.Timer   // ends that
	tired    bool          // it has, and nothing has landed since

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
	landing                 // its writes are on their way through the log, or its reads wait for a confirmed leader
)

// peerGone is how poll(2) tells that the peer sends no more.
const peerGone = unix.POLLRDHUP

const (
	loopEvents = 256
	sweepEvery = time.Second
	longest    = 20 * time.Millisecond // that others wait with those who wait for the log
	loopBatch  = 32                    // commands that a unit of the loop may hold; a connection with deeper pipelines leaves the loop..
	calmUnits  = 256                   // ..and comes back after so many units in a row that the loop would have taken
)

// newLoops returns one loop for every two processors.
func newLoops(s *Server) ([]*loop, error) {
	loops := make([]*loop, max(1, runtime.GOMAXPROCS(0)/2))
	for i := range loops {
		l := &loop{srv: s, conns: map[int32]*conn{}, flights: map[group]*flight{}, landed: make(chan struct{}, 1), patience: time.NewTimer(longest)}
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
		if !l.answered {
			l.propose()
			l.confirm()
		}
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
// which hears nobody while it syncs. But not for longer than a disk takes: without a leader it may be seconds.
func (l *loop) wait(events []unix.EpollEvent) int {
	n, _ := unix.EpollWait(l.epoll, events, 0)
	if l.answered {
		l.answered = l.nap(len(l.writes) + n)
		return max(n, 0)
	}
	if n > 0 {
		return n
	}
	l.mu.Lock()
	switch {
	case len(l.back) > 0 || l.nudged || l.over: // no rest
	case l.landing > 0 && 2*l.landing >= max(l.active, l.heard) && !l.tired:
		l.state = patient
	default:
		l.state = asleep
	}
	state := l.state
	l.mu.Unlock()
	switch state {
	case asleep:
		most := sweepEvery
		if len(l.writes) > 0 {
			most = longest // then they go, whatever is on its way
		}
		n, _ = unix.EpollWait(l.epoll, events, int(most/time.Millisecond)) // EINTR is an early wake
		l.mu.Lock()
		l.state = awake
		l.mu.Unlock()
	case patient:
		l.waitForLog()
	}
	return max(n, 0)
}

// waitForLog rests until something lands, or patience ends.
func (l *loop) waitForLog() {
	l.patience.Reset(longest)
	select {
	case <-l.landed:
		l.patience.Stop()
		return
	case <-l.patience.C:
	}
	l.mu.Lock()
	roused := l.state == awake
	l.state, l.tired = awake, true
	l.mu.Unlock()
	if roused {
		<-l.landed // it is being said
	}
}

func (l *loop) take() (back []*conn, nudged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	back, nudged = l.back, l.nudged
	l.back, l.nudged = nil, false
	if len(back) > 0 {
		l.tired = false // the log moves again
	}
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

// confirm has the group make sure that the reads of this round, of all connections, may be answered.
func (l *loop) confirm() {
	for len(l.reads) > 0 {
		g := l.reads[0].group
		var own, others []*conn
		for _, c := range l.reads {
			if c.group == g {
				own = append(own, c)
			} else {
				others = append(others, c)
			}
		}
		l.reads = append(l.reads[:0], others...)
		l.landing += len(own)
		g.Confirm(func(err error) {
			for _, c := range own {
				c.landed = err
			}
			l.rouse(func() { l.back = append(l.back, own...) })
		})
	}
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
