package replica

import (
	"context"
	"fmt"
	"sync"

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

// barrier returns once a read of the local state is linearizable: this node leads in a term whose first own entry it
// has applied, and a majority of voters, asked after the call began, hold no newer term.
//
// It waits for no index. A write is acknowledged only after it was applied here, and the term's first entry was applied
// after all that earlier leaders acknowledged; what is left to learn is whether a newer leader exists. Raft's own
// VerifyLeader cannot tell: it counts answers to old questions, and those of non-voters.
func (g *Group) barrier(ctx context.Context) error {
	if err := g.leading(ctx); err != nil {
		return err
	}
	if g.stores.log.sole.Load() {
		return nil // nobody else can be elected
	}
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

// Current reports whether Read and Frozen would answer at once: this node leads, and alone.
func (g *Group) Current() bool { return g.leads(g.ready.Load()) && g.stores.log.sole.Load() }

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
		r.err = g.confirm()
		close(r.done)
	}
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
