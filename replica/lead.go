package replica

import (
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// leadPoll is how often lead looks by itself. Raft's notice may come late or merge two changes into one; what matters
// hangs on the applied entry, which cannot be missed.
const leadPoll = 100 * time.Millisecond

// lead proposes a LeaderStart entry in every term that this node wins, so that readers know when all that earlier
// leaders acknowledged is applied here, and so that the cluster clock goes on from the applied value.
func (g *Group) lead() {
	tick := time.NewTicker(leadPoll)
	defer tick.Stop()
	var announced uint64 // the newest term that LeaderStart was proposed in
	for {
		select {
		case <-g.stopped:
			return
		case <-g.notify:
		case <-tick.C:
		}
		term := g.raft.CurrentTerm()
		if g.raft.State() != raft.Leader {
			select {
			case g.deposed <- struct{}{}:
			default:
			}
			g.endIfDeposed()
			continue
		}
		if term == announced {
			continue
		}
		future := g.raft.ApplyLog(raft.Log{Data: g.leaderStart(term)}, enqueueTimeout)
		if g.settled(future) {
			announced = term
		}
	}
}

// settled waits for a future without holding up the end of the group, and reports success.
func (g *Group) settled(future raft.ApplyFuture) bool {
	result := make(chan error, 1)
	go func() { result <- future.Error() }() // Raft may lose a future at shutdown; then this stays behind
	select {
	case err := <-result:
		return err == nil
	case <-g.stopped:
		return false
	}
}

func (g *Group) leaderStart(term uint64) []byte {
	op := fsm.LeaderStart{Term: term, Node: g.node.meta.NodeID}
	data := op.AppendTo(make([]byte, fsm.HeaderSize))
	fsm.SealEntry(data, fsm.Header{Term: term, WallMillis: g.cfg.now().UnixMilli(), Origin: g.origin}, 1)
	return data
}

// noteLeader opens the gate when the entry just applied began this node's own term. The apply goroutine calls it.
func (g *Group) noteLeader(e *fsm.Entry, leaderTerm uint64, clock int64) {
	if leaderTerm == g.leaderTerm {
		return
	}
	g.leaderTerm = leaderTerm
	g.counts.leaders.Add(1)
	g.proposals.superseded(leaderTerm)
	if e.Origin == g.origin {
		g.proposals.begin(leaderTerm, clock)
		g.proposals.kick()
		g.expiry.Wake()
	}
	g.turn.changed()
}
