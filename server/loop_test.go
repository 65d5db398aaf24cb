//go:build linux

package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

// inLoop reports where the server's only connection is served.
func inLoop(t *testing.T, s *Server) bool {
	t.Helper()
	conns := s.clients.all()
	if len(conns) != 1 {
		t.Fatalf("%d connections", len(conns))
	}
	_, l := conns[0].place()
	return l != nil
}

func TestDeepPipelinesLeaveTheLoopAndComeBack(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := dial(t, s)
	n := 0
	incr := func(times int) {
		t.Helper()
		var want strings.Builder
		for range times {
			n++
			fmt.Fprintf(&want, ":%d\r\n", n)
		}
		c.send(strings.Split(strings.Repeat("INCR n\n", times-1)+"INCR n", "\n")...)
		c.want(want.String())
	}
	incr(1)
	if !inLoop(t, s) {
		t.Fatal("a connection with one command is not in a loop")
	}
	incr(5 * loopBatch)
	if inLoop(t, s) {
		t.Fatal("a connection with a deep pipeline is still in the loop")
	}
	for range calmUnits + 1 {
		incr(1)
	}
	incr(1)
	if !inLoop(t, s) {
		t.Fatal("a calm connection did not come back to the loop")
	}
	c.send("QUIT")
	c.wantEnd("+OK\r\n")
}

func TestALoopDoesNotWaitForAPeerThatDoesNotRead(t *testing.T) {
	s, _ := startTestServer(t, nil)
	deaf, other := dial(t, s), dial(t, s)
	other.send("SET big " + strings.Repeat("x", 60<<10))
	other.want("+OK\r\n")
	for range 400 { // 24 MB of replies: more than the sockets hold
		deaf.send("GET big")
	}
	for i := range 50 {
		other.send("INCR n")
		other.want(fmt.Sprintf(":%d\r\n", i+1))
	}
}

// Others wait with those who wait for the log, but not for ever: it may have no leader.
func TestALoopDoesNotWaitForTheLogForLong(t *testing.T) {
	s, g := startTestServer(t, nil)
	writer, other := dial(t, s), dial(t, s)
	for _, c := range []*client{writer, other} {
		c.send("PING")
		c.want("+PONG\r\n")
	}
	late := make(chan struct{})
	g.mu.Lock()
	g.late = late
	g.mu.Unlock()
	writer.send("SET k v")
	<-g.entered
	other.send("PING")
	other.want("+PONG\r\n")
	close(late)
	writer.want("+OK\r\n")
}

func TestALoopIsPatientAgainOnceTheLogMoves(t *testing.T) {
	l := &loop{tired: true}
	if l.take(); !l.tired {
		t.Error("nothing has landed, and it is patient")
	}
	l.back = []*conn{{}}
	if l.take(); l.tired {
		t.Error("something has landed, and it is still tired")
	}
}

func TestALoopEndsConnectionsThatSentTheirLastByte(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := dial(t, s)
	c.send("SET k v", "GET k")
	c.CloseWriteNow()
	c.wantEnd("+OK\r\n$1\r\nv\r\n")
	deadline := time.Now().Add(patience)
	for len(s.clients.all()) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still there")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWhoHasWaitedComesBackToTheLoop(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	c := dial(t, s)
	c.send("DTKV.LOCK other 1000 WAIT 1000")
	c.want(":2\r\n")
	if !inLoop(t, s) {
		t.Error("a lock that was free has driven the connection out of its loop")
	}
	c.send("DTKV.LOCK l 1000 WAIT 500")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	g.expire(t, 501)
	c.want("$-1\r\n")
	for range calmUnits + 2 {
		c.send("PING")
		c.want("+PONG\r\n")
	}
	if !inLoop(t, s) {
		t.Error("it has not come back")
	}
}

func TestSubscribersLeaveTheLoopAndComeBack(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := subscribed(t, s, "a", "b")
	eventually(t, "it has left", func() bool { return !inLoop(t, s) })
	for range calmUnits + 2 {
		c.send("PING")
		c.want("*2\r\n$4\r\npong\r\n$0\r\n\r\n")
	}
	if inLoop(t, s) {
		t.Error("a subscriber has come back")
	}
	c.send("RESET")
	c.want("+RESET\r\n")
	for range calmUnits + 2 {
		c.send("PING")
		c.want("+PONG\r\n")
	}
	if !inLoop(t, s) {
		t.Error("it has not come back")
	}
	c.send("MULTI", "SUBSCRIBE c", "EXEC")
	c.want("+OK\r\n+QUEUED\r\n*1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
	eventually(t, "it has left again", func() bool { return !inLoop(t, s) })
	if n := s.hub.Publish("c", []byte("x")); n != 1 {
		t.Errorf("%d receivers", n)
	}
	c.want(message("c", "x"))
}
