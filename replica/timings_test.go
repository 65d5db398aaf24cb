package replica

import (
	"testing"
	"time"
)

// A leader knows from Raft's own messages how far the others are and when it heard of them last, and every node how long
// its entries took.
func TestALeaderKnowsHowFarOthersAre(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader(-1)
	for range 5 {
		c.set(-1, "k", "v")
	}
	c.agree()
	deadline := time.Now().Add(testTimeout)
	for {
		s := c.group(leader).Status()
		level := 0
		for _, f := range s.Follows {
			if f.Last == s.LastIndex && time.Since(f.Heard) < time.Minute && f.Client == "" && f.Voter && f.ID != "" {
				level++
			}
		}
		if level == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the leader at %d sees %+v", s.LastIndex, s.Follows)
		}
		time.Sleep(5 * time.Millisecond)
	}
	var proposed uint64
	for i := range c.nodes {
		s, took := c.group(i).Status(), c.group(i).Timings()
		proposed += took.Propose.Count
		if i != leader && len(s.Follows) != 0 {
			t.Errorf("node %d follows, and is followed by %+v", i, s.Follows)
		}
		if took.Apply.Count < 5 || took.Store.Count == 0 || took.Store.Sum == 0 || s.Leaders == 0 || s.Queued != 0 || s.InFlight != 0 {
			t.Errorf("node %d: applied %d, stored %d in %s, %+v", i, took.Apply.Count, took.Store.Count, took.Store.Sum, s)
		}
	}
	if proposed < 5 {
		t.Errorf("%d entries were proposed", proposed)
	}

	other := (leader + 1) % 3
	c.isolate(other, true)
	before := c.group(leader).Status().Follows
	for range 5 {
		c.set(other, "k", "v")
	}
	for i, f := range c.group(leader).Status().Follows {
		if f.ID == c.nodes[other].ID() && f.Last > before[i].Last {
			t.Errorf("a node that is cut off has gone from %d to %d", before[i].Last, f.Last)
		}
	}
}
