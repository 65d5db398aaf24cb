package replica

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// state is what Raft knows of the machine: it implements raft.BatchingFSM. Raft calls it from one goroutine.
type state struct{ *Group }

var _ raft.BatchingFSM = state{}

// Observer is told what happens to the state of each group, in the order of the log. The goroutine that applies entries
// calls it, and every client waits meanwhile: it must not block, and must not ask the group for anything.
type Observer interface {
	// Applied is called after each entry of operations, also one that changed nothing, and before anyone learns what
	// came of its operations. The slice is good until it returns; keys and nodes may be kept.
	Applied(group int, index uint64, events []fsm.Event)

	// Restored is called when a snapshot has taken the place of the state: at the start of a node that has one, and when a
	// follower was too late for the log. What happened between the state before and this one will not be told. The
	// view is good until it returns.
	Restored(group int, index uint64, v fsm.View)
}

// ApplyBatch implements raft.BatchingFSM: it folds committed entries into the machine and answers those who wait for
// them.
func (s state) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if err := s.applyOne(l); err != nil {
			// Every node holds these bytes. To skip them here would fork the state; to return would do the same.
			s.node.fail(fmt.Errorf("log entry %d cannot be applied: %w", l.Index, err))
			<-s.stopped
		}
	}
	return make([]any, len(logs))
}

// Apply implements raft.FSM.
func (s state) Apply(l *raft.Log) any { return s.ApplyBatch([]*raft.Log{l})[0] }

func (s state) applyOne(l *raft.Log) error {
	g := s.Group
	if l.Type != raft.LogCommand {
		g.mu.Lock()
		g.machine.Advance(l.Index)
		g.tip.index, g.tip.term = l.Index, l.Term
		g.mu.Unlock()
		g.noteApplied(l)
		if l.Type == raft.LogConfiguration {
			g.configure(l.Index, raft.DecodeConfiguration(l.Data))
			g.stores.log.settle(l.Index)
		}
		return nil
	}
	entry, err := fsm.OpenEntry(l.Data)
	if err != nil {
		return err
	}
	entry.Index, entry.LogTerm = l.Index, l.Term

	b := g.proposals.take(entry.Origin, entry.Sequence)
	g.mu.Lock()
	began := time.Now()
	results, err := g.machine.Apply(&entry, b.observer())
	g.timings.apply.Observe(time.Since(began), 1)
	view := g.machine.View()
	catalogued := view.CatalogIndex()
	clock, leader, deadline := view.ClusterMillis(), view.LeaderTerm(), nextDeadline(view)
	b.deliver(results)
	g.tip.index, g.tip.term = l.Index, l.Term
	g.mu.Unlock()
	if err != nil {
		return err
	}
	if o := g.cfg.Observer; o != nil && l.Index > g.applied.Load() { // else it is in a snapshot that was restored
		o.Applied(g.id, l.Index, g.machine.Events()) // only this goroutine writes the machine
	}
	g.noteApplied(l)
	g.expiry.Note(deadline)
	g.noteLeader(&entry, leader, clock)
	if catalogued != g.catalogued {
		g.catalogued = catalogued
		g.node.keeper.look()
	}
	if b != nil {
		g.proposals.applied(b, l.Index, l.Term)
	}
	return nil
}

// observer shows each transaction's states to the proposal that it came from.
func (b *batch) observer() func(op, pos int, view fsm.View) {
	if b == nil || b.guest != nil {
		return nil
	}
	return func(op, pos int, view fsm.View) {
		for _, p := range b.waiting {
			if p.See != nil && p.first <= op && op < p.first+p.N {
				p.See(op-p.first, pos, view)
				return
			}
		}
	}
}

// deliver copies each proposal's share of the results, which belong to the machine.
func (b *batch) deliver(results []fsm.Result) {
	if b == nil {
		return
	}
	for _, p := range b.waiting {
		p.Results = append(p.Results[:0], results[p.first:p.first+p.N]...)
	}
}

// noteApplied records progress for the high-water mark, the transport and the status.
func (g *Group) noteApplied(l *raft.Log) {
	g.applied.Store(l.Index)
	g.arrivals.reached(l.Index)
	g.stores.mark.note(l.Index, l.Term)
	g.logged.Add(int64(len(l.Data)))
}

// Snapshot implements raft.FSM. It runs between two entries and costs the same at any size.
func (s state) Snapshot() (raft.FSMSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged.Store(0)
	return frozenState{s.machine.Freeze()}, nil
}

// Restore implements raft.FSM: the new state replaces the old one only when it has been read to its end.
func (s state) Restore(r io.ReadCloser) error {
	defer r.Close()
	began := time.Now()
	defer func() { s.timings.install.Observe(time.Since(began), 1) }()
	m, err := fsm.ReadSnapshot(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.machine = m
	v := m.View()
	s.tip.index, s.tip.term = v.Index(), v.Term()
	s.mu.Unlock()
	s.applied.Store(v.Index())
	s.arrivals.reached(v.Index())
	s.leaderTerm = v.LeaderTerm()
	s.catalogued = v.CatalogIndex()
	s.expiry.Note(nextDeadline(v))
	if s.cfg.Observer != nil {
		s.cfg.Observer.Restored(s.id, v.Index(), v)
	}
	if err := s.refreshNewest(); err != nil {
		return err
	}
	newest := s.newest.Load()
	s.configure(newest.ConfigurationIndex, newest.Configuration)
	s.node.keeper.look()
	return nil
}

// Read runs fn on a state that holds every write acknowledged, by any node, before Read was called. fn runs while
// nothing is applied: it must be short, must not block, and must keep nothing of the view. Errors: ErrNoLeader.
func (g *Group) Read(ctx context.Context, fn func(fsm.View)) error {
	if err := g.barrier(ctx); err != nil {
		return err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	fn(g.machine.View())
	return nil
}

// Stale runs fn on the state as it is here, whoever leads and however long ago this node has heard of him. The same rules
// hold for fn. Errors: ErrClosed.
func (g *Group) Stale(fn func(fsm.View)) error {
	if g.over() {
		return ErrClosed
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	fn(g.machine.View())
	return nil
}

func (g *Group) over() bool {
	select {
	case <-g.stopped:
		return true
	default:
		return false
	}
}

// Frozen returns such a state as an immutable copy, for reads that take long. It costs the same at any size, but each
// copy makes the writes after it a little dearer, so short reads use Read. Errors: ErrNoLeader.
func (g *Group) Frozen(ctx context.Context) (fsm.View, error) {
	if err := g.barrier(ctx); err != nil {
		return fsm.View{}, err
	}
	return g.freeze(), nil
}

// FrozenStale returns a copy of the state as it is here; see Stale and Frozen. Errors: ErrClosed.
func (g *Group) FrozenStale() (fsm.View, error) {
	if g.over() {
		return fsm.View{}, ErrClosed
	}
	return g.freeze(), nil
}

func (g *Group) freeze() fsm.View {
	g.mu.Lock() // a copy marks the original as shared
	defer g.mu.Unlock()
	return g.machine.Freeze()
}
