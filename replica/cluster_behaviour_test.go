package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

func TestThreeVotersAgree(t *testing.T) {
	c := startCluster(t, 3, nil)
	for i := range 100 {
		c.set(-1, fmt.Sprint("k", i%10), fmt.Sprint("v", i))
	}
	first := c.leader(-1)
	c.stop(first)
	if got := get(t, c.group(c.leader(first)), "k9"); got != "v99" {
		t.Fatalf("the new leader reads %s", got)
	}
	c.set(first, "after", "failover")
	c.start(first)
	c.agree()
}

// The forced schedule of a stale read: the leader is cut off while its main loop stands still, so that it cannot step
// down; others elect a new leader and acknowledge a newer value.
func TestADeposedLeaderServesNoStaleRead(t *testing.T) {
	stalls := []*stallPoint{newStallPoint(), newStallPoint(), newStallPoint()}
	c := startCluster(t, 3, func(i int, cfg *Config) { cfg.stall, cfg.DiskStall = stalls[i], time.Hour })
	old := c.leader(-1)
	g := c.group(old)
	mustSet(t, g, "x", "1")

	stalls[old].on.Store(true)
	doubt := make(chan error, 1)
	go func() { doubt <- g.Propose(context.Background(), proposal(setTo("y", "1"))) }()
	<-stalls[old].entered
	c.isolate(old, true)
	c.set(old, "x", "2")

	// The old leader still believes in itself: nothing has told its main loop.
	if !g.leads(g.ready.Load()) {
		t.Fatal("the test lost its grip: the old leader has stepped down")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := g.Read(ctx, func(v fsm.View) {
		n, _ := v.Lookup([]byte("x"))
		t.Errorf("a deposed leader read x = %s after 2 was acknowledged", n.Value)
	})
	if !errors.Is(err, ErrNoLeader) {
		t.Errorf("the read: %v, want ErrNoLeader", err)
	}
	// Reachable again, but still standing still: voters answer with their newer term.
	c.isolate(old, false)
	confirmed := make(chan error, 1)
	g.join(waitingRead{time.Now(), func(err error) { confirmed <- err }})
	if err := <-confirmed; !errors.Is(err, ErrNoLeader) {
		t.Errorf("the confirmation: %v, want ErrNoLeader", err)
	}
	stalls[old].on.Store(false)
	close(stalls[old].released)
	if err := <-doubt; !errors.Is(err, ErrInDoubt) {
		t.Errorf("the write in flight: %v, want ErrInDoubt", err)
	}
	c.agree()
	if got := get(t, c.group(c.leader(-1)), "x"); got != "2" {
		t.Errorf("x = %s", got)
	}
}

func TestReadsNeedAMajority(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = 100 * time.Millisecond })
	c.set(-1, "x", "1")
	leader := c.leader(-1)
	c.stop((leader + 1) % 3)
	if got := get(t, c.group(leader), "x"); got != "1" {
		t.Fatalf("with two of three: %s", got)
	}
	c.stop((leader + 2) % 3)
	if err := c.group(leader).Read(t.Context(), func(fsm.View) { t.Error("a read without a majority") }); !errors.Is(err, ErrNoLeader) {
		t.Fatalf("with one of three: %v", err)
	}
}

func TestALateFollowerCatchesUpBySnapshot(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) {
		cfg.SnapshotEntries = 1 << 40
		cfg.LogStore = StoreBolt // raft-wal still hands out what was deleted until the segment goes
	})
	late := (c.leader(-1) + 1) % 3
	c.stop(late)
	for i := range minTrailing + 200 {
		c.set(late, fmt.Sprint("k", i%50), fmt.Sprint(i))
	}
	for i := range c.nodes {
		if i == late {
			continue
		}
		g := c.group(i)
		g.logged.Store(1 << 40) // average entries look huge, so the least is kept
		if err := g.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	c.set(late, "k0", "newest")
	c.start(late)
	c.agree()
	if c.group(late).Status().SnapshotIndex == 0 {
		t.Fatal("the follower was fed from the log; the test proves nothing")
	}
}

// The clock of a new leader goes on from the applied value and never jumps with the wall clock.
func TestTheClusterClockOnlyMovesOn(t *testing.T) {
	c := startCluster(t, 3, nil)
	clock := func(i int) int64 {
		g := c.group(i)
		g.mu.RLock()
		defer g.mu.RUnlock()
		return g.machine.View().ClusterMillis()
	}
	began := time.Now()
	var last int64
	for range 3 {
		for i := range 20 {
			c.set(-1, "k", fmt.Sprint(i))
			now := clock(c.leader(-1))
			if now < last {
				t.Fatalf("the clock ran back from %d to %d", last, now)
			}
			last = now
		}
		leader := c.leader(-1)
		c.stop(leader)
		c.leader(leader)
		c.start(leader)
	}
	if passed := time.Since(began).Milliseconds(); last > passed {
		t.Fatalf("the clock counted %d ms in %d ms", last, passed)
	}
}
