package replica

import (
	"slices"
	"sync"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

// crew is which process of each other node has asked this one since it leads in a term. A node has one process at a time,
// and places waiters in queues only after it has asked: so in that term the waiters of all other processes belong to nobody.
//
// mu is a leaf.
type crew struct {
	mu        sync.Mutex
	term      uint64
	processes map[string]uint64 // by node
	since     time.Time         // when the term or its newest process was first seen
}

// begin forgets what was seen in other terms.
func (c *crew) begin(term uint64) {
	if c.term != term {
		c.term, c.processes, c.since = term, map[string]uint64{}, time.Now()
	}
}

// note remembers who asks.
func (c *crew) note(term uint64, node string, process uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(term)
	if c.processes[node] != process {
		c.processes[node] = process
		c.since = time.Now()
	}
}

// all returns the processes of the nodes in ascending order, and since when they have been so. ok is false when one has
// not asked in the term.
func (c *crew) all(term uint64, nodes []string) (list []uint64, since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(term)
	for _, node := range nodes {
		process, known := c.processes[node]
		if !known {
			return nil, since, false
		}
		list = append(list, process)
	}
	slices.Sort(list)
	return list, c.since, true
}

// retain makes those leave their queues who waited for locks at processes that have ended, and have not come back within
// the grace time. Their connections are gone, and a grant would go to nobody. The leader knows that once it has heard of
// all members.
func (g *Group) retain() {
	tick := time.NewTicker(g.cfg.grace)
	defer tick.Stop()
	var done []uint64 // the list that was proposed last
	var last uint64   // in this term
	for {
		select {
		case <-g.stopped:
			return
		case <-tick.C:
		}
		term := g.ready.Load()
		if !g.leads(term) {
			continue
		}
		others, err := g.others()
		if err != nil {
			continue
		}
		list, since, ok := g.crew.all(term, others)
		if !ok || time.Since(since) < g.cfg.grace || last == term && slices.Equal(list, done) {
			continue
		}
		if g.hasDeadlines() { // each waiter has one
			op := fsm.RetainProcesses{Processes: append([]uint64{g.origin}, list...)}
			if g.propose(&Proposal{N: 1, Ops: op.AppendTo(nil)}, time.Now()) != nil {
				continue
			}
		}
		last, done = term, list
	}
}

// others are the ids of all other members, also of those whose entry is not committed yet: they may ask already.
func (g *Group) others() (list []string, err error) {
	f := g.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, err
	}
	for _, s := range f.Configuration().Servers {
		if s.ID != g.transport.id {
			list = append(list, string(s.ID))
		}
	}
	return list, nil
}
