package watch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

// parking is a parked request and what it heard.
type parking struct {
	heard  []Grant
	cancel func() bool
}

func (r *rig) park(key string, owner byte, number uint64) *parking {
	p := &parking{}
	p.cancel = r.h.Park(0, key, fsm.Owner{owner}, fsm.Ticket{Process: 1, Number: number}, func(g Grant) { p.heard = append(p.heard, g) })
	return p
}

func acquire(owner byte, number uint64, wait int64) fsm.Op {
	return &fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{owner}, Lease: 1000, Wait: wait, Ticket: fsm.Ticket{Process: 1, Number: number}}
}

func release(owner byte) fsm.Op { return &fsm.ReleaseLock{Key: []byte("l"), Owner: fsm.Owner{owner}} }

func TestParkedRequestsHearOnceHowTheyEnded(t *testing.T) {
	tests := []struct {
		name  string
		after func(r *rig)
		want  string // of the second owner's request with the ticket 2
	}{
		{"granted when the holder lets go", func(r *rig) { r.apply(release(1)) }, "[{1 2}]"},
		{"granted when the holder's lease ends", func(r *rig) {
			r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 100})
			r.clock = 200
			r.apply(&fsm.ExpireDue{Limit: 10})
		}, "[{1 2}]"},
		{"gave up when its own time is over", func(r *rig) {
			r.clock = 600
			r.apply(&fsm.ExpireDue{Limit: 10})
			r.apply(release(1))
		}, "[{2 0}]"},
		{"gave up when it leaves", func(r *rig) {
			r.apply(&fsm.LeaveLock{Key: []byte("l"), Owner: fsm.Owner{2}, Ticket: fsm.Ticket{Process: 1, Number: 2}})
		}, "[{2 0}]"},
		{"unknown when a later request of its owner is granted", func(r *rig) { r.apply(acquire(2, 3, 500), release(1)) }, "[{0 0}]"},
		{"flushed at a flush", func(r *rig) { r.apply(&fsm.Flush{}) }, "[{3 0}]"},
		{"unknown at a restore", func(r *rig) { r.restore(func(o *rig) { o.apply(release(1)) }) }, "[{0 0}]"},
		{"unknown at the end", func(r *rig) { r.h.Close() }, "[{0 0}]"},
		{"unknown when the dispatcher missed events", func(r *rig) {
			ops := []fsm.Op{release(1)}
			for i := range 20 {
				ops = append(ops, set(fmt.Sprint("k", i), "v"))
			}
			r.apply(ops...)
		}, "[{0 0}]"},
		{"nothing while it waits", func(r *rig) { r.set("x", "1") }, "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, Options{RingEvents: 10}, func(r *rig) {
				r.apply(acquire(1, 1, 0))
				p := r.park("l", 2, 2)
				r.apply(acquire(2, 2, 500))
				test.after(r)
				synctest.Wait()
				if got := fmt.Sprint(p.heard); got != test.want {
					t.Errorf("heard %s, want %s", got, test.want)
				}
				if p.cancel() != (len(p.heard) == 0) {
					t.Error("cancel does not say whether there was a call")
				}
				if s := r.h.Stats(); s.Parked != 0 || r.h.hearing.Load() != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

func TestARequestGrantedAtOnceIsToldToo(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		p, other := r.park("l", 1, 1), r.park("l2", 1, 1)
		r.apply(acquire(1, 1, 500))
		synctest.Wait()
		if fmt.Sprint(p.heard, other.heard) != "[{1 1}] []" {
			t.Errorf("heard %v, and of another lock %v", p.heard, other.heard)
		}
		p.cancel()
		if !other.cancel() {
			t.Error("the other was called")
		}
	})
}

// Each call is made once or taken back, whatever happens at the same time.
func TestParkedRequestsAreCalledExactlyOnce(t *testing.T) {
	r := newRig(t, Options{})
	const requests = 2000
	var called, taken atomic.Int64
	var wg sync.WaitGroup
	for i := range requests {
		owner, ticket := fsm.Owner{1, byte(i), byte(i >> 8)}, fsm.Ticket{Process: 1, Number: uint64(i)}
		calls := new(atomic.Int64)
		heard := make(chan struct{})
		cancel := r.h.Park(0, "l", owner, ticket, func(Grant) {
			if calls.Add(1) != 1 {
				t.Error("called twice")
			}
			close(heard)
		})
		wg.Go(func() {
			if i%2 == 0 {
				<-heard
			}
			if cancel() {
				taken.Add(1)
			} else {
				<-heard
				called.Add(1)
			}
		})
		r.apply(&fsm.AcquireLock{Key: []byte("l"), Owner: owner, Lease: 1000, Ticket: ticket})
		r.apply(&fsm.ReleaseLock{Key: []byte("l"), Owner: owner})
	}
	wg.Wait()
	if called.Load()+taken.Load() != requests || called.Load() < requests/2 {
		t.Errorf("%d called, %d taken back, of %d", called.Load(), taken.Load(), requests)
	}
}

func TestLateNewsOfAnEarlierRequestAnswerNoLaterOne(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.apply(acquire(1, 1, 0), acquire(2, 2, 500))
		p := r.park("l", 2, 3) // not proposed yet
		r.apply(&fsm.LeaveLock{Key: []byte("l"), Owner: fsm.Owner{2}, Ticket: fsm.Ticket{Process: 1, Number: 2}})
		r.apply(acquire(2, 3, 500))
		synctest.Wait()
		if len(p.heard) != 0 {
			t.Errorf("heard %v", p.heard)
		}
		r.apply(release(1))
		synctest.Wait()
		if got := fmt.Sprint(p.heard); got != "[{1 2}]" {
			t.Errorf("heard %s", got)
		}
		p.cancel()
	})
}
