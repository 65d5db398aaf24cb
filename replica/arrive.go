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
	done  chan struct{}
}

// reached is called after an index has been stored as applied.
func (a *arrivals) reached(index uint64) {
	if next := a.next.Load(); next != 0 && next <= index {
		a.wake(index)
	}
}

func (a *arrivals) wake(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := uint64(0)
	a.waiting = slices.DeleteFunc(a.waiting, func(w arrival) bool {
		if w.index <= index {
			close(w.done)
			return true
		}
		if next == 0 || w.index < next {
			next = w.index
		}
		return false
	})
	a.next.Store(next)
}

func (a *arrivals) at(index uint64) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := arrival{index: index, done: make(chan struct{})}
	a.waiting = append(a.waiting, w)
	if next := a.next.Load(); next == 0 || index < next {
		a.next.Store(index)
	}
	return w.done
}

// await returns once the entry at index, or a later one, is applied here. Who gives up stays in the list until the
// index is reached; rounds of reads wait one at a time, so the list is short.
func (g *Group) await(ctx context.Context, index uint64) error {
	if g.applied.Load() >= index {
		return nil
	}
	done := g.arrivals.at(index)
	if at := g.applied.Load(); at >= index {
		g.arrivals.wake(at) // it came in between and may have seen nobody
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.stopped:
		return ErrClosed
	}
}
