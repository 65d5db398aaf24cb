package server

import (
	"context"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// group is a Raft group as the server sees it. *replica.Group is one; tests have another.
type group interface {
	// Propose puts the operations into the log as one unit and waits for their results. Its error is a promise about the
	// write: see [verdicts].
	Propose(ctx context.Context, p *replica.Proposal) error
	// Submit is Propose without the wait: each proposal's Done learns its fate. It reports false, having done nothing, when
	// the proposals cannot go now.
	Submit(list []*replica.Proposal) bool
	// Current reports whether Read would answer at once.
	Current() bool
	// Read runs fn on a state that holds every write acknowledged before the call. fn runs under a lock: no I/O.
	Read(ctx context.Context, fn func(fsm.View)) error
	// Confirm is the part of Read that waits: once done was called with nil, Stale shows such a state. done must not block.
	Confirm(done func(error))
	// Frozen returns such a state as an immutable copy, for reads that take long.
	Frozen(ctx context.Context) (fsm.View, error)
	// Stale runs fn on the state as it is here, at once; FrozenStale returns it as a copy.
	Stale(fn func(fsm.View)) error
	FrozenStale() (fsm.View, error)
	// Origin is the number of this process in the tickets of those who wait for locks.
	Origin() uint64
	// Status neither blocks nor waits for the group to be current.
	Status() replica.Status
	// Save has a snapshot be taken soon. It reports false when one is being taken.
	Save() bool
	// Ready returns nil once the group serves reads and writes.
	Ready(ctx context.Context) error
}

var _ group = (*replica.Group)(nil)

// loading is the group of a connection that came before the groups were open.
type loading struct{}

func (loading) Propose(context.Context, *replica.Proposal) error { return errLoading }
func (loading) Submit([]*replica.Proposal) bool                  { return false }
func (loading) Current() bool                                    { return false }
func (loading) Read(context.Context, func(fsm.View)) error       { return errLoading }
func (loading) Confirm(done func(error))                         { done(errLoading) }
func (loading) Frozen(context.Context) (fsm.View, error)         { return fsm.View{}, errLoading }
func (loading) Stale(func(fsm.View)) error                       { return errLoading }
func (loading) FrozenStale() (fsm.View, error)                   { return fsm.View{}, errLoading }
func (loading) Origin() uint64                                   { return 0 }
func (loading) Status() replica.Status                           { return replica.Status{} }
func (loading) Save() bool                                       { return false }
func (loading) Ready(context.Context) error                      { return errLoading }
