package replica

import (
	"errors"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/ttl"
)

// expiring is a group as its ttl.Loop sees it.
type expiring struct {
	group    *Group
	proposal *Proposal
}

var _ ttl.Group = (*expiring)(nil)

// Leading implements ttl.Group.
func (e *expiring) Leading() bool { return e.group.leads(e.group.ready.Load()) }

// ClusterMillis implements ttl.Group.
func (e *expiring) ClusterMillis() int64 { return e.group.proposals.clusterMillis() }

// ExpireDue implements ttl.Group. The operation joins whatever entry is being gathered.
func (e *expiring) ExpireDue(limit int64) (more bool, err error) {
	if !e.Leading() {
		return false, ErrNoLeader
	}
	p := e.proposal
	if p == nil {
		p = &Proposal{N: 1}
		e.proposal = p
	}
	p.Ops = (&fsm.ExpireDue{Limit: limit}).AppendTo(p.Ops[:0])
	if err := e.group.propose(p, time.Now()); err != nil {
		if errors.Is(err, ErrInDoubt) {
			e.proposal = nil // it may still be in use
		}
		return false, err
	}
	e.group.counts.expired.Add(uint64(p.Results[0].Int))
	return p.Results[0].Found, nil
}

// nextDeadline returns the earliest deadline, ttl.Never if there is none.
func nextDeadline(v fsm.View) int64 {
	if at, ok := v.NextDeadline(); ok {
		return at
	}
	return ttl.Never
}

func (g *Group) hasDeadlines() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return nextDeadline(g.machine.View()) != ttl.Never
}
