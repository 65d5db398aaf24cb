package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// rounds shares confirmations among reads. A read may join only a round that has not begun, since an answer to an
// earlier question says nothing about a leader elected in between (etcd issue 20418). One round runs, one gathers.
//
// No goroutine stands behind it: whoever brings the last piece of news, of a voter, of the leader, of an applied entry or
// of time, ends the round and begins the next. mu is a leaf.
type rounds struct {
	mu      sync.Mutex
	number  uint64        // of the newest round
	running *round        // nil if none is
	next    []waitingRead // wait for the next one
	resting bool          // the next one begins in a moment; see roundPause
	slow    bool          // the newest one that asked voters had to wait for longer than thrift
	closed  bool

	timer *time.Timer // looks after the round that runs
	due   time.Time   // when it will next; zero if it is not set
}

// waitingRead is one that waits until this node's state is current.
type waitingRead struct {
	until time.Time // it may wait for a leader
	done  func(error)
}

// round is one confirmation. The group's rounds.mu guards what changes.
type round struct {
	number    uint64
	reads     []waitingRead
	term      uint64 // in which this node leads; 0 if another node is asked
	committed uint64 // must be applied here
	yes, no   int    // of the voters
	need, all int
	confirmed bool
	servers   []raft.Server // nil once all voters among them are asked
	asked     time.Time     // when the first of them was
	until     time.Time     // when it ends, whatever has been heard
}

// barrier returns once a read of the local state is linearizable.
//
// On the leader: this node leads in a term whose first own entry it has applied, a majority of voters, asked after the
// call began, hold no newer term, and all that was committed when they were asked is applied here. Raft's own
// VerifyLeader cannot tell: it counts answers to old questions, and those of non-voters.
//
// It is not enough that this leader has applied what it acknowledged: a follower may apply an entry before its leader
// does, acknowledge the write and show it to readers. But it learned from the leader's commit index that it may.
//
// On other nodes: the leader has done all this after the call began, and what it had applied then is applied here.
func (g *Group) barrier(ctx context.Context) error {
	if g.Current() {
		return nil // nobody else can be elected, and nobody is told anything
	}
	confirmed := make(chan error, 1)
	g.Confirm(func(err error) { confirmed <- err })
	select {
	case err := <-confirmed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	}
}

// Confirm is the part of [Group.Read] that waits: when it has called done with nil, Stale shows a state that holds every
// write acknowledged, by any node, before Confirm was called. It returns at once and calls done once, from anywhere; done
// must not block. Errors: ErrNoLeader after the election wait, ErrClosed.
func (g *Group) Confirm(done func(error)) {
	g.join(waitingRead{time.Now().Add(g.cfg.ElectionWait), done})
}

// Current reports whether Read and Frozen would answer at once: this node leads, and the group has no other.
func (g *Group) Current() bool { return g.leads(g.ready.Load()) && g.stores.log.alone.Load() }

// thrift is how long a round waits for no more voters than it needs before it asks the others. One that is not answered
// within it has the next one ask all.
const thrift = 2 * time.Millisecond

// roundPause is the time between a round that found no leader and the next.
const roundPause = 5 * time.Millisecond

// join lets a read wait for the next round.
func (g *Group) join(r waitingRead) {
	q := &g.rounds
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		r.done(ErrClosed)
		return
	}
	q.next = append(q.next, r)
	begun := q.begin()
	q.mu.Unlock()
	g.start(begun)
}

// begin makes the next round if it may start and somebody waits for it. The caller holds mu.
func (q *rounds) begin() *round {
	if q.running != nil || q.resting || q.closed || len(q.next) == 0 {
		return nil
	}
	q.number++
	q.running = &round{number: q.number, reads: q.next}
	q.next = nil
	return q.running
}

// start does what a round does before it waits.
func (g *Group) start(r *round) {
	if r == nil {
		return
	}
	limit := g.patience()
	if left := time.Until(r.reads[0].until); left > 0 { // else it is to wait for this round only
		limit = min(limit, left)
	}
	q := &g.rounds
	q.mu.Lock()
	if q.running != r { // it was ended between begin and here, since the group ends
		q.mu.Unlock()
		return
	}
	r.until = time.Now().Add(limit)
	g.attend(r)
	q.mu.Unlock()
	if term := g.ready.Load(); g.leads(term) {
		g.askVoters(r, term)
	} else if l := g.link.Load(); l != nil {
		g.askReadIndex(r, l)
	} else {
		g.end(r, ErrNoLeader)
	}
}

// attend has the timer look after a round in time. The timer is never set back, nor stopped: to set it for each round, and so
// soon, would have the Go runtime wake a thread for each. The caller holds rounds.mu.
func (g *Group) attend(r *round) {
	q := &g.rounds
	due := r.until
	if r.servers != nil && !r.confirmed {
		due = r.asked.Add(thrift)
	}
	switch {
	case !q.due.IsZero() && !due.Before(q.due):
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(time.Until(due), g.late)
	default:
		q.timer.Reset(time.Until(due))
	}
	q.due = due
}

// late ends the round that runs if its time is over, and asks the voters that were not asked yet if it is time for that.
func (g *Group) late() {
	q := &g.rounds
	q.mu.Lock()
	q.due = time.Time{}
	r := q.running
	if r == nil || q.closed {
		q.mu.Unlock()
		return
	}
	now := time.Now()
	over := !now.Before(r.until)
	var others []raft.Server
	if !over {
		if !r.confirmed && !now.Before(r.asked.Add(thrift)) {
			others = r.others()
		}
		g.attend(r)
	}
	q.mu.Unlock()
	switch {
	case over:
		g.end(r, fmt.Errorf("%w: no answer in time", ErrNoLeader))
	case others != nil:
		g.voices.ask(others, r.number, len(others))
	}
}

// others returns the servers of a round of which some have not been asked, once. The caller holds rounds.mu.
func (r *round) others() (servers []raft.Server) {
	servers, r.servers = r.servers, nil
	return servers
}

// end tells the reads of a round what came of it. Those that may wait for a leader join the next round. Any but the first
// call for a round does nothing.
func (g *Group) end(r *round, err error) {
	q := &g.rounds
	q.mu.Lock()
	if q.running != r {
		q.mu.Unlock()
		return
	}
	q.running = nil
	told := r.reads
	if errors.Is(err, ErrNoLeader) && !q.closed { // a read may be repeated: it has no effects
		now := time.Now()
		due := func(r waitingRead) bool { return !now.Before(r.until) }
		q.next = append(slices.DeleteFunc(slices.Clone(told), due), q.next...) // those that must be told first come first
		told = slices.DeleteFunc(told, func(r waitingRead) bool { return !due(r) })
		q.resting = true
	}
	begun, resting := q.begin(), q.resting
	q.mu.Unlock()
	if resting {
		time.AfterFunc(roundPause, g.resume)
	}
	g.start(begun)
	for _, read := range told {
		read.done(err)
	}
}

// resume ends the rest after a round that found no leader.
func (g *Group) resume() {
	q := &g.rounds
	q.mu.Lock()
	q.resting = false
	begun := q.begin()
	q.mu.Unlock()
	g.start(begun)
}

// endIfDeposed ends a round that waits for voters when this node leads no more: they may never answer.
func (g *Group) endIfDeposed() {
	g.rounds.mu.Lock()
	r, term := g.rounds.running, uint64(0)
	if r != nil {
		term = r.term
	}
	g.rounds.mu.Unlock()
	if term != 0 && !g.leads(term) {
		g.end(r, ErrNoLeader)
	}
}

// closeRounds tells all reads that the group ends.
func (g *Group) closeRounds() {
	q := &g.rounds
	q.mu.Lock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
	}
	r, waiting := q.running, q.next
	q.next = nil
	q.mu.Unlock()
	if r != nil {
		g.end(r, ErrClosed)
	}
	for _, read := range waiting {
		read.done(ErrClosed)
	}
}

// askVoters asks other voters whether they hold this leader's term: as many as it needs if that went fast lately, else all.
func (g *Group) askVoters(r *round, term uint64) {
	committed := g.raft.CommitIndex()
	future := g.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		g.end(r, fmt.Errorf("%w: %w", ErrNoLeader, err))
		return
	}
	servers := future.Configuration().Servers
	q := &g.rounds
	q.mu.Lock()
	r.term, r.committed = term, committed
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			r.all++
			if s.ID == g.transport.id {
				r.yes++
			}
		}
	}
	r.need = r.all/2 + 1
	alone := r.yes >= r.need
	r.confirmed = alone
	r.asked = time.Now()
	some := len(servers)
	if !q.slow && !alone && q.running == r {
		some, r.servers = r.need-r.yes, servers
		g.attend(r)
	}
	q.mu.Unlock()
	if alone {
		g.arrive(r, committed)
		return
	}
	g.voices.ask(servers, r.number, some)
}

// heard takes the answer of a voter to the question of a round, or the news that there will be none: term 0. It reports
// whether that helped to confirm it.
func (g *Group) heard(number, term uint64) bool {
	q := &g.rounds
	q.mu.Lock()
	r := q.running
	if r == nil || r.number != number || r.confirmed {
		q.mu.Unlock()
		return false
	}
	var others []raft.Server
	if term == r.term {
		r.yes++
	} else {
		r.no++
		others = r.others()
	}
	r.confirmed = r.yes >= r.need
	if r.confirmed {
		q.slow = time.Since(r.asked) > thrift
	}
	confirmed, hopeless := r.confirmed, r.no > r.all-r.need
	q.mu.Unlock()
	switch {
	case hopeless, confirmed && !g.leads(r.term):
		g.end(r, fmt.Errorf("%w: %d of %d voters confirmed term %d", ErrNoLeader, r.yes, r.all, r.term))
	case confirmed:
		// Entries that the state never sees come before a term's first own one, which is applied, so this ends.
		g.arrive(r, r.committed)
	case others != nil:
		g.voices.ask(others, number, len(others))
	}
	return term == r.term
}

// arrive ends a round once the entry at index is applied here.
func (g *Group) arrive(r *round, index uint64) {
	g.arrivals.at(&g.applied, index, func() { g.end(r, nil) })
}
