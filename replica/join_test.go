package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// grow adds a node to the test that asks those that run to take it in. Its number is returned.
func (c *cluster) grow(change func(*Config)) int {
	c.t.Helper()
	i := len(c.configs)
	cfg := Config{
		DataDir: c.t.TempDir(), NodeID: fmt.Sprintf("n%d", i+1), PeerAddr: freeAddress(c.t), Logger: quietLogger(),
		heartbeat: 300 * time.Millisecond, dial: c.network.dialer(i),
	}
	for j, n := range c.nodes {
		if n != nil {
			cfg.Join = append(cfg.Join, c.configs[j].PeerAddr)
		}
	}
	if change != nil {
		change(&cfg)
	}
	c.network.mu.Lock()
	c.network.nodes[cfg.PeerAddr] = i
	c.network.mu.Unlock()
	c.configs, c.nodes = append(c.configs, cfg), append(c.nodes, nil)
	return i
}

// fatal wants a node to end with a reason that says this.
func (c *cluster) fatal(i int, says string) {
	c.t.Helper()
	select {
	case err := <-c.nodes[i].Fatal():
		if !strings.Contains(err.Error(), says) {
			c.t.Errorf("n%d ends: %v, want %q", i+1, err, says)
		}
	case <-time.After(testTimeout):
		c.t.Fatalf("n%d goes on", i+1)
	}
	c.stop(i)
}

// refusedStart wants a node not to start, with a reason that says this.
func (c *cluster) refusedStart(i int, says string) {
	c.t.Helper()
	n, err := Open(c.configs[i])
	if err == nil {
		closeNode(c.t, n)
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		c.t.Errorf("start of n%d: %v, want %q", i+1, err, says)
	}
}

func TestANodeAloneGrowsToThreeAndShrinksAgain(t *testing.T) {
	c := startCluster(t, 1, func(_ int, cfg *Config) { cfg.Peers, cfg.PeerAddr = nil, "127.0.0.1:0" })
	c.set(-1, "k", "1")
	c.configs[0].PeerAddr = c.nodes[0].PeerAddr()
	c.network.nodes[c.configs[0].PeerAddr] = 0
	for range 2 {
		c.start(c.grow(nil))
	}
	c.membersAre("n1v n2v n3v")
	if c.group(c.leader(-1)).Current() {
		t.Error("a leader of three reads as if it were alone")
	}
	c.set(-1, "k", "2")
	c.agree()
	if c.nodes[2].ClusterID() != c.nodes[0].ClusterID() || c.nodes[2].wantsVote() {
		t.Errorf("n3 is of cluster %q, others of %q", c.nodes[2].ClusterID(), c.nodes[0].ClusterID())
	}
	// A restart needs no joining.
	c.stop(2)
	c.configs[2].Join = []string{"127.0.0.1:1"}
	c.start(2)
	c.set(-1, "k", "3")
	c.agree()

	for _, gone := range []int{0, 1} {
		c.must(2, change{Kind: remove, ID: c.configs[gone].NodeID})
		c.fatal(gone, "was removed from the cluster")
		c.refusedStart(gone, "was removed from the cluster")
		c.set(-1, "k", fmt.Sprint("after ", gone))
	}
	c.membersAre("n3v")
}

// The log that a new node would need is gone: it comes by snapshot, and learns its place from it.
func TestANewNodeComesBySnapshot(t *testing.T) {
	c := startCluster(t, 1, func(_ int, cfg *Config) {
		cfg.LogStore = StoreBolt // raft-wal still hands out what was deleted until the segment goes
	})
	i := c.grow(func(cfg *Config) { cfg.Learner, cfg.LogStore = true, StoreBolt })
	c.start(i)
	c.membersAre("n1v n2l")
	c.stop(i)
	for n := range minTrailing + 200 {
		c.set(-1, fmt.Sprint("k", n%50), fmt.Sprint(n))
	}
	g := c.group(0)
	g.logged.Store(1 << 40) // average entries look huge, so the least is kept
	if err := g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	j := c.grow(func(cfg *Config) { cfg.LogStore = StoreBolt })
	c.start(i)
	c.start(j)
	c.membersAre("n1v n2l n3v")
	c.agree()
	if c.group(j).Status().SnapshotIndex == 0 {
		t.Fatal("the new node was fed from the log; the test proves nothing")
	}
}

func TestALearnerStaysOne(t *testing.T) {
	c := startCluster(t, 1, nil)
	i := c.grow(func(cfg *Config) { cfg.Learner = true })
	c.start(i)
	c.set(i, "k", "v")
	c.agree()
	c.membersAre("n1v n2l")
	c.stop(i)
	c.set(-1, "k", "w") // nobody misses it
	c.start(i)
	c.agree()
	c.membersAre("n1v n2l")
	c.must(i, change{Kind: promote, ID: "n2"})
	c.membersAre("n1v n2v")
}

// A node that was told it is in, or died before it was told, may ask again.
func TestJoiningMayBeRepeated(t *testing.T) {
	c := startCluster(t, 1, nil)
	i := c.grow(func(cfg *Config) { cfg.Learner = true })
	c.leader(-1)
	cfg := c.configs[i].withDefaults()
	lock, meta, err := openDataDir(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	for range 2 {
		n := &Node{cfg: cfg, meta: meta, address: cfg.PeerAddr}
		w, err := n.askIn(t.Context(), cfg.Join[0])
		if err != nil || w.Cluster != c.nodes[0].ClusterID() || w.Index == 0 {
			t.Fatalf("joining: %+v, %v", w, err)
		}
	}
	c.configs[i].Join = nil
	c.refusedStart(i, "start it with --join")
	c.configs[i].Join = cfg.Join
	c.start(i)
	c.membersAre("n1v n2l")
}

// Nobody is there; the node is told to stop.
func TestTheWaitToJoinCanBeEnded(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	_, err := Open(Config{
		DataDir: t.TempDir(), NodeID: "n2", PeerAddr: "127.0.0.1:0", Join: []string{freeAddress(t)}, Stop: stop, Logger: quietLogger(),
	})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestNodesThatMayNotJoin(t *testing.T) {
	c := startCluster(t, 1, nil)
	c.leader(-1)
	n2 := c.grow(nil)
	c.start(n2)
	c.membersAre("n1v n2v")
	for _, test := range []struct {
		change func(*Config)
		says   string
	}{
		{func(cfg *Config) { cfg.NodeID = "n1" }, "node 'n1' is a member already, and not the one that asks"},
		{func(cfg *Config) { cfg.NodeID = "n2" }, "node 'n2' is a member already, and not the one that asks"},
		{func(cfg *Config) { cfg.NodeID = "n@" }, "want 1 to 64 letters"},
		{func(cfg *Config) { cfg.Advertise = c.configs[n2].PeerAddr }, "is that of node 'n2'"},
	} {
		c.refusedStart(c.grow(test.change), test.says)
	}
	c.nodes = c.nodes[:2]
	c.membersAre("n1v n2v")
}

// A voter that lost its data directory has forgotten what it promised. It is kept out, however it comes back.
func TestAWipedNodeIsKeptOut(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.set(-1, "k", "v")
	wiped := (c.leader(-1) + 1) % 3
	eventually(t, "all to have met", func() bool {
		for i := range c.nodes {
			if who, met := c.nodes[i].known.find(c.nodes[wiped].ID()); i != wiped && (!met || who.Incarnation == "") {
				return false
			}
		}
		return true
	})
	c.stop(wiped)
	c.configs[wiped].DataDir = t.TempDir()
	c.start(wiped) // as one of those that form the cluster
	c.fatal(wiped, "has lost its data")

	c.configs[wiped].DataDir, c.configs[wiped].Peers = t.TempDir(), nil
	c.configs[wiped].Join = []string{c.configs[c.leader(-1)].PeerAddr}
	c.refusedStart(wiped, "under a new --node-id")

	// What the words say to do works. Even under the old id: the cluster has taken the new directory in.
	c.must(c.leader(-1), change{Kind: remove, ID: c.configs[wiped].NodeID})
	c.start(wiped)
	eventually(t, "three voters", func() bool { return len(c.group(c.leader(-1)).configured.Load().voters()) == 3 })
	c.agree()
}

// A node that was away when it was removed is told when it comes back, and disturbs nobody: its elections are not heard.
func TestANodeThatWasAwayLearnsThatItWasRemoved(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	away := (leader + 1) % 3
	c.isolate(away, true)
	c.must(leader, change{Kind: remove, ID: c.nodes[away].ID()})
	c.isolate(away, false)
	eventually(t, "end of the removed node", func() bool { return len(c.nodes[away].fatal) > 0 })
	if own, others := c.group(away).raft.CurrentTerm(), c.group(c.leader(-1)).raft.CurrentTerm(); own > others {
		t.Errorf("the removed node is in term %d, the others in %d", own, others)
	}
	c.fatal(away, "was removed from the cluster")
}

// A node that comes back at another address has itself moved.
func TestANodeThatMovedIsFound(t *testing.T) {
	c := startCluster(t, 1, nil)
	c.leader(-1)
	i := c.grow(nil)
	c.start(i)
	c.membersAre("n1v n2v")
	for moved := range 2 {
		c.stop(moved)
		c.configs[moved].Peers, c.configs[moved].PeerAddr = nil, freeAddress(t)
		c.network.mu.Lock()
		c.network.nodes[c.configs[moved].PeerAddr] = moved
		c.network.mu.Unlock()
		c.start(moved)
		eventually(t, "the new address", func() bool {
			s, _ := c.group(1 - moved).configured.Load().find(c.configs[moved].NodeID)
			return string(s.Address) == c.configs[moved].PeerAddr
		})
		c.set(-1, "k", fmt.Sprint(moved))
	}
	c.agree()
}

func TestAcquaintancesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	a, err := openAcquaintances(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		who  identity
		want error
	}{
		{identity{"a", 0}, nil},
		{identity{"a", 0}, nil},
		{identity{"b", 0}, errStranger},
		{identity{"b", 7}, nil},
		{identity{"a", 0}, errStranger},
		{identity{"c", 7}, errStranger},
		{identity{"", 0}, nil},
		{identity{"b", 7}, nil},
	} {
		if err := a.meet("n1", step.who); !errors.Is(err, step.want) {
			t.Errorf("%+v: %v, want %v", step.who, err, step.want)
		}
		if a, err = openAcquaintances(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, knownFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAcquaintances(dir); !errors.Is(err, errDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
}
