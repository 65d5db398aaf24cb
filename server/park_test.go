package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// eventually polls until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// waiters returns how many wait for a lock behind its holder.
func (g *fakeGroup) waiters(key string) int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n, ok := g.machine.View().Lookup([]byte(key))
	if !ok {
		return -1
	}
	return n.Lock().Len() - 1
}

// do applies an operation as another node would.
func (g *fakeGroup) do(t *testing.T, op fsm.Op) fsm.Result {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	results, err := g.apply(op.AppendTo(nil), 1, nil)
	if err != nil || len(results) != 1 {
		t.Fatalf("%s: %v", op, err)
	}
	return results[0]
}

// expire lets time pass, and what is due go.
func (g *fakeGroup) expire(t *testing.T, millis int64) {
	t.Helper()
	g.mu.Lock()
	g.clock += millis
	g.mu.Unlock()
	for g.do(t, &fsm.ExpireDue{Limit: 100}).Found {
	}
}

func TestWhoWaitsForALockIsGrantedInTurn(t *testing.T) {
	s, g := startTestServer(t, nil)
	holder := dial(t, s)
	holder.send("DTKV.LOCK l 100000 WAIT 1000 OWNER h")
	holder.want(":1\r\n")
	var waiting []*client
	for i := range 5 {
		c := dial(t, s)
		c.send(fmt.Sprintf("DTKV.LOCK l 100000 WAIT 100000 OWNER w%d", i))
		eventually(t, "the client waits", func() bool { return g.waiters("l") == i+1 })
		waiting = append(waiting, c)
	}
	eventually(t, "all are blocked", func() bool { return strings.Contains(talk(t, s, "INFO clients"), "blocked_clients:5\r\n") })
	holder.send("DTKV.UNLOCK l OWNER h")
	holder.want(":1\r\n")
	for i, c := range waiting {
		c.want(fmt.Sprintf(":%d\r\n", i+2))
		c.send(fmt.Sprintf("DTKV.UNLOCK l OWNER w%d", i), "PING")
		c.want(":1\r\n+PONG\r\n")
	}
	eventually(t, "nobody is blocked", func() bool { return strings.Contains(talk(t, s, "INFO clients"), "blocked_clients:0\r\n") })
}

func TestAWaitEndsWhenTheLogSaysSo(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	c := dial(t, s)
	c.send("DTKV.LOCK l 1000 WAIT 500")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	g.expire(t, 500)
	if g.waiters("l") != 1 {
		t.Error("the wait has ended early")
	}
	g.expire(t, 2)
	c.want("$-1\r\n")

	c.send("DTKV.LOCK l 1000 WAIT 500")
	eventually(t, "the client waits again", func() bool { return g.waiters("l") == 1 })
	if got := talk(t, s, "FLUSHALL"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	c.want("$-1\r\n")
}

func TestWhatFollowsAWaitWaitsToo(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	for _, behind := range []int{1, 320} {
		c := dial(t, s)
		c.send("DEL n", "SET k before", "DTKV.LOCK l 1000 WAIT 100000", strings.TrimSuffix(strings.Repeat("INCR n\r\n", behind), "\r\n"), "GET k")
		c.want(":0\r\n+OK\r\n")
		eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
		if got := talk(t, s, "GET k", "GET n", "SET k changed"); got != "$6\r\nbefore\r\n$-1\r\n+OK\r\n" {
			t.Errorf("meanwhile: %q", got)
		}
		g.expire(t, 100_001)
		want := "$-1\r\n"
		for i := range behind {
			want += fmt.Sprintf(":%d\r\n", i+1)
		}
		c.want(want + "$7\r\nchanged\r\n")
		talk(t, s, "DEL n")
	}
}

func TestAFloodBehindAWaitStaysInTheSocket(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	c := dial(t, s)
	c.send("DTKV.LOCK l 1000 WAIT 100000")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	const flood = 32 << 10 // KiB: more than any buffer of the socket
	value := strings.Repeat("x", 1<<10)
	echo := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range flood {
			if _, err := io.WriteString(c, "*2\r\n$4\r\nECHO\r\n"+echo); err != nil {
				return
			}
		}
	}()
	select {
	case <-sent:
		t.Error("32 MiB went somewhere")
	case <-time.After(300 * time.Millisecond): // it takes what it takes; more would not make it worse
	}
	g.expire(t, 100_001)
	c.want("$-1\r\n")
	got := make([]byte, len(echo))
	for range flood {
		if _, err := io.ReadFull(c, got); err != nil || string(got) != echo {
			t.Fatalf("got %.100q, %v", got, err)
		}
	}
}

func TestADeadClientLeavesItsPlace(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	first, second, third := dial(t, s), dial(t, s), dial(t, s)
	for i, c := range []*client{first, second, third} {
		c.send(fmt.Sprintf("DTKV.LOCK l 100000 WAIT 100000 OWNER %d", i))
		eventually(t, "the client waits", func() bool { return g.waiters("l") == i+1 })
	}
	first.Close()
	eventually(t, "its place is free", func() bool { return g.waiters("l") == 2 })
	if got := talk(t, s, "CLIENT KILL ADDR "+second.LocalAddr().String()); got != ":1\r\n" {
		t.Fatalf("CLIENT KILL: %q", got)
	}
	second.wantEnd("")
	eventually(t, "its place is free", func() bool { return g.waiters("l") == 1 })
	g.do(t, &fsm.ReleaseLock{Key: []byte("l"), Owner: fsm.Owner{1}})
	third.want(":2\r\n")
	third.send("PING")
	third.want("+PONG\r\n")
	if n := s.hub.Stats().Parked; n != 0 {
		t.Errorf("%d are still parked", n)
	}
}

func TestWhileThereIsNoLeaderAPlaceIsGivenUpLater(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	c := dial(t, s)
	c.send("DTKV.LOCK l 100000 WAIT 100000")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	g.setFail(replica.ErrNoLeader)
	c.Close()
	time.Sleep(3 * leavePause) // for some tries
	g.setFail(nil)
	eventually(t, "its place is free", func() bool { return g.waiters("l") == 0 })
	eventually(t, "the connection is gone", func() bool { return len(s.clients.all()) == 0 })
}

func TestWhoAsksAgainKeepsHisPlace(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	old, again, other := dial(t, s), dial(t, s), dial(t, s)
	old.send("DTKV.LOCK l 100000 WAIT 100000 OWNER me")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	other.send("DTKV.LOCK l 100000 WAIT 100000 OWNER other")
	eventually(t, "the other waits", func() bool { return g.waiters("l") == 2 })
	again.send("DTKV.LOCK l 100000 WAIT 100000 OWNER me")
	eventually(t, "three are blocked", func() bool { return s.hub.Stats().Parked == 3 })
	old.Close()
	eventually(t, "the old connection is gone", func() bool { return len(s.clients.all()) == 2 })
	g.do(t, &fsm.ReleaseLock{Key: []byte("l"), Owner: fsm.Owner{1}})
	again.want(":2\r\n")
}

func TestAStopAnswersThoseWhoWait(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	lock, stream := dial(t, s), dial(t, s)
	lock.send("DTKV.LOCK l 100000 WAIT 100000", "PING")
	stream.send("XREAD BLOCK 0 STREAMS __events__:none $")
	eventually(t, "both wait", func() bool { return g.waiters("l") == 1 && s.hub.Stats().Waits == 1 })
	s.stopClients()
	lock.wantEnd("-INDOUBT this node is stopping; the owner keeps its place in the queue if it asks again soon\r\n")
	stream.wantEnd("-CLUSTERDOWN this node is stopping; the command was not run\r\n")
	if n := g.waiters("l"); n != 1 {
		t.Errorf("%d wait; the place is to be kept", n)
	}
}

func TestAWaitThatTheLogDoesNotTakeIsAnswered(t *testing.T) {
	s, g := startTestServer(t, nil)
	c := dial(t, s)
	g.setFail(replica.ErrNoLeader)
	c.send("DTKV.LOCK l 1000 WAIT 1000", "PING")
	c.want("-CLUSTERDOWN no leader is known; the command was not run\r\n+PONG\r\n")
	g.setFail(replica.ErrInDoubt)
	c.send("DTKV.LOCK l 1000 WAIT 1000", "PING")
	c.want("-INDOUBT the write may or may not have been applied\r\n+PONG\r\n")
	g.setFail(nil)
	c.send("SET v 1", "DTKV.LOCK v 1000 WAIT 1000", "DTKV.LOCK l 1000 WAIT 1000", "PING")
	c.want("+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n:1\r\n+PONG\r\n")
	if n := s.hub.Stats().Parked; n != 0 {
		t.Errorf("%d are still parked", n)
	}
}

// A snapshot that takes the place of the state tells nobody what became of him: he has to look.
func TestWhoLosesSightLooksAtTheState(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.do(t, &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000_000})
	c := dial(t, s)
	restored := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		v := g.machine.View()
		s.hub.Restored(0, v.Index(), v)
	}
	c.send("DTKV.LOCK l 1000000 WAIT 100000 OWNER me")
	eventually(t, "the client waits", func() bool { return g.waiters("l") == 1 })
	restored()
	reads := s.hub.Stats().Gaps
	eventually(t, "the hub has noticed", func() bool { return s.hub.Stats().Gaps > 0 || reads > 0 })
	if g.waiters("l") != 1 {
		t.Error("the place is gone")
	}
	g.observer = nil // the grant is one of those that nobody hears of
	g.do(t, &fsm.ReleaseLock{Key: []byte("l"), Owner: fsm.Owner{1}})
	g.observer = s.hub
	restored()
	c.want(":2\r\n")
}

func TestAStreamIsReadAsItGrows(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c, w := dial(t, s), dial(t, s)
	for i := range 20 {
		c.send("XREAD BLOCK 0 STREAMS __events__:k $")
		eventually(t, "the reader waits", func() bool { return s.hub.Stats().Waits == 1 })
		w.send("SET other 1", fmt.Sprintf("SET k %d", i+10))
		w.want("+OK\r\n+OK\r\n")
		c.want(crlf("*1", "*2", "$12", "__events__:k", "*1", "*2"))
		got := make([]byte, len("$1\r\n0-1\r\n"))
		if _, err := c.Read(got[:1]); err != nil || got[0] != '$' {
			t.Fatalf("%q %v", got, err)
		}
		skipLine(t, c)
		skipLine(t, c)
		c.want(crlf("*8", "$5", "event", "$3", "set", "$3", "key", "$1", "k", "$4", "kind", "$5", "value", "$5", "value", "$2", fmt.Sprint(i+10)))
	}
	c.send("XREAD BLOCK 10 STREAMS __events__ $", "PING")
	c.want("*-1\r\n+PONG\r\n")
	c.send("XREAD BLOCK 0 STREAMS __events__:k $")
	eventually(t, "the reader waits", func() bool { return s.hub.Stats().Waits == 1 })
	c.Close()
	eventually(t, "nobody waits", func() bool { return s.hub.Stats().Waits == 0 })
}

func skipLine(t *testing.T, c *client) {
	t.Helper()
	for b := []byte{0}; b[0] != '\n'; {
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
}
