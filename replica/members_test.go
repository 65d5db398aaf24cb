package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// must makes a change through any node, as often as it takes while no leader is known.
func (c *cluster) must(node int, change change) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s of %q through n%d", change.Kind, change.ID, node+1), func() bool {
		_, err := c.group(node).change(testContext(c.t), change)
		if err != nil && !errors.Is(err, ErrNoLeader) {
			c.t.Fatalf("%s of %q through n%d: %v", change.Kind, change.ID, node+1, err)
		}
		return err == nil
	})
}

// refused wants a refusal that says this, and nothing to have changed.
func (c *cluster) refused(node int, change change, says string) {
	c.t.Helper()
	before := c.group(c.leader(-1)).configured.Load().index
	_, err := c.group(node).change(testContext(c.t), change)
	var refusal *Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Text, says) {
		c.t.Errorf("%s of %q: %v, want a refusal with %q", change.Kind, change.ID, err, says)
	}
	if after := c.group(c.leader(-1)).configured.Load().index; after != before {
		c.t.Errorf("%s of %q was refused and yet made", change.Kind, change.ID)
	}
}

func (c *cluster) members(node int) string {
	var list []string
	for _, s := range c.group(node).configured.Load().servers {
		list = append(list, fmt.Sprint(s.ID, map[bool]string{true: "v", false: "l"}[s.Suffrage == raft.Voter]))
	}
	return strings.Join(list, " ")
}

// All nodes come to know the same configuration.
func (c *cluster) membersAre(want string) {
	c.t.Helper()
	eventually(c.t, "members "+want, func() bool {
		for i, n := range c.nodes {
			if n != nil && c.members(i) != want {
				return false
			}
		}
		return true
	})
}

func TestChangesThroughAnyNode(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.set(-1, "k", "1")
	leader := c.leader(-1)
	other, third := (leader+1)%3, (leader+2)%3
	id := c.nodes[third].ID()
	c.must(other, change{Kind: demote, ID: id})
	c.must(third, change{Kind: demote, ID: id}) // it is one already
	c.set(-1, "k", "2")
	c.refused(other, change{Kind: transfer, ID: id}, "is a learner and cannot lead")
	c.must(third, change{Kind: promote, ID: id})
	c.membersAre("n1v n2v n3v")
	eventually(t, "leadership of "+id, func() bool { // a busy machine may have its own will
		_, err := c.group(other).change(testContext(t), change{Kind: transfer, ID: id})
		return err == nil && c.leader(-1) == third
	})
	c.must(third, change{Kind: transfer, ID: id}) // it leads already
	c.must(leader, change{Kind: transfer})
	c.agree()
}

func TestChangesThatMakeNoSenseAreRefused(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	address := string(c.group(leader).configured.Load().servers[0].Address)
	for _, test := range []struct {
		change change
		says   string
	}{
		{change{Kind: remove, ID: "n4"}, "node 'n4' is not a member"},
		{change{Kind: promote, ID: "n4"}, "node 'n4' is not a member"},
		{change{Kind: transfer, ID: "n4"}, "node 'n4' is not a member"},
		{change{Kind: remove, ID: ""}, "want 1 to 64 letters"},
		{change{Kind: addLearner, ID: "n@4", Address: address}, "want 1 to 64 letters"},
		{change{Kind: addLearner, ID: "n4", Address: "nowhere"}, "want host:port"},
		{change{Kind: addLearner, ID: "n4", Address: "0.0.0.0:1"}, "no other node can reach that"},
		{change{Kind: addLearner, ID: "n4", Address: address}, "is that of node 'n1'"},
		{change{Kind: addLearner, ID: "n2", Address: "127.0.0.1:1"}, "is a member already"},
		{change{Kind: "cheer", ID: "n1"}, "unknown change"},
	} {
		c.refused(leader, test.change, test.says)
		c.refused((leader+1)%3, test.change, test.says)
	}
}

// A leader that is taken out, or loses its vote, leads until its successor does.
func TestTheLeaderHandsOverBeforeItGoes(t *testing.T) {
	for _, kind := range []changeKind{demote, remove} {
		c := startCluster(t, 3, nil)
		c.set(-1, "k", "1")
		leader := c.leader(-1)
		id := c.nodes[leader].ID()
		c.must(leader, change{Kind: kind, ID: id})
		if got := c.leader(-1); got == leader {
			t.Errorf("%s: n%d still leads", kind, leader+1)
		}
		if s, member := c.group(c.leader(-1)).configured.Load().find(id); member != (kind == demote) || s.Suffrage == raft.Voter && member {
			t.Errorf("%s: n%d is %v in the configuration", kind, leader+1, s)
		}
		c.set(leader, "k", "2")
	}
}

func TestAChangeKeepsAMajorityThatAnswers(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	dead, alive := (leader+1)%3, (leader+2)%3
	gone := c.nodes[dead].ID()
	c.stop(dead)
	c.refused(leader, change{Kind: remove, ID: c.nodes[alive].ID()}, "only 1 would answer; "+gone+" does not")
	c.refused(leader, change{Kind: demote, ID: c.nodes[alive].ID()}, "only 1 would answer")
	c.refused(leader, change{Kind: transfer, ID: gone}, "does not answer")
	c.must(alive, change{Kind: remove, ID: gone})
	c.set(-1, "k", "v")
	c.must(alive, change{Kind: remove, ID: c.nodes[alive].ID()})
	if !c.group(c.leader(-1)).Current() {
		t.Error("a node alone does not know that it is")
	}
	c.refused(c.leader(-1), change{Kind: remove, ID: c.nodes[c.leader(-1)].ID()}, "is the last voter")
	c.refused(c.leader(-1), change{Kind: transfer}, "no other voter")
}

// Two changes are never on their way together, and a change is made on the configuration that was looked at.
func TestChangesTakeTurns(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	g := c.group(leader)
	g.changing <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var refusal *Refusal
	if _, err := g.change(ctx, change{Kind: demote, ID: "n1"}); !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "under way") {
		t.Errorf("a second change: %v", err)
	}
	<-g.changing
	stale := g.configured.Load().index
	c.must(leader, change{Kind: addLearner, ID: "n9", Address: "127.0.0.1:1"})
	err := g.commit(func(wait time.Duration) raft.IndexFuture { return g.raft.RemoveServer("n9", stale, wait) })
	if !errors.Is(err, ErrNoLeader) {
		t.Errorf("a change of a configuration that is not the newest: %v", err)
	}
	c.must(leader, change{Kind: remove, ID: "n9"})
}

// A leader without a majority makes no change, and says that nobody knows what becomes of the one it began.
func TestAChangeWithoutAMajorityIsInDoubt(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	g := c.group(leader)
	c.isolate(leader, true)
	err := g.changeHere(t.Context(), change{Kind: addLearner, ID: "n9", Address: "127.0.0.1:1"})
	if !errors.Is(err, ErrInDoubt) && !errors.Is(err, ErrNoLeader) {
		t.Errorf("a change of a leader that was cut off: %v", err)
	}
	c.set(leader, "k", "v") // the others go on without it
	c.isolate(leader, false)
	c.membersAre("n1v n2v n3v")
	eventually(t, "end of the configuration that the deposed leader began", func() bool {
		return len(g.raft.GetConfiguration().Configuration().Servers) == 3
	})
	if g.stores.log.sole.Load() {
		t.Error("a node believes to be alone")
	}
}

// Who gives leadership away answers what it has been asked until the others have turned to the new leader: the end of a stream
// would leave it in doubt.
func TestAHandOverIsOverWhenNobodyAsksTheOldLeader(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	g := c.group(leader)
	slow := streamTo(t, g.answers, "a node that is slow to hear")
	began, over := time.Now(), make(chan struct{})
	go func() {
		c.nodes[leader].HandOver(testContext(t))
		close(over)
	}()
	c.leader(leader)
	select {
	case <-over:
		if time.Since(began) < g.patience() {
			t.Error("the hand-over is over, and a stream to the old leader stands")
		}
	default:
	}
	slow.close()
	<-over
}

func TestHandOverMovesLeadership(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	c.nodes[leader].HandOver(testContext(t))
	if _, id := c.group(leader).raft.LeaderWithID(); string(id) == c.nodes[leader].ID() || id == "" {
		t.Errorf("after the hand-over %q leads", id)
	}
	n, g := openSingle(t, Config{})
	n.HandOver(testContext(t)) // there is nobody
	mustSet(t, g, "k", "v")
	closeNode(t, n)
}

// narrow is a connection that, while it is so, breaks when much is written to it at once.
type narrow struct {
	net.Conn
	is *atomic.Bool
}

func (n narrow) Write(b []byte) (int, error) {
	if n.is.Load() && len(b) > 4<<10 {
		n.Close()
		return 0, errors.New("too narrow for that")
	}
	return n.Conn.Write(b)
}

// A learner that answers and yet does not get on is no voter to count on.
func TestALearnerThatLacksMuchIsNotPromoted(t *testing.T) {
	var tight atomic.Bool
	c := startCluster(t, 1, func(_ int, cfg *Config) {
		cfg.Sync = SyncOS
		dial := cfg.dial
		cfg.dial = func(address string, timeout time.Duration) (net.Conn, error) {
			conn, err := dial(address, timeout)
			return narrow{conn, &tight}, err
		}
	})
	i := c.grow(func(cfg *Config) { cfg.Learner = true })
	c.start(i)
	c.set(-1, "k", "v")
	c.agree()
	c.membersAre("n1v n2l")

	tight.Store(true)
	c.set(-1, "k", text(64<<10)) // does not get through, nor does what comes behind it
	g := c.group(0)
	var last raft.Future
	for range promoteLag + 10 {
		last = g.raft.Barrier(0) // an entry each
	}
	if err := last.Error(); err != nil {
		t.Fatal(err)
	}
	c.refused(0, change{Kind: promote, ID: "n2"}, "lacks 10")
	c.refused(i, change{Kind: promote, ID: "n2"}, "more than 10000")
	tight.Store(false)
	eventually(t, "the learner to get on", func() bool { return c.group(i).raft.LastIndex()+promoteLag > g.raft.LastIndex() })
	c.must(i, change{Kind: promote, ID: "n2"})
	c.membersAre("n1v n2v")
}
