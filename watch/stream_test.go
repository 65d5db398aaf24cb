package watch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dtkv/dtkv/fsm"
)

// Readers that reconnect all the time see each event exactly once and in order, or are told that some are gone.
func TestAResumeStormMissesNothing(t *testing.T) {
	const entries, readers, seed = 20_000, 4, 3
	h := New(Options{RingEvents: 1 << 20})
	defer h.Close()
	var log []ID
	r := rand.New(rand.NewPCG(seed, seed))
	sizes := make([]int, entries)
	for i := range sizes {
		sizes[i] = 1 + r.IntN(4)
		for n := range sizes[i] {
			log = append(log, ID{uint64(i + 1), uint64(n + 1)})
		}
	}
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(reader)))
			after, seen := ID{}, 0
			for seen < len(log) {
				woken := make(chan struct{})
				cancel := h.Wait(0, "", after, sync.OnceFunc(func() { close(woken) }))
				<-woken
				cancel()
				records, next, err := h.Read(0, "", after, 1+r.IntN(300))
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
				for _, rec := range records {
					if seen >= len(log) || rec.ID != log[seen] {
						t.Errorf("seed %d: event %d is %v", seed, seen, rec.ID)
						return
					}
					seen++
				}
				after = next
			}
		})
	}
	for i, n := range sizes {
		h.Applied(0, uint64(i+1), eventsFor(n))
	}
	wg.Wait()
	if n := h.hearing.Load(); n != 0 {
		t.Errorf("%d waits are left", n)
	}
}

// A reader that the ring outruns is told so, and from the oldest id on misses nothing.
func TestAReaderThatIsOutrunIsTold(t *testing.T) {
	h := New(Options{RingEvents: 500})
	defer h.Close()
	const entries = 20_000
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		after, told := ID{}, 0
		for {
			last := done.Load()
			records, next, err := h.Read(0, "", after, 100)
			if c := (ErrCompacted{}); errors.As(err, &c) {
				after = c.Oldest
				told++
				continue
			}
			for _, rec := range records {
				if rec.ID != (ID{after.Index + 1, 1}) && rec.ID != (ID{after.Index, after.N + 1}) {
					t.Errorf("after %v comes %v", after, rec.ID)
					return
				}
				after = rec.ID
			}
			after = next
			if last && len(records) == 0 {
				break
			}
		}
		if after.Index != entries {
			t.Errorf("ends at %v, told %d times", after, told)
		}
	})
	for i := range entries {
		h.Applied(0, uint64(i+1), eventsFor(1))
	}
	done.Store(true)
	wg.Wait()
}

func TestWaitWakesForItsPathOnly(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("a.b", "1")
		var woken []string
		wait := func(path string, after ID) func() {
			return r.h.Wait(0, path, after, func() { woken = append(woken, path) })
		}
		now := r.h.Last(0)
		cancels := []func(){wait("", now), wait("a", now), wait("a.b", now), wait("a.b.c", now), wait("x", now), wait("a", now)}
		cancels[5]()
		if len(woken) != 0 {
			t.Errorf("woke %q before anything happened", woken)
		}
		r.apply(set("a.b", "1"), set("a.b", "2"))
		synctest.Wait()
		if fmt.Sprint(woken) != "[a.b a ]" {
			t.Errorf("woke %q", woken)
		}
		woken = nil
		cancels = append(cancels, wait("x", now))
		if len(woken) != 1 {
			t.Errorf("one who was behind was not woken")
		}
		r.apply(&fsm.Flush{})
		synctest.Wait()
		if len(woken) != 3 {
			t.Errorf("a flush woke %q", woken)
		}
		for _, cancel := range cancels {
			cancel()
		}
		if s := r.h.Stats(); s.Waits != 0 || r.h.hearing.Load() != 0 {
			t.Errorf("stats %+v, hearing %d", s, r.h.hearing.Load())
		}
	})
}

func TestWaitWakesWhenTheStreamBeginsAnew(t *testing.T) {
	inBubble(t, Options{}, func(r *rig) {
		r.set("k", "1")
		woken := 0
		defer r.h.Wait(0, "k", r.h.Last(0), func() { woken++ })()
		r.restore(func(*rig) {})
		synctest.Wait()
		if woken != 1 {
			t.Fatalf("woke %d times", woken)
		}
		if _, _, err := r.h.Read(0, "k", ID{2, 1}, 0); !errors.As(err, &ErrCompacted{}) {
			t.Errorf("got %v", err)
		}
	})
}
