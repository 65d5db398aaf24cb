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

// calls records what a listener hears.
type calls struct {
	mu    sync.Mutex
	heard []string
}

func (r *calls) add(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf(format, a...))
}

func (r *calls) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard)
}

func (r *calls) listener() Listener {
	return Listener{
		OnAcquired: func(_ context.Context, token int64) { r.add("acquired %d", token) },
		OnLost:     func() { r.add("lost") },
		OnError:    func(err error) { r.add("error %v", err) },
	}
}

func mustAutoRenew(t *testing.T, c *Client, lease time.Duration, to Listener) *AutoRenewLock {
	t.Helper()
	a, err := c.AutoRenewLock("k", lease, to)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnAutoRenewLockStaysHeld(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var r calls
		a := mustAutoRenew(t, c, 10*time.Second, r.listener())
		for range 100 {
			time.Sleep(time.Second)
			if !a.IsHeld() || f.holder("k") != a.Token() || a.Remaining() < 6*time.Second {
				t.Fatalf("held %v by %d of %d, %s left", a.IsHeld(), f.holder("k"), a.Token(), a.Remaining())
			}
		}
		if n := len(f.applied("DTKV.RENEW")); n < 28 || n > 32 {
			t.Errorf("%d renewals in 100 s of a lease of 10 s", n)
		}
		a.Close()
		<-a.Done()
		if got := r.list(); !slices.Equal(got, []string{"acquired 1", "lost"}) {
			t.Errorf("heard %q", got)
		}
		if f.holder("k") != 0 {
			t.Error("it is still held")
		}
	})
}

// dongting waits 1, 10, 30, 60 s between attempts, whatever remains of the lease.
func TestRenewalsNeverWaitBeyondTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var r calls
		a := mustAutoRenew(t, c, time.Minute, r.listener())
		synctest.Wait()
		began := time.Now()
		f.setFaults(func(args []string) fault { // for the last two thirds of the lease but for a moment
			if at := time.Since(began); args[0] == "DTKV.RENEW" && at < 58*time.Second {
				return fault{reply: "-CLUSTERDOWN\r\n"}
			}
			return fault{}
		})
		time.Sleep(10 * time.Minute)
		if got := r.list(); !slices.Equal(got, []string{"acquired 1"}) {
			t.Errorf("heard %q, although one attempt would have done", got)
		}
		a.Close()
	})
}

func TestALossIsToldBeforeTheServersLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var r calls
		to := r.listener()
		acquired := to.OnAcquired
		to.OnAcquired = func(ctx context.Context, token int64) {
			acquired(ctx, token)
			<-ctx.Done() // as a program that works under it
			if f.holder("k") != token {
				r.add("too late: held by %d", f.holder("k"))
			}
		}
		a := mustAutoRenew(t, c, 10*time.Second, to)
		synctest.Wait()
		f.mu.Lock()
		f.down = true
		f.mu.Unlock()
		f.breakAll()
		time.Sleep(time.Minute)
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		time.Sleep(time.Minute)
		if !a.IsHeld() {
			t.Error("it was not taken again")
		}
		got := slices.DeleteFunc(r.list(), func(s string) bool { return strings.HasPrefix(s, "error") })
		if !slices.Equal(got, []string{"acquired 1", "lost", "acquired 2"}) {
			t.Errorf("heard %q", got)
		}
		a.Close()
		<-a.Done()
	})
}

func TestListenersHearAcquiredAndLostInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var r calls
		to := r.listener()
		acquired, lost := to.OnAcquired, to.OnLost
		// The listener is slower than the lock.
		to.OnAcquired = func(ctx context.Context, token int64) { acquired(ctx, token); time.Sleep(7 * time.Second) }
		to.OnLost = func() {
			time.Sleep(2 * time.Second)
			if f.holder("k") != 0 {
				t.Error("it was taken again before the listener knew of the loss")
			}
			lost()
		}
		a := mustAutoRenew(t, c, 20*time.Second, to)
		for range 20 {
			time.Sleep(5 * time.Second)
			f.mu.Lock()
			if l := f.locks["k"]; l != nil {
				f.leave("k", l.queue[0].owner)
			}
			f.mu.Unlock()
		}
		a.Close()
		<-a.Done()
		got := r.list()
		if len(got) < 6 || len(got)%2 != 0 {
			t.Errorf("heard %q", got)
		}
		for i, s := range got {
			if (s == "lost") != (i%2 == 1) {
				t.Fatalf("heard %q", got)
			}
		}
	})
}

func TestAListenerMayCloseItsLock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var a *AutoRenewLock
		ready := make(chan struct{})
		a = mustAutoRenew(t, c, time.Second, Listener{OnAcquired: func(context.Context, int64) { <-ready; a.Close() }})
		close(ready)
		<-a.Done()
		if f.holder("k") != 0 {
			t.Error("it is still held")
		}
	})
}

func TestAnAutoRenewLockSaysWhatKeepsItFromTheLock(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		f.setFaults(func(args []string) fault {
			if args[0] == "DTKV.LOCK" {
				return fault{reply: "-NOPARENT parent directory 'a' does not exist\r\n"}
			}
			return fault{}
		})
		heard := make(chan error, 100)
		a := mustAutoRenew(t, c, time.Second, Listener{OnError: func(err error) { heard <- err }})
		if err := <-heard; Word(err) != "NOPARENT" {
			t.Errorf("got %v", err)
		}
		f.setFaults(nil)
		time.Sleep(10 * time.Second)
		if !a.IsHeld() {
			t.Error("it was given up")
		}
		a.Close()
		<-a.Done()
		if _, err := c.AutoRenewLock("k", 0, Listener{}); !errors.Is(err, ErrRefused) {
			t.Errorf("a lease of nothing: %v", err)
		}
	})
}

func TestClosingTheClientEndsWhatRenewsItself(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, c *Client) {
		var r calls
		to := r.listener()
		acquired := to.OnAcquired
		to.OnAcquired = func(ctx context.Context, token int64) {
			acquired(ctx, token)
			<-ctx.Done()
			time.Sleep(10 * time.Millisecond) // as a program that tidies up
			if f.holder("k") != token {
				t.Error("it was given up under the listener's hands")
			}
		}
		a := mustAutoRenew(t, c, time.Minute, to)
		synctest.Wait()
		waits := mustAutoRenew(t, c, time.Minute, Listener{})
		e, candidate := c.Election("e", time.Minute), c.Election("e", time.Minute)
		leading, err := e.Campaign(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := candidate.Campaign(t.Context(), "y")
			done <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-a.Done()
		<-waits.Done()
		<-leading.Done()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("Campaign ended with %v", err)
		}
		if got := r.list(); !slices.Equal(got, []string{"acquired 1", "lost"}) {
			t.Errorf("heard %q", got)
		}
		if f.holder("k") != 0 || f.holder("e.lock") != 0 {
			t.Errorf("still held: %d, %d", f.holder("k"), f.holder("e.lock"))
		}
	})
}
