package client

import (
	"context"
	"errors"
	"time"
)

// Listener hears of an [AutoRenewLock]. Its functions are called one after the other, in strict turn: OnAcquired, OnLost,
// OnAcquired, and so on. Each may be nil.
type Listener struct {
	// OnAcquired is called when the lock is held. ctx ends as soon as it is not held any more, also while OnAcquired runs;
	// token is the fencing token. The lease is renewed meanwhile.
	OnAcquired func(ctx context.Context, token int64)
	// OnLost is called when the lock is not held any more, after OnAcquired has returned. The lock is not taken again before
	// it returns.
	OnLost func()
	// OnError is called with what keeps the lock from being taken, for a log. It is tried again by itself.
	OnError func(error)
}

// AutoRenewLock is a lock that is taken, renewed, and taken again after a loss, until it is closed.
//
// Goroutines: one that takes and renews, one that calls the listener.
type AutoRenewLock struct {
	l     *Lock
	lease time.Duration
	to    Listener
	stop  context.CancelFunc
	turns chan turn
	done  chan struct{}
}

// turn is one time of holding the lock, as the listener sees it.
type turn struct {
	ctx   context.Context
	token int64
	over  chan struct{} // closed after OnLost
}

// AutoRenewLock starts to take the lock of key, and keeps it. Renewals come at a third of the lease; after a failure they
// come more and more often, so that they never outlast what remains of it. The lock is reported lost before the server's
// lease ends.
func (c *Client) AutoRenewLock(key string, lease time.Duration, to Listener) (*AutoRenewLock, error) {
	if lease < 10*time.Millisecond {
		return nil, refuse("AutoRenewLock "+key, "a lease to renew is at least 10 milliseconds")
	}
	a := &AutoRenewLock{l: &Lock{c: c, key: key, inner: true}, lease: lease, to: to, turns: make(chan turn), done: make(chan struct{})}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(c.ctx)
	if !c.spawn(func() { a.run(ctx) }) || !c.spawn(a.tell) {
		a.stop()
		return nil, &failure{"AutoRenewLock " + key, ErrRefused, ErrClosed}
	}
	return a, nil
}

// Close ends it: the context of OnAcquired ends, OnLost is called, and then the lock is given up. Close does not wait,
// so a listener may call it; see [AutoRenewLock.Done].
func (a *AutoRenewLock) Close() { a.stop() }

// Done is closed when all is over after Close, the last call of the listener included.
func (a *AutoRenewLock) Done() <-chan struct{} { return a.done }

// IsHeld is [Lock.IsHeld].
func (a *AutoRenewLock) IsHeld() bool { return a.l.IsHeld() }

// Remaining is [Lock.Remaining].
func (a *AutoRenewLock) Remaining() time.Duration { return a.l.Remaining() }

// Token is [Lock.Token].
func (a *AutoRenewLock) Token() int64 { return a.l.Token() }

// forever is how long a lock that is renewed waits in line. The wait is renewed, too.
const forever = 365 * 24 * time.Hour

func (a *AutoRenewLock) run(ctx context.Context) {
	defer close(a.turns)
	pause := backoff{most: 5 * time.Second}
	for ctx.Err() == nil {
		ok, err := a.l.TryLock(ctx, a.lease, forever)
		if !ok {
			if err != nil && ctx.Err() == nil && a.to.OnError != nil {
				a.to.OnError(err)
			}
			pause.sleep(ctx)
			continue
		}
		pause.next = 0
		a.hold(ctx)
	}
	_ = a.l.Close() // If it fails, the lease ends it.
}

// hold tells the listener, renews until the lock is lost, and waits until the listener knows.
func (a *AutoRenewLock) hold(ctx context.Context) {
	held, lost := context.WithCancel(ctx)
	t := turn{ctx: held, token: a.l.Token(), over: make(chan struct{})}
	if t.token != 0 { // Else it was lost already.
		a.turns <- t
		_ = a.l.keep(held, a.lease) // It is over, for whatever reason.
		lost()
		<-t.over
	}
	lost()
}

// tell calls the listener.
func (a *AutoRenewLock) tell() {
	defer close(a.done)
	for t := range a.turns {
		if a.to.OnAcquired != nil {
			a.to.OnAcquired(t.ctx, t.token)
		}
		<-t.ctx.Done()
		if a.to.OnLost != nil {
			a.to.OnLost()
		}
		close(t.over)
	}
}

// keep renews a lock that is held, until it is lost or ctx ends.
func (l *Lock) keep(ctx context.Context, lease time.Duration) error {
	for {
		due := time.NewTimer(l.Remaining() - lease*2/3)
		select {
		case <-due.C:
		case <-ctx.Done():
			due.Stop()
			return ctx.Err()
		}
		err := l.UpdateLease(ctx, lease)
		switch {
		case err == nil:
		case errors.Is(err, ErrLost), ctx.Err() != nil:
			return err
		default: // Refused for another reason, a password perhaps: go on while the lease lasts.
			pause := backoff{next: lease / 20, most: l.Remaining() / 4}
			pause.sleep(ctx)
		}
	}
}
