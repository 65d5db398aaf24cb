package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// bubble runs a test with a fake and a client of it, in virtual time.
func bubble(t *testing.T, test func(t *testing.T, f *fake, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		test(t, f, f.client(Options{}))
	})
}

func mustLock(t *testing.T, l *Lock, lease, wait time.Duration) {
	t.Helper()
	if ok, err := l.TryLock(t.Context(), lease, wait); !ok || err != nil {
		t.Fatalf("TryLock: %v, %v", ok, err)
	}
}

func TestALockIsTakenAndGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		if l.IsHeld() || l.Token() != 0 || l.Remaining() != 0 {
			t.Error("a new lock is held")
		}
		mustLock(t, l, 10*time.Second, 0)
		if !l.IsHeld() || l.Token() != f.holder("k") || l.Remaining() > 10*time.Second {
			t.Errorf("held %v, token %d of %d, %s left", l.IsHeld(), l.Token(), f.holder("k"), l.Remaining())
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if l.IsHeld() || l.Token() != 0 || f.holder("k") != 0 {
			t.Error("it is still held")
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestALockIsNotReentrant(t *testing.T) {
	bubble(t, func(t *testing.T, _ *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, 10*time.Second, 0)
		ok, err := l.TryLock(t.Context(), 10*time.Second, time.Second)
		if ok || !errors.Is(err, ErrHeld) {
			t.Errorf("got %v, %v", ok, err)
		}
		wantVerdict(t, "TryLock of a held lock", err, ErrRefused)
	})
}

func TestTwoObjectsOfOneKeyAreStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, _ *fake, c *Client) {
		a, b := c.Lock("k"), c.Lock("k")
		mustLock(t, a, 10*time.Second, 0)
		if ok, err := b.TryLock(t.Context(), 10*time.Second, 0); ok || err != nil {
			t.Errorf("both have it: %v, %v", ok, err)
		}
		if err := b.Unlock(t.Context()); err != nil || !a.IsHeld() {
			t.Errorf("one can unlock the other: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			_ = a.Unlock(t.Context())
		}()
		mustLock(t, b, 10*time.Second, 5*time.Second)
	})
}

func TestAWaitEndsAndTheNextTryIsAsGoodAsTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		a, b := c.Lock("k"), c.Lock("k")
		mustLock(t, a, time.Minute, 0)
		began := time.Now()
		if ok, err := b.TryLock(t.Context(), time.Minute, 3*time.Second); ok || err != nil {
			t.Errorf("got %v, %v", ok, err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("a wait of 3 s took %s", took)
		}
		if n := f.waiters("k"); n != 0 {
			t.Errorf("%d are still waiting at the server", n)
		}
		if err := a.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		mustLock(t, b, time.Minute, 0)
	})
}

// The answer is slow, the wait is over, and then the server grants after all: nobody wants it any more.
func TestAGrantThatComesTooLateIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		n := 0
		f.setFaults(func(args []string) fault {
			if args[0] != "DTKV.LOCK" {
				return fault{}
			}
			if n++; n == 1 {
				return fault{delay: 20 * time.Second}
			}
			return fault{reply: null}
		})
		l := c.Lock("k")
		if ok, err := l.TryLock(t.Context(), time.Minute, time.Second); ok || err != nil || l.IsHeld() {
			t.Errorf("got %v, %v, held %v", ok, err, l.IsHeld())
		}
		time.Sleep(25 * time.Second)
		if len(f.applied("DTKV.LOCK")) != 1 || f.holder("k") != 0 {
			t.Errorf("%q ran, and %d holds", f.applied("DTKV.LOCK"), f.holder("k"))
		}
		f.setFaults(nil)
		mustLock(t, l, time.Minute, 0)
	})
}

func TestASilentServerIsAnErrorAndNotALock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.setFaults(func([]string) fault { return fault{hang: true} })
		l := c.Lock("k")
		ok, err := l.TryLock(t.Context(), time.Minute, time.Second)
		wantVerdict(t, "a server that says nothing", err, ErrInDoubt)
		if ok || l.IsHeld() {
			t.Error("it is held")
		}
	})
}

func TestUnlockEndsARunningTryLock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		a, b := c.Lock("k"), c.Lock("k")
		mustLock(t, a, time.Hour, 0)
		done := make(chan error)
		go func() {
			_, err := b.TryLock(t.Context(), time.Minute, time.Hour)
			done <- err
		}()
		synctest.Wait()
		if f.waiters("k") != 1 {
			t.Fatal("it does not wait")
		}
		if _, err := b.TryLock(t.Context(), time.Minute, 0); !errors.Is(err, ErrBusy) {
			t.Errorf("a second operation meanwhile: %v", err)
		}
		if err := b.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrCanceled) {
			t.Errorf("TryLock ended with %v", err)
		}
		if f.waiters("k") != 0 {
			t.Error("it still waits at the server")
		}
		if !a.IsHeld() {
			t.Error("the other lost it")
		}
	})
}

func TestAContextEndsAWait(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		a, b := c.Lock("k"), c.Lock("k")
		mustLock(t, a, time.Hour, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		ok, err := b.TryLock(ctx, time.Minute, time.Hour)
		if ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", ok, err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
		synctest.Wait()
		if f.waiters("k") != 0 {
			t.Error("it still waits at the server")
		}
	})
}

func TestTheLeaseEndsHereBeforeItEndsThere(t *testing.T) {
	for _, test := range []struct {
		name string
		f    fault
	}{
		{"the reply is at once there", fault{}},
		{"the request was slow", fault{delay: grace * 3 / 4}}, // not as slow as to be sent again
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake, c *Client) {
				f.once("DTKV.LOCK", test.f)
				l := c.Lock("k")
				sent := time.Now()
				mustLock(t, l, 10*time.Second, 0)
				left := l.Remaining()
				if most := time.Until(sent.Add(9900 * time.Millisecond)); left > most {
					t.Errorf("%s are left; counted from before it was sent, less 1 %%, it is %s", left, most)
				}
				time.Sleep(left)
				if l.IsHeld() || l.Token() != 0 {
					t.Error("it is held beyond its end")
				}
				if f.holder("k") == 0 {
					t.Error("the server's lease ended first")
				}
				if err := l.UpdateLease(t.Context(), time.Second); !errors.Is(err, ErrLost) {
					t.Errorf("UpdateLease of an ended lease: %v", err)
				}
			})
		})
	}
}

// The lease of a waiter begins when it is granted, which only the server knows.
func TestALeaseGrantedAfterAWaitIsWholeAndNotTooLong(t *testing.T) {
	for _, wait := range []time.Duration{3 * time.Second, 15 * time.Second} { // less than the lease, and more
		bubble(t, func(t *testing.T, f *fake, c *Client) {
			a, b := c.Lock("k"), c.Lock("k")
			mustLock(t, a, time.Hour, 0)
			go func() {
				time.Sleep(wait)
				_ = a.Unlock(t.Context())
			}()
			mustLock(t, b, 4*time.Second, time.Minute)
			if left := b.Remaining(); left < 3*time.Second || left > 3960*time.Millisecond {
				t.Errorf("after %s, %s are left of 4 s", wait, left)
			}
			if b.Token() != f.holder("k") {
				t.Errorf("token %d, the server says %d", b.Token(), f.holder("k"))
			}
			time.Sleep(b.Remaining())
			if f.holder("k") == 0 {
				t.Error("the server's lease ended first")
			}
		})
	}
}

func TestAWaitLongerThanAnyConnectionKeepsItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		a := c.Lock("k")
		mustLock(t, a, time.Hour, 0)
		var order []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, name := range []string{"first", "second", "third"} {
			wg.Go(func() {
				l := c.Lock("k")
				mustLock(t, l, time.Minute, time.Hour)
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				_ = l.Unlock(t.Context())
			})
			synctest.Wait()
		}
		for range 10 {
			time.Sleep(30 * time.Second)
			if f.waiters("k") != 3 {
				t.Fatalf("%d are waiting", f.waiters("k"))
			}
		}
		_ = a.Unlock(t.Context())
		wg.Wait()
		if got := strings.Join(order, " "); got != "first second third" {
			t.Errorf("the order is %s", got)
		}
		if n := len(f.applied("DTKV.LOCK")); n > 60 { // each waiter every 20 s, for 5 minutes
			t.Errorf("LOCK was sent %d times", n)
		}
	})
}

func TestCloseSendsUnlock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, time.Hour, 0)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if f.holder("k") != 0 {
			t.Error("the server thinks that it is held")
		}
		_, err := l.TryLock(t.Context(), time.Second, 0)
		if !errors.Is(err, ErrClosed) || !errors.Is(l.Unlock(t.Context()), ErrClosed) || l.Close() != nil {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestClosingTheClientGivesUpItsLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{})
		a, b, waits := c.Lock("a"), c.Lock("b"), c.Lock("b")
		mustLock(t, a, time.Hour, 0)
		mustLock(t, b, time.Hour, 0)
		done := make(chan error)
		go func() {
			_, err := waits.TryLock(t.Context(), time.Hour, time.Hour)
			done <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("the one that waited has it")
		}
		if f.holder("a") != 0 || f.holder("b") != 0 {
			t.Error("the server thinks that they are held")
		}
	})
}

func TestAGrantWhoseAnswerIsLostIsToldAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		f    fault
		wait time.Duration
	}{
		{"the connection breaks after the grant", fault{cut: true}, 0},
		{"the connection breaks before the grant", fault{drop: true}, 0},
		{"the answer never comes", fault{hang: true}, 0},
		{"the server is in doubt", fault{after: "-INDOUBT\r\n"}, 0},
		{"there is no leader", fault{reply: "-CLUSTERDOWN\r\n"}, 0},
		{"the connection breaks after the grant, to one who would wait", fault{cut: true}, time.Minute},
		{"the answer never comes, to one who would wait", fault{hang: true}, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake, c *Client) {
				f.once("DTKV.LOCK", test.f)
				l := c.Lock("k")
				mustLock(t, l, time.Hour, test.wait)
				if l.Token() != f.holder("k") || l.Token() != 1 {
					t.Errorf("token %d, the server says %d, want 1: one grant only", l.Token(), f.holder("k"))
				}
			})
		})
	}
}

func TestUnlockIsRepeatedUntilItIsAnswered(t *testing.T) {
	for _, test := range []fault{{cut: true}, {drop: true}, {reply: "-TRYAGAIN\r\n"}, {after: "-INDOUBT\r\n"}} {
		bubble(t, func(t *testing.T, f *fake, c *Client) {
			l := c.Lock("k")
			mustLock(t, l, time.Hour, 0)
			f.once("DTKV.UNLOCK", test)
			if err := l.Unlock(t.Context()); err != nil || f.holder("k") != 0 {
				t.Errorf("%+v: %v, held by %d", test, err, f.holder("k"))
			}
		})
	}
}

// A command that was held up on its way must not touch a later acquisition.
func TestALateUnlockReleasesNothingOfALaterHold(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		mustLock(t, l, time.Hour, 0)
		f.once("DTKV.UNLOCK", fault{delay: 30 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantVerdict(t, "an unlock that is held up", l.Unlock(ctx), ErrInDoubt)
		mustLock(t, l, time.Hour, 2*time.Minute)
		time.Sleep(time.Minute)
		if !l.IsHeld() || f.holder("k") != l.Token() {
			t.Errorf("held by %d, want %d", f.holder("k"), l.Token())
		}
	})
}

func TestBadArgumentsOfALock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		l := c.Lock("k")
		for _, test := range []struct{ lease, wait time.Duration }{{0, 0}, {-1, 0}, {time.Second, -1}, {time.Microsecond, 0}} {
			_, err := l.TryLock(t.Context(), test.lease, test.wait)
			wantVerdict(t, fmt.Sprint(test), err, ErrRefused)
		}
		f.setFaults(func([]string) fault { return fault{reply: "-WRONGTYPE it is a value\r\n"} })
		_, err := l.TryLock(t.Context(), time.Second, time.Minute)
		wantVerdict(t, "a key that is no lock", err, ErrRefused)
	})
}

func TestMoreWaitersThanConnectionsAreToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.client(Options{MaxWaits: 2, RetryFor: -1})
		mustLock(t, c.Lock("k"), time.Hour, 0)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			wg.Go(func() { _, _ = c.Lock("k").TryLock(ctx, time.Hour, 10*time.Second) })
		}
		synctest.Wait()
		_, err := c.Lock("k").TryLock(t.Context(), time.Hour, 500*time.Millisecond)
		wantVerdict(t, "a third waiter", err, ErrUnavailable)
		if !errors.Is(err, redis.ErrPoolTimeout) {
			t.Errorf("got %v", err)
		}
		cancel()
		wg.Wait()
	})
}
