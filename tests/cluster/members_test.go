package cluster

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// want fails the test unless the node at addr answers these bytes.
func want(t *testing.T, s *harness.Server, reply string, args ...string) {
	t.Helper()
	harness.Dial(t, s.Addr).Want(t, reply, args...)
}

// refused wants an error that says this.
func refused(t *testing.T, s *harness.Server, says string, args ...string) {
	t.Helper()
	if reply := harness.Dial(t, s.Addr).Must(t, args...); !strings.HasPrefix(reply, "-ERR ") || !strings.Contains(reply, says) {
		t.Errorf("%q: %q, want an error with %q", args, reply, says)
	}
}

func TestThreeNodesFormACluster(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	leader, follower := c.Leader(), c.Follower()
	want(t, leader, "+OK\r\n", "SET", "k", "v")
	id := ""
	for _, s := range c.Servers {
		status, err := s.Status()
		if err != nil {
			t.Fatal(err)
		}
		if status["state"] != "ok" || status["voters"] != "3" || status["voters-up"] != "3" || status["node"] != c.Node(s) {
			t.Errorf("%s: %v", c.Node(s), status)
		}
		if id != "" && status["cluster"] != id {
			t.Errorf("%s is of cluster %s, others of %s", c.Node(s), status["cluster"], id)
		}
		id = status["cluster"]
		nodes, err := s.Nodes()
		if err != nil || len(nodes) != 3 {
			t.Fatalf("nodes at %s: %v, %v", c.Node(s), nodes, err)
		}
		for _, other := range c.Servers {
			n := nodes[c.Node(other)]
			if n["address"] != other.PeerAddr || n["client"] != other.Addr || n["state"] != "up" || (n["role"] == "leader") != (other == leader) {
				t.Errorf("%s as %s sees it: %v", c.Node(other), c.Node(s), n)
			}
		}
	}
	follower.Kill()
	c.Eventually("a node to be down", func() bool {
		status, err := leader.Status()
		return err == nil && status["state"] == "degraded" && status["voters-up"] == "2"
	})
}

// Any node takes a change, and a change that would end the cluster is refused.
func TestMembersChangeThroughAnyNode(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	leader, follower := c.Leader(), c.Follower()
	want(t, follower, "+OK\r\n", "DTKV.CLUSTER", "TRANSFER", c.Node(follower))
	if got := c.Leader(); got != follower {
		t.Errorf("%s leads after a transfer to %s", c.Node(got), c.Node(follower))
	}
	want(t, leader, "+OK\r\n", "DTKV.CLUSTER", "DEMOTE", c.Node(leader))
	want(t, leader, "+OK\r\n", "DTKV.CLUSTER", "PROMOTE", c.Node(leader))
	refused(t, leader, "node 'n9' is not a member", "DTKV.CLUSTER", "REMOVE", "n9")

	gone := c.Follower()
	gone.Kill()
	other := c.Follower()
	refused(t, other, "only 1 would answer", "DTKV.CLUSTER", "REMOVE", c.Node(other))
	want(t, other, "+OK\r\n", "DTKV.CLUSTER", "REMOVE", c.Node(gone))
	want(t, c.Leader(), "+OK\r\n", "SET", "k", "v")
	status, err := other.Status()
	if err != nil || status["voters"] != "2" || status["state"] != "ok" {
		t.Errorf("after the removal: %v, %v", status, err)
	}
}

// A leader that is told to stop hands over first: the others know their new leader before it is gone.
func TestALeaderThatStopsHandsOver(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	for range 3 {
		old := c.Leader()
		want(t, old, "+OK\r\n", "SET", "k", "v")
		if code := old.Stop(t); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
		for _, s := range c.Running() {
			status, err := s.Status()
			if err != nil || status["leader"] == "" || status["leader"] == c.Node(old) {
				t.Errorf("%s at %s, when the old leader has just gone: %v, %v", c.Node(old), c.Node(s), status, err)
			}
		}
		for i := range c.Servers {
			if c.Servers[i] == old {
				c.Servers[i] = harness.Launch(t, old.Options)
			}
		}
	}
}
