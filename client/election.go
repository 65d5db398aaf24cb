package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
	"unicode/utf8"
)

// Election lets one of many candidates lead. It stands in the directory key: the lock key.lock says who leads, the value
// key.leader says what the leader calls itself, usually its address. Both are one: the value counts only while it carries
// the token of the lock.
type Election struct {
	c     *Client
	key   string
	lease time.Duration
	lock  *Lock

	mu   sync.Mutex // a leaf
	lead *leadership
}

type leadership struct {
	token  int64
	notice []byte // what stands in key.leader
	end    context.CancelCauseFunc
	done   chan struct{} // closed when it is not renewed any more
}

// notice is the JSON of key.leader.
type notice struct {
	Token int64  `json:"token"`
	Value string `json:"value"`
}

// Election returns the election that stands in the directory key. A leader that falls silent is succeeded after lease.
// Nothing is sent yet.
func (c *Client) Election(key string, lease time.Duration) *Election {
	return &Election{c: c, key: key, lease: lease, lock: &Lock{c: c, key: key + ".lock", inner: true}}
}

// Campaign waits until this candidate leads, or until ctx ends. Candidates are elected in the order of their coming.
// A candidate that leads already is refused with [ErrHeld]. The context it returns has the values of ctx, and ends when the leadership does, by Resign, Close or loss; it outlives
// ctx. Do under it whatever only the leader may do, and pass [Election.Token] along.
func (e *Election) Campaign(ctx context.Context, value string) (context.Context, error) {
	op := "Campaign " + e.key
	if !utf8.ValidString(value) || e.lease < 10*time.Millisecond {
		return nil, refuse(op, "a value is UTF-8, and a lease at least 10 milliseconds")
	}
	if _, err := e.c.MakeDir(ctx, e.key); err != nil {
		return nil, err
	}
	for {
		switch ok, err := e.lock.TryLock(ctx, e.lease, forever); {
		case err != nil && (errors.Is(err, ErrRefused) || ctx.Err() != nil || errors.Is(err, ErrCanceled)):
			return nil, err
		case !ok: // Nobody answers: TryLock has waited long enough to ask again at once.
			continue
		}
		lead, err := e.assume(ctx, value)
		if err == nil || ctx.Err() != nil {
			return lead, err
		}
		if err := e.lock.Unlock(ctx); err != nil {
			return nil, err
		}
	}
}

// assume starts to renew the lock that was just taken, and makes the leader known.
func (e *Election) assume(ctx context.Context, value string) (context.Context, error) {
	token := e.lock.Token()
	text, err := json.Marshal(notice{token, value})
	if err != nil {
		return nil, err
	}
	lead := &leadership{token: token, notice: text, done: make(chan struct{})}
	var leading context.Context
	leading, lead.end = context.WithCancelCause(context.WithoutCancel(ctx))
	if !e.c.spawn(func() {
		defer close(lead.done)
		stop := context.AfterFunc(e.c.ctx, func() { lead.end(ErrClosed) })
		defer stop()
		lead.end(e.lock.keep(leading, e.lease))
		if e.c.ctx.Err() != nil {
			_ = e.lock.Close() // If it fails, the lease ends it.
		}
	}) {
		return nil, &failure{"Campaign " + e.key, ErrRefused, ErrClosed}
	}
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leading, cancel)()
	if err := e.announce(both, lead); err != nil {
		lead.end(err)
		<-lead.done
		_ = e.lock.Unlock(context.WithoutCancel(ctx)) // If it fails, the lease ends it.
		return nil, err
	}
	e.mu.Lock()
	e.lead = lead
	e.mu.Unlock()
	return leading, nil
}

// announce replaces what an earlier leader left. It compares and sets, so that a leader of the past, however late its
// command arrives, replaces nothing.
func (e *Election) announce(ctx context.Context, lead *leadership) error {
	pause := backoff{most: 500 * time.Millisecond}
	for {
		old, err := e.c.Get(ctx, e.key+".leader")
		if err == nil || errors.Is(err, ErrNotFound) {
			if string(old) == string(lead.notice) {
				return nil // In doubt, and done.
			}
			var before notice
			if json.Unmarshal(old, &before) == nil && before.Token > lead.token {
				return &failure{"Campaign " + e.key, ErrRefused, ErrLost}
			}
			var ok bool
			if ok, err = e.c.CAS(ctx, e.key+".leader", old, lead.notice); ok {
				return nil
			}
		}
		if errors.Is(err, ErrRefused) {
			return err
		}
		if !pause.sleep(ctx) {
			return gaveUp(ctx, "Campaign "+e.key, true)
		}
	}
}

// Resign ends the leadership, or a Campaign that is running. The next candidate leads at once.
func (e *Election) Resign(ctx context.Context) error {
	e.mu.Lock()
	lead := e.lead
	e.lead = nil
	e.mu.Unlock()
	if lead != nil {
		lead.end(ErrCanceled)
		<-lead.done
		_, _ = e.c.CAS(ctx, e.key+".leader", lead.notice, nil) // Without its lock it counts for nothing, anyway.
	}
	return e.lock.Unlock(ctx)
}

// Token is the fencing token of the leadership, 0 when this candidate does not lead.
func (e *Election) Token() int64 { return e.lock.Token() }

// Leader is who leads. Its zero value: nobody, as far as is known.
type Leader struct {
	Value string
	Token int64
}

// Observe returns a channel that says who leads, now and after each change, until ctx ends; then it is closed. Leaders
// who lead for a short while only may be left out; the last one never is. Anyone may observe.
func (e *Election) Observe(ctx context.Context) <-chan Leader {
	out := make(chan Leader)
	w := e.c.Watch(ctx, e.key+".lock", e.key+".leader")
	if !e.c.spawn(func() {
		defer close(out)
		observe(w, out)
	}) {
		close(out)
	}
	return out
}

func observe(w *Watch, out chan<- Leader) {
	var token, told int64 = 0, -1 // told: the token last sent on
	var known notice
	seen := map[string]bool{}
	var next Leader
	var send chan<- Leader // nil: nothing to say
	for {
		select {
		case ev, ok := <-w.Events():
			if !ok {
				return
			}
			if ev.Gap {
				delete(seen, ev.Watched)
				continue
			}
			seen[ev.Watched] = true
			if ev.Watched == w.keys[0] {
				token = ev.Token
			} else {
				known = notice{}
				_ = json.Unmarshal(ev.Value, &known) // What is no notice names nobody.
			}
			next, send = Leader{}, nil
			if token != 0 && known.Token == token {
				next = Leader{known.Value, known.Token}
			}
			if len(seen) == len(w.keys) && next.Token != told {
				send = out
			}
		case send <- next:
			told, send = next.Token, nil
		}
	}
}
