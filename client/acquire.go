package client

import (
	"context"
	"errors"
	"time"
)

// grace is how much longer than asked for the server may take to answer before it is asked again.
const grace = 2 * time.Second

// acquire takes a lock for an identity. nil without an error: another holds it.
//
// It sends LOCK until an answer can be built on. The command may be repeated: whoever holds or waits keeps his place, so
// a grant whose answer was lost is simply told again. Long waits are repeated at half their time for the same reason: a
// broken connection must not cost the place in line. A grant that comes after a wait is asked for once more, since its
// lease began at a time that only the server knows.
//
// When it returns without a lock, whatever may be granted later is given back.
func (c *Client) acquire(ctx context.Context, key string, s *session, lease, wait time.Duration) (*hold, error) {
	op := "LOCK " + key
	a := newAttempts(c, op, func(ans answer) {
		if s.over.Load() && (ans.token != 0 || errors.Is(ans.err, ErrInDoubt)) {
			c.release(key, s)
		}
	})
	granted := false
	give := func(h *hold, err error) (*hold, error) {
		a.end()
		if h == nil && (granted || a.unsettled()) {
			c.release(key, s)
		}
		if h == nil {
			s.over.Store(true)
		}
		return h, err
	}
	now := time.Now()
	end, giveUp := now.Add(wait), now.Add(max(wait, c.o.RetryFor))
	pause := backoff{most: time.Second}
	for again := false; ; {
		park := min(max(0, time.Until(end)), parkFor)
		c.sendLock(a, key, s, lease, park)
		ans := a.next(ctx, min(park+grace, refreshAfter))
		now := time.Now()
		switch {
		case ctx.Err() != nil || c.ctx.Err() != nil:
			return give(nil, ended(ctx, op, granted || a.unsettled()))
		case ans.token != 0:
			granted = true
			if deadline := until(ans.sent, lease); deadline.After(now) && (again || now.Sub(ans.sent) <= lease/4) {
				h := &hold{s: s, token: ans.token, deadline: deadline, floor: noFloor}
				if a.unsettled() {
					h.floor = lease
				}
				return give(h, nil)
			}
			again = true
			continue // Ask once more, now.
		case ans.err == nil && !now.Before(end):
			return give(nil, nil)
		case errors.Is(ans.err, ErrRefused):
			return give(nil, ans.err)
		case ans.err != nil && !now.Before(giveUp):
			return give(nil, ans.err)
		}
		again = false
		if !errors.Is(ans.err, errSilent) {
			pause.sleep(ctx)
		}
	}
}

// ended is the error of an acquisition that its caller, or Unlock, or Close ended.
func ended(ctx context.Context, op string, sent bool) error {
	if ctx.Err() != nil {
		return gaveUp(ctx, op, sent)
	}
	return &failure{op, ErrInDoubt, ErrClosed}
}

// sendLock sends one LOCK: to wait, on a patient connection.
func (c *Client) sendLock(a *attempts, key string, s *session, lease, park time.Duration) {
	if park <= 0 {
		a.send(c.rdb, "DTKV.LOCK", key, milliseconds(lease), "OWNER", s.owner)
		return
	}
	a.send(c.parked, "DTKV.LOCK", key, milliseconds(lease), "WAIT", milliseconds(park), "OWNER", s.owner)
}
