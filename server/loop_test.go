//go:build linux

package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
