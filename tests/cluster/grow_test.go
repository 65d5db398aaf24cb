package cluster

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

var writes = flag.Int("writes", 50, "writes of each writer between two changes of a cluster that grows and shrinks")

// A cluster grows from one node to five and shrinks to one again, loses a node for good and gets another one, and leadership goes
// around, all while clients write through all nodes. They see no error that they are not told to expect, nothing that was
// acknowledged is lost, and in between all nodes have the same state.
func TestAClusterGrowsAndShrinksUnderLoad(t *testing.T) {
	c := harness.StartCluster(t, 1, harness.Options{SnapshotEntries: 500})
	var writers []*writer
	for i := range 3 {
		writers = append(writers, writeAs(t, c, fmt.Sprint("w", i), i))
	}
	hear := func(what string) {
		t.Helper()
		for _, w := range writers {
			w.hear(t, *writes)
		}
		t.Log(what, "with nodes", len(c.Running()))
	}
	for i := 2; i <= 5; i++ {
		has(c, c.Join(), "voter")
		hear("grown")
	}

	dead := c.Follower()
	dead.Kill()
	hear("a node died")
	want(t, c.Running()[0], "+OK\r\n", "DTKV.CLUSTER", "REMOVE", c.Node(dead))
	has(c, c.Join(), "voter")
	hear("replaced")
	compare(c, writers)

	for i := range 2 * len(c.Running()) {
		nodes := c.Running()
		lead(t, c, nodes[(i+1)%len(nodes)], nodes[i%len(nodes)])
	}
	hear("leadership went around")

	compare(c, writers)
	for len(c.Running()) > 1 {
		shrink(t, c)
		hear("shrunk")
		if len(c.Running()) == 3 {
			compare(c, writers)
		}
	}
	for _, w := range writers {
		w.end(t)
	}
}

// compare compares the states of all nodes at a moment when nobody writes.
func compare(c *harness.Cluster, writers []*writer) {
	for _, w := range writers {
		w.gate.Lock()
		defer w.gate.Unlock()
	}
	c.Same()
}

// shrink removes a node, the leader more often than not. It ends, and may not come back.
func shrink(t *testing.T, c *harness.Cluster) {
	t.Helper()
	gone := c.Running()[0]
	want(t, c.Running()[1], "+OK\r\n", "DTKV.CLUSTER", "REMOVE", c.Node(gone))
	if code := gone.Wait(t); code != 1 || !strings.Contains(gone.Log(), "was removed from the cluster") {
		t.Errorf("%s ended with code %d after its removal:\n%s", c.Node(gone), code, gone.Log())
	}
	again := harness.Launch(t, gone.Options)
	if code := again.Wait(t); code != 1 || !strings.Contains(again.Log(), "under a new id") {
		t.Errorf("%s ended with code %d, started again:\n%s", c.Node(gone), code, again.Log())
	}
}
