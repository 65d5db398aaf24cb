package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// A client of a node that follows writes on while leaders are told to stop, one after the other. It sees no error, and the
// longest wait is what a hand-over takes.
func TestAPlannedStopIsNotSeenByClientsOfOtherNodes(t *testing.T) {
	const goal = 250 * time.Millisecond // on an idle machine; reported, not enforced
	c := harness.StartCluster(t, 3, harness.Options{})
	var stalls []time.Duration
	for range 3 {
		leader, follower := c.Leader(), c.Follower()
		conn := harness.Dial(t, follower.Addr)
		stopped := make(chan int, 1)
		go func() { stopped <- leader.Stop(t) }()
		longest, code, refused := time.Duration(0), -1, ""
		for after := 0; after < 50; {
			began := time.Now()
			if reply := conn.Must(t, "SET", "k", "v"); reply != "+OK\r\n" {
				refused = strings.TrimSpace(reply)
				after++
			}
			longest = max(longest, time.Since(began))
			if code >= 0 {
				after++
				continue
			}
			select {
			case code = <-stopped:
			default:
			}
		}
		if code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
		if refused != "" && !strings.Contains(leader.Log(), "not handed over") { // a busy machine may fail to
			t.Errorf("a write through %s was answered %q", c.Node(follower), refused)
		}
		stalls = append(stalls, longest.Round(time.Millisecond))
		c.Servers[slices.Index(c.Servers, leader)] = harness.Launch(t, leader.Options)
	}
	t.Logf("longest waits for a write around a planned stop: %v; the goal is %v", stalls, goal)
}
