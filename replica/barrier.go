package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// rounds shares confirmations among reads. A read may join only a round that has not begun, since an answer to an
// earlier question says nothing about a leader elected in between (etcd issue 20418). One round runs, one gathers.
type rounds struct {
	mu      sync.Mutex
	next    *round // gathering; nil if no read waits
	running bool
}

type round struct {
	done chan struct{}
	err  error
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
	began := time.Now()
	for {
		err := g.leading(ctx)
		if err == nil {
			err = g.round(ctx)
		}
		// A read may be repeated: it has no effects.
		if err == nil || !errors.Is(err, ErrNoLeader) || ctx.Err() != nil || time.Since(began) >= g.cfg.ElectionWait {
			return err
		}
		select {
		case <-time.After(roundPause):
		case <-g.stopped:
			return ErrClosed
		}
	}
}

// roundPause is the time between two tries of a read that found no leader.
const roundPause = 5 * time.Millisecond

// round waits for the next round of reads.
func (g *Group) round(ctx context.Context) error {
	r := g.joinRound()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	case <-g.stopped:
		return ErrClosed
	}
}

// Current reports whether Read and Frozen would answer at once: this node leads, and the group has no other.
func (g *Group) Current() bool { return g.leads(g.ready.Load()) && g.stores.log.alone.Load() }

func (g *Group) joinRound() *round {
	q := &g.rounds
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &round{done: make(chan struct{})}
	}
	if !q.running {
		q.running = true
		g.wg.Go(g.runRounds)
	}
	return q.next
}

// runRounds confirms until no read waits.
func (g *Group) runRounds() {
	q := &g.rounds
	for {
		q.mu.Lock()
		r := q.next
		q.next = nil
		q.running = r != nil
		q.mu.Unlock()
		if r == nil {
			return
		}
		r.err = g.makeCurrent()
		close(r.done)
	}
}

// makeCurrent does the work of one round.
func (g *Group) makeCurrent() error {
	if g.leads(g.ready.Load()) {
		committed := g.raft.CommitIndex()
		if err := g.confirm(); err != nil {
			return err
		}
		// Entries that the state never sees come before a term's first own one, which is applied, so this ends.
		ctx, cancel := context.WithTimeout(context.Background(), g.cfg.ElectionWait)
		defer cancel()
		if err := g.await(ctx, committed); err != nil {
			return fmt.Errorf("%w: entry %d is not applied yet: %w", ErrNoLeader, committed, err)
		}
		return nil
	}
	if l := g.link.Load(); l != nil {
		return g.askReadIndex(l)
	}
	return ErrNoLeader
}

// confirm asks all other voters whether they hold this leader's term and returns as soon as a majority does.
func (g *Group) confirm() error {
	term := g.ready.Load()
	if !g.leads(term) {
		return ErrNoLeader
	}
	future := g.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	var others []raft.Server
	voters, yes := 0, 0
	for _, s := range future.Configuration().Servers {
		switch {
		case s.Suffrage != raft.Voter:
		case s.ID == g.transport.id:
			voters++
			yes++
		default:
			voters++
			others = append(others, s)
		}
	}
	answers := make(chan bool, len(others))
	for _, s := range others {
		g.wg.Go(func() { answers <- g.transport.confirm(s, term) })
	}
	need := voters/2 + 1
	for left := len(others); yes < need && left > 0; left-- {
		if <-answers {
			yes++
		}
	}
	if yes < need || !g.leads(term) {
		return fmt.Errorf("%w: %d of %d voters confirmed term %d", ErrNoLeader, yes, voters, term)
	}
	return nil
}
