package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// has waits until a node is in the cluster in that role, as all running nodes see it.
func has(c *harness.Cluster, s *harness.Server, role string) {
	id := c.Node(s)
	c.Eventually(fmt.Sprintf("%s to be a %s", id, role), func() bool {
		for _, other := range c.Running() {
			nodes, err := other.Nodes()
			if err != nil || nodes[id]["role"] != role || nodes[id]["state"] != "up" {
				return false
			}
		}
		return true
	})
}

func digits(n int) string { return fmt.Sprint(n) }

func TestALearnerHasNoVote(t *testing.T) {
	c := harness.StartCluster(t, 1, harness.Options{})
	learner := c.Join("--learner", "yes")
	has(c, learner, "learner")
	want(t, c.Leader(), "+OK\r\n", "SET", "k", "v")
	refused(t, learner, "is a learner and cannot lead", "DTKV.CLUSTER", "TRANSFER", "n2")
	learner.Kill()
	want(t, c.Leader(), "+OK\r\n", "SET", "k", "w") // nobody waits for it
	c.Servers[1] = harness.Launch(t, learner.Options)
	has(c, c.Servers[1], "learner")
	want(t, c.Servers[1], "+OK\r\n", "DTKV.CLUSTER", "PROMOTE", "n2")
	has(c, c.Servers[1], "voter")
}

// An operator may add a node before or while it is started, instead of letting it add itself.
func TestANodeIsAddedByCommand(t *testing.T) {
	c := harness.StartCluster(t, 1, harness.Options{})
	address := harness.Loopback(harness.Port(t))
	want(t, c.Leader(), "+OK\r\n", "DTKV.CLUSTER", "ADD", "n2", address, "LEARNER")
	want(t, c.Leader(), "+OK\r\n", "SET", "k", "v")
	added := c.JoinAt(address, "--learner", "yes")
	has(c, added, "learner")
	want(t, c.Leader(), "+OK\r\n", "DTKV.CLUSTER", "ADD", "n2", address)
	has(c, added, "voter")
}

func TestAWipedNodeIsKeptOut(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	wiped := c.Follower()
	id := c.Node(wiped)
	c.Eventually("all nodes to have met", func() bool {
		for _, s := range c.Servers {
			if s.Met(t) != 2 {
				return false
			}
		}
		return true
	})
	wiped.Kill()
	o := wiped.Options
	o.DataDir = t.TempDir()
	again := harness.Launch(t, o)
	if code := again.Wait(t); code != 1 || !strings.Contains(again.Log(), "has lost its data") {
		t.Errorf("it ended with code %d:\n%s", code, again.Log())
	}
	o.DataDir = t.TempDir()
	o.More = []string{"--node-id", id, "--join", c.Leader().PeerAddr}
	again = harness.Launch(t, o)
	if code := again.Wait(t); code != 1 || !strings.Contains(again.Log(), "under a new --node-id") {
		t.Errorf("joining, it ended with code %d:\n%s", code, again.Log())
	}
	want(t, c.Leader(), "+OK\r\n", "DTKV.CLUSTER", "REMOVE", id)
	has(c, c.Join(), "voter")
}

// A node that finds nobody to take it in can be told to stop.
func TestANodeThatWaitsToJoinCanBeStopped(t *testing.T) {
	s := harness.Launch(t, harness.Options{More: []string{"--node-id", "n2", "--join", harness.Loopback(harness.Port(t))}})
	harness.Eventually(t, "the wait", func() bool { return strings.Contains(s.Log(), "not taken into a cluster yet") || !s.Alive() })
	if reply := harness.Dial(t, s.Addr).Must(t, "GET", "k"); !strings.HasPrefix(reply, "-LOADING") {
		t.Errorf("a client is answered %q", reply)
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, s.Log())
	}
}
