package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/dtkv/dtkv/resp"
)

const (
	keepAlive   = 60 * time.Second
	acceptPause = 5 * time.Millisecond // after a failed accept, doubled up to..
	acceptRest  = time.Second          // ..this
	seldomEvery = time.Minute
)

// listen binds a client address. Dead peers are noticed by TCP keepalive.
func listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 3, Count: 3}}
	return lc.Listen(context.Background(), "tcp", addr)
}

// accept takes in clients until the listener is closed. When the process has no descriptors left it waits for some to come
// free, longer each time, rather than spin.
func (s *Server) accept(l net.Listener) {
	pause := acceptPause
	for {
		sock, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			if s.tls == nil {
				s.admit(sock)
			} else {
				s.greet(sock)
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if held, ok := s.crowded.allow(time.Now()); ok {
				s.log.Error("no client can be accepted", "error", err, "others", held)
			}
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
				return
			}
			pause = min(2*pause, acceptRest)
		}
	}
}

// admit serves one client, or turns it away when there are too many.
func (s *Server) admit(sock net.Conn) {
	c := newConn(s, sock)
	if !s.clients.add(c, int(s.live.maxClients.Load())) {
		s.turnAway(sock)
		return
	}
	if l := s.loopFor(c); l == nil || !l.adopt(c) {
		go c.serve()
	}
}

// loopFor is the loop that serves a connection, nil where there are none.
func (s *Server) loopFor(c *conn) *loop {
	if len(s.loops) == 0 {
		return nil
	}
	return s.loops[c.id%int64(len(s.loops))]
}

// turnAway answers a client that is one too many. The line fits in the empty send buffer, so this does not wait.
func (s *Server) turnAway(sock net.Conn) {
	if held, ok := s.crowded.allow(time.Now()); ok {
		s.log.Warn("a client was refused: max-clients is reached", "max-clients", s.live.maxClients.Load(), "others", held)
	}
	w := resp.Writer{}
	w.Error(resp.ErrMaxClients)
	s.errors.add(w.Buf)
	_ = sock.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = sock.Write(w.Buf) // it is welcome to know, and may be gone
	sock.Close()
}

// seldom lets one event through per minute and counts the others. It keeps a misbehaving client from filling the log.
type seldom struct {
	mu   sync.Mutex
	last time.Time
	held int
}

// allow reports whether the event at now may be logged, and how many were not since the last one.
func (s *seldom) allow(now time.Time) (held int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < seldomEvery {
		s.held++
		return 0, false
	}
	held = s.held
	s.last, s.held = now, 0
	return held, true
}
