package cluster

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var stops = flag.Int("stops", 5, "how often TestAPlannedStopIsNotSeenByClientsOfOtherNodes stops the leader")

// A client of a node that follows writes on while leaders are told to stop, one after the other. It sees no error, and the
// longest wait is what a hand-over takes.
//
// A stop does not count when the other nodes say that one of them led and lost its majority: that is a machine on which
// processes stand still, and another election, of which the stop knows nothing.
func TestAPlannedStopIsNotSeenByClientsOfOtherNodes(t *testing.T) {
	const goal = 250 * time.Millisecond // reported, not enforced: a test that shares its processors is no clock
	c := harness.StartCluster(t, 3, harness.Options{})
	var stalls []time.Duration
	disturbed := 0
	for len(stalls) < *stops {
		leader, follower := c.Leader(), c.Follower()
		nodes := c.Running()
		before := lostMajorities(nodes)
		longest, reply := stopSeen(t, leader, follower)
		switch {
		case lostMajorities(nodes) > before:
			if disturbed++; disturbed > 2**stops {
				t.Fatalf("%d of %d stops were disturbed by elections", disturbed, disturbed+len(stalls))
			}
		case reply != "":
			t.Fatalf("during stop %d, a write through %s was answered %q; the leader that was told to stop says:\n%s\n%s says:\n%s",
				len(stalls)+1, c.Node(follower), reply, leader.Log(), c.Node(follower), follower.Log())
		default:
			stalls = append(stalls, longest)
		}
		c.Relaunch(leader)
	}
	t.Logf("longest waits for a write around %d planned stops: %s; the goal is %v; %d more stops were disturbed by elections",
		len(stalls), spread(stalls), goal, disturbed)
}

// lostMajorities counts how often these nodes led and lost their majority.
func lostMajorities(nodes []*harness.Server) (n int) {
	for _, s := range nodes {
		n += strings.Count(s.Log(), "failed to contact quorum of nodes, stepping down")
	}
	return n
}

// stopSeen stops the leader and returns what a client of the follower saw: its longest wait, and the last reply that was no OK.
func stopSeen(t *testing.T, leader, follower *harness.Server) (longest time.Duration, refused string) {
	t.Helper()
	conn := harness.Dial(t, follower.Addr)
	stopped := make(chan int, 1)
	go func() { stopped <- leader.Stop(t) }()
	for after, code := 0, -1; after < 50; {
		began := time.Now()
		if reply := conn.Must(t, "SET", "k", "v"); reply != "+OK\r\n" {
			refused = strings.TrimSpace(reply)
		}
		longest = max(longest, time.Since(began))
		if code >= 0 {
			after++
			continue
		}
		select {
		case code = <-stopped:
			if code != 0 {
				t.Errorf("exit code %d after SIGTERM", code)
			}
		default:
		}
	}
	return longest, refused
}
