package replica

import (
	"errors"
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
	var refused refusal
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
		err := g.settled(g.raft.ApplyLog(raft.Log{Data: g.leaderStart(term)}, enqueueTimeout))
		if err == nil {
			announced = term
		}
		if refused.lasts(term, err, time.Now(), transferLimit*g.cfg.heartbeat) {
			_ = g.watch.check(errTransferring) // returns when the group has ended
			return
		}
	}
}

// settled waits for a future without holding up the end of the group.
func (g *Group) settled(future raft.ApplyFuture) error {
	result := make(chan error, 1)
	go func() { result <- future.Error() }() // Raft may lose a future at shutdown; then this stays behind
	select {
	case err := <-result:
		return err
	case <-g.stopped:
		return ErrClosed
	}
}

// errTransferring is hashicorp/raft issue 696: a transfer of leadership that hangs when the leader is deposed meanwhile. Should
// it lead again, it refuses all writes, the first of its term too, and nobody else stands for election. Only a new process helps.
var errTransferring = errors.New("an earlier transfer of leadership has never ended, and this leader can accept no write; start the node again")

// transferLimit is for how long a leader may refuse its own first entry because of an earlier transfer, in election timeouts.
const transferLimit = 2

// refusal is since when a leader has refused its own first entry because leadership is being transferred.
type refusal struct {
	term  uint64
	since time.Time
}

// lasts takes what came of the first entry of a term, and reports whether it has been refused for longer than limit.
func (r *refusal) lasts(term uint64, err error, now time.Time, limit time.Duration) bool {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		*r = refusal{}
		return false
	}
	if r.term != term {
		*r = refusal{term, now}
	}
	return now.Sub(r.since) > limit
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
