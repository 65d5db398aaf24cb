package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

func TestFollowersReadWhatTheLeaderAcknowledged(t *testing.T) {
	c := startCluster(t, 3, nil)
	for i := range 100 {
		want := fmt.Sprint(i)
		c.set(-1, "k", want)
		for j := range c.nodes {
			if got := get(t, c.group(j), "k"); got != want {
				t.Fatalf("node %d reads %s after %s was acknowledged", j+1, got, want)
			}
		}
	}
	given := uint64(0)
	for j := range c.nodes {
		given += c.group(j).Status().ReadIndexes
		if v, err := c.group(j).Frozen(testContext(t)); err != nil {
			t.Error(err)
		} else if n, _ := v.Lookup([]byte("k")); n.Value != "99" {
			t.Errorf("node %d froze %s", j+1, n.Value)
		}
		_ = c.group(j).Stale(func(v fsm.View) {
			if n, _ := v.Lookup([]byte("k")); n.Value != "99" { // it has just been current
				t.Errorf("node %d holds %s", j+1, n.Value)
			}
		})
	}
	if given == 0 {
		t.Error("no read index was given: the test proves nothing")
	}
}

// gate is an observer that can hold the apply goroutine up.
type gate struct{ hold chan chan struct{} }

func (g *gate) Applied(int, uint64, []fsm.Event) {
	select {
	case until := <-g.hold:
		<-until
	default:
	}
}

func (g *gate) Restored(int, uint64, fsm.View) {}

// A follower may apply an entry before its leader does, and show it. A later read at the leader must not go back.
func TestTheLeaderReadsNoLessThanItsFollowersShow(t *testing.T) {
	gates := []*gate{{make(chan chan struct{}, 1)}, {make(chan chan struct{}, 1)}, {make(chan chan struct{}, 1)}}
	c := startCluster(t, 3, func(i int, cfg *Config) { cfg.Observer = gates[i] })
	c.set(-1, "x", "1")
	c.agree()
	leader := c.leader(-1)
	g := c.group(leader)
	until := make(chan struct{})
	gates[leader].hold <- until
	wrote := make(chan error, 1)
	go func() { wrote <- g.Propose(context.Background(), proposal(setTo("hold", ""))) }()
	eventually(t, "apply goroutine held", func() bool { return len(gates[leader].hold) == 0 })
	g.raft.ApplyLog(raft.Log{Data: sealed(g.ready.Load(), setTo("x", "2"))}, enqueueTimeout) // as a follower's would be
	follower := (leader + 1) % 3
	eventually(t, "new value at a follower", func() bool { return strings.Contains(contents(c.group(follower)), `x value "2"`) })
	read := make(chan string, 1)
	go func() {
		g.Read(context.Background(), func(v fsm.View) { n, _ := v.Lookup([]byte("x")); read <- n.Value })
	}()
	select {
	case got := <-read:
		t.Errorf("the leader read x = %s when a follower showed 2", got)
		close(until)
	case <-time.After(200 * time.Millisecond):
		close(until)
		if got := <-read; got != "2" {
			t.Errorf("the leader read x = %s in the end", got)
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestFollowersWithoutALeaderRefuse(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = 200 * time.Millisecond })
	c.set(-1, "x", "1")
	c.agree()
	leader := c.leader(-1)
	follower := (leader + 1) % 3
	c.stop(leader)
	c.stop((leader + 2) % 3)
	g := c.group(follower)
	eventually(t, "refusal", func() bool {
		return errors.Is(g.Read(t.Context(), func(fsm.View) {}), ErrNoLeader)
	})
	if err := g.Propose(t.Context(), proposal(setTo("k", "v"))); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a write without a leader: %v", err)
	}
	seen := ""
	_ = g.Stale(func(v fsm.View) { n, _ := v.Lookup([]byte("x")); seen = n.Value })
	if seen != "1" {
		t.Errorf("a stale read: %q", seen)
	}
}

func TestReadsWaitForTheNextLeader(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = testTimeout })
	c.set(-1, "x", "1")
	leader := c.leader(-1)
	follower := (leader + 1) % 3
	c.stop(leader)
	if got := get(t, c.group(follower), "x"); got != "1" {
		t.Fatalf("read %s", got)
	}
}

func TestAFollowerThatIsCutOffReadsNothingOld(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ElectionWait = 200 * time.Millisecond })
	c.set(-1, "x", "1")
	c.agree()
	leader := c.leader(-1)
	follower := (leader + 1) % 3
	c.isolate(follower, true)
	c.set(follower, "x", "2")
	err := c.group(follower).Read(t.Context(), func(v fsm.View) {
		n, _ := v.Lookup([]byte("x"))
		t.Errorf("read x = %s after 2 was acknowledged", n.Value)
	})
	if !errors.Is(err, ErrNoLeader) {
		t.Errorf("the read: %v", err)
	}
	c.isolate(follower, false)
	eventually(t, "read after the cut was mended", func() bool {
		got := ""
		err := c.group(follower).Read(t.Context(), func(v fsm.View) { n, _ := v.Lookup([]byte("x")); got = n.Value })
		if err == nil && got != "2" {
			t.Fatalf("read x = %s", got)
		}
		return err == nil
	})
}

func TestStreamsOfStrangersAreRefused(t *testing.T) {
	n, _ := openSingle(t, Config{NodeID: "a"})
	defer closeNode(t, n)
	h := hello{Version: peerVersion, Cluster: n.ClusterID(), From: "stranger", To: "a", Use: useForward}
	conn, err := dialPeer(n.cfg.dial, n.PeerAddr(), h, time.Second)
	if err == nil {
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), `"stranger" is not a member of group 0`) {
		t.Fatal(err)
	}
}

// A node without a vote is also told what is committed, and may show it before its leader does.
func TestANodeIsAloneOnlyWithoutLearners(t *testing.T) {
	self := raft.Server{ID: "a", Suffrage: raft.Voter}
	tests := []struct {
		name        string
		others      []raft.Server
		sole, alone bool
	}{
		{"nobody else", nil, true, true},
		{"a learner", []raft.Server{{ID: "b", Suffrage: raft.Nonvoter}}, true, false},
		{"a voter", []raft.Server{{ID: "b", Suffrage: raft.Voter}}, false, false},
	}
	for _, test := range tests {
		l := checkedLog{self: "a"}
		l.configure(7, raft.Configuration{Servers: append(test.others, self)})
		if l.alone.Load() {
			t.Errorf("%s: alone before the configuration was applied", test.name)
		}
		l.settle(6)
		if l.alone.Load() {
			t.Errorf("%s: alone by an older configuration", test.name)
		}
		l.settle(7)
		if l.sole.Load() != test.sole || l.alone.Load() != test.alone {
			t.Errorf("%s: sole %v, alone %v", test.name, l.sole.Load(), l.alone.Load())
		}
		l.configure(8, raft.Configuration{Servers: []raft.Server{self, {ID: "b"}}})
		l.settle(7)
		if l.alone.Load() {
			t.Errorf("%s: alone when another node is being added", test.name)
		}
	}
}

// The heartbeat timeout is longer than the test may take: whoever leads then has not waited for it.
func TestALeaderWhoseProcessIsGoneIsSucceededAtOnce(t *testing.T) {
	for name, lag := range map[string]bool{"by one of the others": false, "by the second if the first does not stand": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.heartbeat = 2 * testTimeout })
			c.group(2).transport.electNow()
			eventually(t, "the third node to lead", func() bool { return c.group(2).Status().Ready })
			for i := range 2 {
				eventually(t, "a link to the leader", func() bool { return c.group(i).link.Load() != nil })
			}
			if lag {
				c.network.set(0, 2, true) // this does not say that the leader's process is gone
				mustSet(t, c.group(2), "k", "v")
			} else {
				c.network.fail(0, 2, syscall.ECONNREFUSED)
			}
			c.network.fail(1, 2, syscall.ECONNREFUSED)
			if l := c.leader(2); lag && l != 1 {
				t.Errorf("node %d leads", l+1)
			}
		})
	}
}
