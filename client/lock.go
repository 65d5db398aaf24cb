package client

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Lock is a lock of the cluster: first come, first served, held for a lease. It is not re-entrant. Two Lock objects of
// one key, in one program or in two, are strangers to each other: one waits for the other.
//
// Each acquisition has an identity of its own, so that a command which was held up on its way can never release or
// shorten a later one.
type Lock struct {
	c     *Client
	key   string
	inner bool // of an AutoRenewLock or an Election, which end it themselves

	mu      sync.Mutex // held while Client.mu is taken, never the other way round
	closed  bool
	running *operation // the TryLock or UpdateLease that is running
	hold    *hold      // the last acquisition, until Unlock: it may have ended, see left
}

// operation is a TryLock or UpdateLease on its way.
type operation struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	s      *session
}

// session is one identity at the server.
type session struct {
	owner string
	over  atomic.Bool // nobody wants what it may still be granted
}

// hold is an acquired lock. Its fields are guarded by Lock.mu.
type hold struct {
	s        *session
	token    int64
	deadline time.Time
	// floor is the shortest lease of a command that may still be applied, however late. No later lease may count on more
	// than this, for that command would cut it.
	floor time.Duration
}

// left is what remains of the lease.
func (h *hold) left() time.Duration {
	if h == nil {
		return 0
	}
	return max(0, time.Until(h.deadline))
}

// until is the end of a lease for the client. Counted from before the request was sent it is before the server's, and
// 1 % covers clocks that run apart.
func until(sent time.Time, lease time.Duration) time.Time { return sent.Add(lease - lease/100) }

// Lock returns a lock object for key. Its directory must exist, and must not be temporary. Nothing is sent yet.
func (c *Client) Lock(key string) *Lock { return &Lock{c: c, key: key} }

// TryLock takes the lock for the time of a lease, and reports whether it did. When another holds it, it waits in line for
// up to wait; 0: not at all. When ctx ends first, TryLock leaves the line.
//
// Unlock and Close end a TryLock that waits, with [ErrCanceled]. A lock that is held is refused with [ErrHeld].
// After an error the lock is not held; whatever the server may have granted meanwhile is given up.
func (l *Lock) TryLock(ctx context.Context, lease, wait time.Duration) (bool, error) {
	op := "LOCK " + l.key
	if lease < time.Millisecond || wait < 0 {
		return false, refuse(op, "a lease is at least a millisecond, and a wait not negative")
	}
	s := &session{owner: rand.Text()}
	ctx, run, old, err := l.begin(ctx, op, s)
	if err != nil {
		return false, err
	}
	defer l.finish(run)
	if old != nil { // Ours, but lost: free it, or we would wait for ourselves.
		old.s.over.Store(true)
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = l.c.unlock(once, l.key, old.s.owner).Wait(once) // If it fails, the lease ends it.
		cancel()
	}
	h, err := l.c.acquire(ctx, l.key, s, lease, wait)
	if h == nil {
		l.c.forget(l)
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = h // If Unlock or Close came meanwhile, it waits for us, and releases this.
	return true, nil
}

// begin marks that an operation runs: a TryLock for a new identity, or an UpdateLease of what is held. It returns the
// last acquisition, of which an UpdateLease must have time left, and a TryLock none.
func (l *Lock) begin(ctx context.Context, op string, s *session) (context.Context, *operation, *hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, taking := l.hold, s != nil
	switch {
	case l.closed:
		return nil, nil, nil, &failure{op, ErrRefused, ErrClosed}
	case l.running != nil:
		return nil, nil, nil, &failure{op, ErrRefused, ErrBusy}
	case taking && h.left() > 0:
		return nil, nil, nil, &failure{op, ErrRefused, ErrHeld}
	case !taking && h.left() == 0:
		return nil, nil, nil, &failure{op, ErrRefused, ErrLost}
	case ctx.Err() != nil:
		return nil, nil, nil, gaveUp(ctx, op, false)
	}
	if taking {
		if !l.c.remember(l) {
			return nil, nil, nil, &failure{op, ErrRefused, ErrClosed}
		}
		l.hold = nil
	} else {
		s = h.s
	}
	l.running = &operation{done: make(chan struct{}), s: s}
	ctx, l.running.cancel = context.WithCancelCause(ctx)
	return ctx, l.running, h, nil
}

func (l *Lock) finish(run *operation) {
	l.mu.Lock()
	l.running = nil
	l.mu.Unlock()
	run.cancel(nil)
	close(run.done)
}

// Unlock gives the lock up, whether it is held, being waited for, or unknown after an error; a TryLock or UpdateLease
// that is running ends with [ErrCanceled]. The lock counts as not held at once. On an error the server may hold it until
// the lease ends. Unlock of a lock that is not held does nothing.
func (l *Lock) Unlock(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return &failure{"UNLOCK " + l.key, ErrRefused, ErrClosed}
	}
	l.mu.Unlock()
	return l.unlock(ctx)
}

func (l *Lock) unlock(ctx context.Context) error {
	l.mu.Lock()
	run, h := l.running, l.hold
	l.mu.Unlock()
	var s *session
	if run != nil {
		run.s.over.Store(true)
		run.cancel(ErrCanceled)
		<-run.done
		s = run.s
	} else if h != nil {
		s = h.s
	}
	l.mu.Lock()
	if l.hold != nil { // Also what a TryLock was granted at the last moment.
		s = l.hold.s
		l.hold = nil
	}
	l.mu.Unlock()
	if s == nil {
		return nil
	}
	s.over.Store(true)
	_, err := insist(ctx, l.c, func() *Future[bool] { return l.c.unlock(ctx, l.key, s.owner) })
	l.c.forget(l)
	return err
}

// Close is Unlock for the last time: the object is of no use afterwards. It waits for the server's answer as long as
// [Options.RetryFor] lets it.
func (l *Lock) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	return l.unlock(context.Background())
}

// UpdateLease lets the lock be held for lease from now on, longer or shorter than before, under the same token. An error
// that is [ErrLost] says that it is not held any more. After any other error it is held as long as [Lock.Remaining] says,
// which then counts with the shorter of both leases.
//
// It repeats itself until ctx ends, or until the lease does.
func (l *Lock) UpdateLease(ctx context.Context, lease time.Duration) error {
	op := "RENEW " + l.key
	if lease < time.Millisecond {
		return refuse(op, "a lease is at least a millisecond")
	}
	ctx, run, h, err := l.begin(ctx, op, nil)
	if err != nil {
		return err
	}
	defer l.finish(run)
	return l.renew(ctx, op, h, lease)
}

func (l *Lock) renew(ctx context.Context, op string, h *hold, lease time.Duration) error {
	l.mu.Lock()
	before := h.deadline
	l.mu.Unlock()
	a := newAttempts(l.c, op, nil)
	defer a.end()
	pause := backoff{most: 500 * time.Millisecond}
	for {
		l.mu.Lock()
		if end := until(time.Now(), min(lease, h.floor)); end.Before(h.deadline) {
			h.deadline = end // From here on the server may shorten it.
		}
		left := h.left()
		l.mu.Unlock()
		if left < time.Millisecond { // No time for another attempt.
			return l.lose(op, h, errLate)
		}
		a.send(l.c.rdb, "DTKV.RENEW", l.key, milliseconds(lease), "OWNER", h.s.owner)
		ans := a.next(ctx, min(left, max(left/4, 10*time.Millisecond)))
		switch {
		case ans.err == nil && ans.token == h.token:
			l.mu.Lock()
			if a.unsettled() {
				h.floor = min(h.floor, lease)
			}
			h.deadline = until(ans.sent, min(lease, h.floor))
			l.mu.Unlock()
			return nil
		case ans.err == nil || Word(ans.err) == "NOTOWNER": // Another token means that it was lost in between.
			return l.lose(op, h, ans.err)
		case errors.Is(ans.err, ErrRefused), ctx.Err() != nil, l.c.ctx.Err() != nil:
			l.mu.Lock()
			if a.unsettled() {
				h.floor = min(h.floor, lease)
			} else {
				h.deadline = before
			}
			l.mu.Unlock()
			return ans.err
		}
		pause.most = min(500*time.Millisecond, max(time.Millisecond, left/4))
		pause.sleep(ctx)
	}
}

var errLate = errors.New("no renewal came through before the lease ended")

// lose drops a hold that is no more.
func (l *Lock) lose(op string, h *hold, cause error) error {
	l.mu.Lock()
	h.deadline = time.Time{}
	l.mu.Unlock()
	if cause == nil {
		return &failure{op, ErrRefused, ErrLost}
	}
	return &failure{op, ErrRefused, errors.Join(ErrLost, cause)}
}

// IsHeld reports whether the lock is held, by this object's own clock: for the server it is held longer, never shorter.
func (l *Lock) IsHeld() bool { return l.Remaining() > 0 }

// Remaining is what is left of the lease, 0 when the lock is not held. It asks nobody.
func (l *Lock) Remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold.left()
}

// Token is the fencing token of the lock while it is held, else 0. Tokens only ever grow, over all locks of a database.
// Send it along with whatever the lock protects, and refuse there any token smaller than the greatest seen.
func (l *Lock) Token() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold.left() == 0 {
		return 0
	}
	return l.hold.token
}

// unlock sends one UNLOCK.
func (c *Client) unlock(ctx context.Context, key, owner string) *Future[bool] {
	return start(ctx, c, "UNLOCK "+key, true, asBool, "DTKV.UNLOCK", key, "OWNER", owner)
}

// release gives up, in the background, what an identity may hold or wait for.
func (c *Client) release(key string, s *session) {
	s.over.Store(true)
	unlock := func() {
		ctx := context.Background()                                                        // also while the client is being closed; RetryFor bounds it
		_, _ = insist(ctx, c, func() *Future[bool] { return c.unlock(ctx, key, s.owner) }) // Else its lease ends it.
	}
	if !c.spawn(unlock) {
		unlock()
	}
}

// remember lets Close find a lock that may have something at the server. It reports false when the client is closed.
func (c *Client) remember(l *Lock) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !l.inner {
		c.locks[l] = struct{}{}
	}
	return !c.closed
}

func (c *Client) forget(l *Lock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.locks, l)
}

const noFloor = time.Duration(math.MaxInt64)
