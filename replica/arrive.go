package replica

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// arrivals wakes those who wait until an index is applied. While nobody waits it costs the apply goroutine one load.
type arrivals struct {
	next atomic.Uint64 // the lowest index that somebody waits for, 0 if nobody does

	mu      sync.Mutex
	waiting []arrival
}

type arrival struct {
	index uint64
	fn    func()
}

// reached is called after an index has been stored as applied.
func (a *arrivals) reached(index uint64) {
	if next := a.next.Load(); next != 0 && next <= index {
		a.wake(index)
	}
}

// wake calls those who waited for index or less.
func (a *arrivals) wake(index uint64) {
	a.mu.Lock()
	var come []arrival
	next := uint64(0)
	a.waiting = slices.DeleteFunc(a.waiting, func(w arrival) bool {
		if w.index <= index {
			come = append(come, w)
			return true
		}
		if next == 0 || w.index < next {
			next = w.index
		}
		return false
	})
	a.next.Store(next)
	a.mu.Unlock()
	for _, w := range come {
		w.fn()
	}
}

// at calls fn once applied has reached index: at once, or from the goroutine that applies. fn must not block.
func (a *arrivals) at(applied *atomic.Uint64, index uint64, fn func()) {
	if applied.Load() >= index {
		fn()
		return
	}
	a.mu.Lock()
	a.waiting = append(a.waiting, arrival{index, fn})
	if next := a.next.Load(); next == 0 || index < next {
		a.next.Store(index)
	}
	a.mu.Unlock()
	if now := applied.Load(); now >= index {
		a.wake(now) // it came in between and may have seen nobody
	}
}

// await returns once the entry at index, or a later one, is applied here.
func (g *Group) await(ctx context.Context, index uint64) error {
	done := make(chan struct{})
	g.arrivals.at(&g.applied, index, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.stopped:
		return ErrClosed
	}
}
