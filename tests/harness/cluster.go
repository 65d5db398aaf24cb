package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Cluster is several dtkv processes on this machine that are one cluster. Their ids are n1, n2 and so on, in order.
type Cluster struct {
	t       testing.TB
	Options // of all of them

	mu      sync.Mutex
	Servers []*Server // a nil is a gap that a test made
}

// StartCluster starts n nodes that form a cluster, and waits until all of them know its leader.
func StartCluster(t testing.TB, n int, o Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Options: o}
	peers := make([]string, n)
	for i := range peers {
		peers[i] = fmt.Sprintf("n%d=%s", i+1, c.place(i+1))
	}
	for _, peer := range peers {
		id, address, _ := strings.Cut(peer, "=")
		c.launch(id, address, "--peers", strings.Join(peers, ","))
	}
	c.Eventually("all nodes to know the leader", func() bool { return c.Agreed() != "" })
	return c
}

// ClusterOf is the cluster that some nodes are which a test has started by itself, n1 the first.
func ClusterOf(t testing.TB, servers ...*Server) *Cluster {
	return &Cluster{t: t, Options: Options{Password: servers[0].Password, CA: servers[0].CA}, Servers: servers}
}

// place is the peer address of a new node.
func (c *Cluster) place(number int) string {
	c.t.Helper()
	if c.Network != nil {
		return c.Network.connect(number)
	}
	return Loopback(Port(c.t))
}

func (c *Cluster) launch(id, peerAddr string, more ...string) *Server {
	c.t.Helper()
	o := c.Options
	o.PeerAddr = peerAddr
	if c.Network != nil {
		o.Addr = clientAddr(peerAddr)
		o.More = append([]string{"--allow-plaintext", "yes"}, o.More...)
	}
	o.More = append(append([]string{"--node-id", id}, more...), o.More...)
	s := Launch(c.t, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Servers = append(c.Servers, s)
	return s
}

// Join starts one more node, which asks a node that runs to be taken in, and waits for nothing.
func (c *Cluster) Join(more ...string) *Server {
	c.t.Helper()
	return c.JoinAt(c.place(len(c.Servers)+1), more...)
}

// JoinAt is [Cluster.Join] for a node with that peer address.
func (c *Cluster) JoinAt(peerAddr string, more ...string) *Server {
	c.t.Helper()
	var running []string
	for _, s := range c.Running() {
		running = append(running, s.PeerAddr)
	}
	id := fmt.Sprintf("n%d", len(c.Servers)+1)
	return c.launch(id, peerAddr, append([]string{"--join", strings.Join(running, ",")}, more...)...)
}

// Running are the nodes whose processes run. Any goroutine may ask.
func (c *Cluster) Running() (list []*Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.Servers {
		if s != nil && s.Alive() {
			list = append(list, s)
		}
	}
	return list
}

// Agreed is the id of the leader if all nodes that run know it, or empty.
func (c *Cluster) Agreed() string {
	leader := ""
	for _, s := range c.Running() {
		status, err := s.Status()
		if err != nil || status["leader"] == "" || leader != "" && status["leader"] != leader {
			return ""
		}
		leader = status["leader"]
	}
	if leader != "" && !c.node(leader).Alive() {
		return ""
	}
	return leader
}

func (c *Cluster) node(id string) *Server {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "n"))
	if err != nil || n < 1 || n > len(c.Servers) {
		c.t.Fatalf("no node %q", id)
	}
	return c.Servers[n-1]
}

// Relaunch starts a node that has ended again, on its addresses and its data, and waits for nothing.
func (c *Cluster) Relaunch(s *Server) *Server {
	c.t.Helper()
	again := Launch(c.t, s.Options)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Servers[slices.Index(c.Servers, s)] = again
	return again
}

// Leader waits until all nodes that run agree on who leads, and returns it.
func (c *Cluster) Leader() *Server {
	c.t.Helper()
	var leader string
	c.Eventually("all nodes to know the leader", func() bool {
		leader = c.Agreed()
		return leader != ""
	})
	return c.node(leader)
}

// Follower is a node that runs and does not lead.
func (c *Cluster) Follower() *Server {
	c.t.Helper()
	leader := c.Leader()
	for _, s := range c.Running() {
		if s != leader {
			return s
		}
	}
	c.t.Fatal("no node follows")
	return nil
}

// Node is the id of one of the nodes.
func (c *Cluster) Node(s *Server) string {
	for i := range c.Servers {
		if c.Servers[i] == s {
			return fmt.Sprintf("n%d", i+1)
		}
	}
	return ""
}

// Eventually is as the function of that name.
func (c *Cluster) Eventually(what string, done func() bool) {
	c.t.Helper()
	Eventually(c.t, what, done)
}

// Same waits until the states of all nodes that run are the same, to the byte, at one index of the log.
func (c *Cluster) Same() {
	c.t.Helper()
	var states []string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("the states of the nodes: %q", states)
		}
	}()
	c.Eventually("all nodes to have one state", func() bool {
		states = nil
		for _, s := range c.Running() {
			state, err := s.digest()
			if err != nil {
				return false
			}
			states = append(states, state)
		}
		return len(slices.Compact(slices.Clone(states))) == 1
	})
}

// digest is what DTKV.INDEX DIGEST says at this node.
func (s *Server) digest() (string, error) {
	c, err := Connect(s.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	reply, err := c.Do("DTKV.INDEX", "DIGEST")
	if err == nil && !strings.Contains(reply, "digest") {
		err = errors.New(reply)
	}
	return reply, err
}

// Status is what DTKV.CLUSTER STATUS says at this node.
func (s *Server) Status() (map[string]string, error) {
	replies, err := s.survey("STATUS")
	if err != nil {
		return nil, err
	}
	return pairs(replies), nil
}

// Nodes is what DTKV.CLUSTER NODES says at this node, by id.
func (s *Server) Nodes() (map[string]map[string]string, error) {
	fields, err := s.survey("NODES")
	if err != nil {
		return nil, err
	}
	nodes := map[string]map[string]string{}
	const perNode = 2 * 7
	for len(fields) >= perNode {
		node := pairs(fields[:perNode])
		nodes[node["id"]], fields = node, fields[perNode:]
	}
	return nodes, nil
}

// survey sends a subcommand of DTKV.CLUSTER and returns the strings and numbers of its reply.
func (s *Server) survey(subcommand string) ([]string, error) {
	c, err := Connect(s.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	reply, err := c.Do("DTKV.CLUSTER", subcommand)
	if err != nil {
		return nil, err
	}
	if reply[0] == '-' {
		return nil, fmt.Errorf("%s: %s", subcommand, strings.TrimSpace(reply))
	}
	var fields []string
	lines := strings.Split(reply, "\r\n")
	for i := 0; i < len(lines); i++ {
		switch line := lines[i]; {
		case strings.HasPrefix(line, "$"):
			i++
			fields = append(fields, lines[i])
		case strings.HasPrefix(line, ":"):
			fields = append(fields, line[1:])
		}
	}
	return fields, nil
}

// Met counts the nodes that this one has written down as known.
func (s *Server) Met(t testing.TB) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.DataDir, "peers.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "incarnation")
}

func pairs(fields []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	return m
}
