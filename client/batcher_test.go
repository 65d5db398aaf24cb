package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCommandsOfOneGoroutineKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{})
		futures := make([]*Future[struct{}], 5000)
		for i := range futures {
			futures[i] = c.Async().Set(t.Context(), "k", []byte(fmt.Sprint(i)), 0)
		}
		for i, future := range futures {
			if _, err := future.Wait(t.Context()); err != nil {
				t.Fatalf("command %d: %v", i, err)
			}
		}
		for i, line := range f.applied("SET") {
			if want := fmt.Sprintf("SET k %d", i); line != want {
				t.Fatalf("command %d is %q, want %q", i, line, want)
			}
		}
	})
}

// recorder stands in for go-redis: each batch waits until it is let through.
type recorder struct {
	mu      sync.Mutex
	batches [][]*request
	pass    chan struct{}
}

func (r *recorder) run(batch []*request) {
	r.mu.Lock()
	r.batches = append(r.batches, slices.Clone(batch))
	r.mu.Unlock()
	<-r.pass
	for _, q := range batch {
		q.cmd.SetVal("OK")
		q.settle()
	}
}

func (r *recorder) sizes() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sizes []int
	for _, b := range r.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

func TestCommandsGatherWhileAPipelineIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{pass: make(chan struct{})}
		b := newBatcher(10_000, 32<<20, r.run)
		var last *request
		submit := func(n, size int) {
			for range n {
				last = newRequest("SET", true, []any{"SET", strings.Repeat("x", size)})
				if err := b.submit(t.Context(), last); err != nil {
					t.Error(err)
				}
			}
		}
		submit(1, 1)
		synctest.Wait() // on its way
		submit(2500, 1)
		submit(3, 600<<10)
		synctest.Wait()
		close(r.pass)
		<-last.done
		b.close()
		if got, want := r.sizes(), []int{1, 1000, 1000, 501, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("pipelines of %v commands, want %v: at most 1000, and about a megabyte", got, want)
		}
	})
}

func TestAFullPipelineMakesCallersWait(t *testing.T) {
	for _, test := range []struct {
		name            string
		commands, bytes int
	}{
		{"by commands", 3, 1 << 20},
		{"by bytes", 1000, 3 * len("SET"+"0123456789") * 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{pass: make(chan struct{}, 1)}
				b := newBatcher(test.commands, test.bytes, r.run)
				one := func() *request { return newRequest("SET", true, []any{"SET", "0123456789"}) }
				accepted := 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for {
					err := b.submit(ctx, one())
					if err != nil {
						wantVerdict(t, "no room", err, ErrUnavailable)
						break
					}
					accepted++
				}
				if accepted < 1 || accepted > 3 {
					t.Errorf("%d commands were taken", accepted)
				}
				done := make(chan error)
				go func() { done <- b.submit(t.Context(), one()) }()
				synctest.Wait()
				r.pass <- struct{}{} // The first pipeline comes back: there is room.
				if err := <-done; err != nil {
					t.Error(err)
				}
				close(r.pass)
				b.close()
			})
		})
	}
}

func TestACommandLargerThanTheBoundPassesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{pass: make(chan struct{})}
		close(r.pass)
		b := newBatcher(10, 10, r.run)
		for range 3 {
			if err := b.submit(t.Context(), newRequest("SET", true, []any{"SET", "a value of more than ten bytes"})); err != nil {
				t.Error(err)
			}
		}
		b.close()
	})
}

func TestWhoeverGivesUpKnowsWhetherItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{})
		f.setFaults(func(args []string) fault {
			if args[0] == "SET" {
				return fault{delay: time.Minute}
			}
			return fault{}
		})
		sent, cancelSent := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancelSent()
		queued, cancelQueued := context.WithTimeout(t.Context(), time.Second)
		defer cancelQueued()
		var wg sync.WaitGroup
		wg.Go(func() {
			err := c.Set(sent, "sent", nil, 0)
			wantVerdict(t, "a command that was sent", err, ErrInDoubt)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say why", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			wantVerdict(t, "a command that was not sent", c.Set(queued, "queued", nil, 0), ErrUnavailable)
		})
		wg.Wait()
		time.Sleep(2 * time.Minute)
		if got := f.applied("SET"); len(got) != 1 || got[0] != "SET sent " {
			t.Errorf("these ran: %q", got)
		}
	})
}

func TestAFutureMayBeWaitedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{})
		f.once("SET", fault{delay: 2 * time.Second})
		future := c.Async().Set(t.Context(), "k", []byte("v"), 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := future.Wait(ctx)
		wantVerdict(t, "a future whose caller has no time", err, ErrInDoubt)
		<-future.Done()
		if _, err := future.Wait(ctx); err != nil {
			t.Errorf("the result is there, but Wait says %v", err)
		}
	})
}

func TestCloseDropsWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{})
		f.once("SET", fault{delay: time.Second})
		first := c.Async().Set(t.Context(), "a", nil, 0)
		synctest.Wait()
		second := c.Async().Set(t.Context(), "b", nil, 0)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := first.Wait(t.Context()); err != nil {
			t.Errorf("what was sent: %v", err)
		}
		_, err := second.Wait(t.Context())
		wantVerdict(t, "what was not sent", err, ErrRefused)
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		if err := c.Set(t.Context(), "c", nil, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
