package harness

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// envCluster set to "follower" makes [Start] hand out a node that follows, of a cluster of three.
const envCluster = "DTKV_TEST_CLUSTER"

// ThroughFollower reports whether [Start] hands out a node that follows. A test that is right of every server need not
// ask.
func ThroughFollower() bool { return os.Getenv(envCluster) == "follower" }

// startFollower starts three nodes and hands out the first, which is at the addresses and the directory that o names, and
// does not lead. The others are like it, at their own.
func startFollower(t testing.TB, o Options) *Server {
	t.Helper()
	c := &Cluster{t: t, Options: o}
	var peers []string
	for i := range 3 {
		peerAddr := o.PeerAddr
		if i > 0 || peerAddr == "" {
			peerAddr = Loopback(Port(t))
		}
		peers = append(peers, fmt.Sprintf("n%d=%s", i+1, peerAddr))
	}
	for i, peer := range peers {
		id, address, _ := strings.Cut(peer, "=")
		if i > 0 {
			c.Addr, c.DataDir, c.HTTPAddr = "", "", ""
		}
		c.launch(id, address, "--peers", strings.Join(peers, ","))
	}
	s := c.Servers[0]
	s.cluster = c
	s.follow(t)
	return s
}

// follow waits until the other nodes lead this one.
func (s *Server) follow(t testing.TB) {
	t.Helper()
	c := s.cluster
	id := c.Node(s)
	Eventually(t, id+" to follow", func() bool {
		if !s.Alive() {
			t.Fatalf("dtkv on %s: %s\n%s", s.Addr, s.state(), s.Log())
		}
		leader := c.Agreed()
		if leader == id {
			if conn, err := Connect(s.Addr); err == nil {
				_, _ = conn.Do("DTKV.CLUSTER", "TRANSFER") // What came of it shows the next time around.
				conn.Close()
			}
		}
		return leader != "" && leader != id
	})
}

// again starts a node anew that was handed out before.
func (o Options) again(t testing.TB) *Server {
	t.Helper()
	c := o.cluster
	for i, old := range c.Servers {
		if old.DataDir != o.DataDir {
			continue
		}
		s := Launch(t, o)
		c.mu.Lock()
		c.Servers[i] = s
		c.mu.Unlock()
		s.follow(t)
		return s
	}
	t.Fatalf("no node had its data in %s", o.DataDir)
	return nil
}
