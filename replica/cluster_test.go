package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

const testTimeout = 20 * time.Second

// testNetwork is TCP on loopback in which pairs of nodes can be cut off from each other.
type testNetwork struct {
	mu    sync.Mutex
	nodes map[string]int   // by peer address
	cut   map[[2]int]error // why they cannot be reached
	conns map[[2]int][]net.Conn
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// dialer returns how node from dials.
func (n *testNetwork) dialer(from int) func(string, time.Duration) (net.Conn, error) {
	return func(address string, timeout time.Duration) (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", address, timeout)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		way := pair(from, n.nodes[address])
		if err := n.cut[way]; err != nil {
			conn.Close()
			return nil, err
		}
		n.conns[way] = append(n.conns[way], conn)
		return conn, nil
	}
}

var errCutOff = errors.New("cut off")

// set cuts the way between two nodes, dropping what is on it, or mends it.
func (n *testNetwork) set(a, b int, cut bool) {
	if cut {
		n.fail(a, b, errCutOff)
	} else {
		n.fail(a, b, nil)
	}
}

// fail has whoever dials on the way between two nodes get an error, or mends the way.
func (n *testNetwork) fail(a, b int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	way := pair(a, b)
	n.cut[way] = err
	for _, c := range n.conns[way] {
		c.Close()
	}
	n.conns[way] = nil
}

// cluster is some voters in this process with the real transport between them.
type cluster struct {
	t       *testing.T
	network *testNetwork
	nodes   []*Node
	configs []Config
}

func quietLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func startCluster(t *testing.T, n int, change func(i int, cfg *Config)) *cluster {
	t.Helper()
	c := &cluster{
		t:       t,
		network: &testNetwork{nodes: map[string]int{}, cut: map[[2]int]error{}, conns: map[[2]int][]net.Conn{}},
		nodes:   make([]*Node, n),
	}
	var peers []Peer
	for i := range n {
		peers = append(peers, Peer{ID: fmt.Sprintf("n%d", i+1), Address: freeAddress(t)})
		c.network.nodes[peers[i].Address] = i
	}
	for i, p := range peers {
		cfg := Config{
			DataDir: t.TempDir(), NodeID: p.ID, PeerAddr: p.Address, Peers: peers, Logger: quietLogger(),
			heartbeat: 300 * time.Millisecond, dial: c.network.dialer(i),
		}
		if change != nil {
			change(i, &cfg)
		}
		c.configs = append(c.configs, cfg)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) start(i int) {
	c.t.Helper()
	n, err := Open(c.configs[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
}

func (c *cluster) stop(i int) {
	if n := c.nodes[i]; n != nil {
		c.nodes[i] = nil
		if err := n.Close(); err != nil {
			c.t.Errorf("close node %d: %v", i+1, err)
		}
	}
}

func (c *cluster) group(i int) *Group {
	g, _ := c.nodes[i].Group(0)
	return g
}

// leader returns the number of a node, other than not, that leads and is ready.
func (c *cluster) leader(not int) int {
	c.t.Helper()
	found := -1
	eventually(c.t, "a leader", func() bool {
		for i, n := range c.nodes {
			if n != nil && i != not && c.group(i).Status().Ready {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

// set writes through whoever leads, as often as it takes: on a busy machine leadership may move at any moment, and
// setting a key twice does no harm.
func (c *cluster) set(not int, key, value string) {
	c.t.Helper()
	eventually(c.t, "successful write of "+key, func() bool {
		p := proposal(setTo(key, value))
		return c.group(c.leader(not)).Propose(testContext(c.t), p) == nil && p.Results[0].Err == nil
	})
}

// agree waits until all nodes hold the same tree.
func (c *cluster) agree() {
	c.t.Helper()
	eventually(c.t, "equal state on all nodes", func() bool {
		want := contents(c.group(0))
		for i := range c.nodes {
			if contents(c.group(i)) != want {
				return false
			}
		}
		return true
	})
}

// isolate cuts node i off from all others, or brings it back.
func (c *cluster) isolate(i int, cut bool) {
	for j := range c.nodes {
		if j != i {
			c.network.set(i, j, cut)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		if _, before := handedOut.LoadOrStore(address, true); !before {
			return address
		}
	}
}

// handedOut: the system gives a port again once it is closed, so two nodes of a cluster could get the same.
var handedOut sync.Map

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("no %s within %v", what, testTimeout)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func openSingle(t *testing.T, cfg Config) (*Node, *Group) {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.PeerAddr == "" {
		cfg.PeerAddr = "127.0.0.1:0"
	}
	if cfg.heartbeat == 0 {
		cfg.heartbeat = 50 * time.Millisecond
	}
	cfg.Logger = quietLogger()
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := n.Group(0)
	if err := g.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return n, g
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func proposal(ops ...fsm.Op) *Proposal {
	p := &Proposal{N: len(ops)}
	for _, op := range ops {
		p.Ops = op.AppendTo(p.Ops)
	}
	return p
}

func setTo(key, value string) fsm.Op { return &fsm.Set{Key: []byte(key), Value: []byte(value)} }

func mustSet(t *testing.T, g *Group, key, value string) {
	t.Helper()
	p := proposal(setTo(key, value))
	if err := g.Propose(testContext(t), p); err != nil {
		t.Fatalf("set %s: %v", key, err)
	}
	if err := p.Results[0].Err; err != nil {
		t.Fatalf("set %s: %v", key, err)
	}
}

func get(t *testing.T, g *Group, key string) string {
	t.Helper()
	value := "(missing)"
	err := g.Read(testContext(t), func(v fsm.View) {
		if n, ok := v.Lookup([]byte(key)); ok {
			value = n.Value
		}
	})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return value
}

// contents is the whole tree as text. Unlike the digest it leaves out index and term, which move with every election.
func contents(g *Group) string {
	var b strings.Builder
	g.mu.RLock()
	defer g.mu.RUnlock()
	g.machine.View().Ascend(func(n *fsm.Node) bool {
		deadline, _ := n.Deadline()
		fmt.Fprintf(&b, "%s %v %q %v %v %d %s\n", n.Key, n.Kind, n.Value, n.Created, n.Updated, deadline, n.Owner().Digest())
		return true
	})
	return b.String()
}
