package watch

import (
	"sync"

	"github.com/dtkv/dtkv/fsm"
)

// wait is one stream reader who waits for the next event of a path.
type wait struct{ wake func() }

// Wait calls wake once when there may be an event of path after that id; the empty path is the whole group. It may do
// so at once, and for nothing: wake means to Read again. wake runs on any goroutine and must not block. cancel takes
// the call back if it was not made; it must be called in any case.
func (h *Hub) Wait(group int, path string, after ID, wake func()) (cancel func()) {
	w, g := &wait{wake}, h.group(group)
	h.hearing.Add(1) // before looking into the ring, see ring.append
	g.mu.Lock()
	all := g.waits[path]
	if all == nil {
		all = make(map[*wait]struct{})
		g.waits[path] = all
	}
	all[w] = struct{}{}
	g.mu.Unlock()
	if g.ring.moved(after) || h.ctx.Err() != nil {
		if g.leave(path, w) {
			wake()
		}
	}
	return sync.OnceFunc(func() {
		g.leave(path, w)
		h.hearing.Add(-1)
	})
}

// leave takes w out and reports whether it was still in.
func (g *group) leave(path string, w *wait) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.waits[path]
	if _, in := all[w]; !in {
		return false
	}
	if delete(all, w); len(all) == 0 {
		delete(g.waits, path)
	}
	return true
}

// Outcome says how the wait for a lock ended.
type Outcome uint8

// The outcomes of a wait for a lock.
const (
	Unknown Outcome = iota // the hub cannot tell, or another request of the owner got an answer: look at the state
	Granted                // the owner holds the lock, as the answer to this request
	GaveUp                 // the request left the queue without the lock
	Flushed                // everything was removed: a request that was in a queue before has left it without the lock
)

// Grant is the news for a parked request.
type Grant struct {
	Outcome Outcome
	Token   uint64 // of the lock; 0 unless Granted
}

// place is one owner at one lock.
type place struct {
	key   string
	owner fsm.Owner
}

type parked struct {
	ticket fsm.Ticket
	fn     func(Grant)
}

// Park calls fn once, when the request with that ticket gets the lock or leaves its queue. Park before proposing the
// request, or the grant may come in between; a request that is granted at once makes that call too. fn runs on the
// hub's dispatcher or within Park: it must not block. cancel takes the call back and reports whether
// it did; it must be called in any case, and says the same when called again. After Close the outcome is Unknown.
func (h *Hub) Park(group int, key string, owner fsm.Owner, ticket fsm.Ticket, fn func(Grant)) (cancel func() bool) {
	p, at, g := &parked{ticket, fn}, place{key, owner}, h.group(group)
	h.hearing.Add(1)
	g.mu.Lock()
	all := g.parked[at]
	if all == nil {
		all = make(map[*parked]struct{})
		g.parked[at] = all
	}
	all[p] = struct{}{}
	g.mu.Unlock()
	if h.ctx.Err() != nil && g.unpark(at, p) {
		fn(Grant{})
	}
	return sync.OnceValue(func() bool {
		h.hearing.Add(-1)
		return g.unpark(at, p)
	})
}

// unpark takes p out and reports whether it was still in.
func (g *group) unpark(at place, p *parked) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.parked[at]
	if _, in := all[p]; !in {
		return false
	}
	if delete(all, p); len(all) == 0 {
		delete(g.parked, at)
	}
	return true
}

// call is one parked request and what it is to hear.
type call struct {
	p     *parked
	grant Grant
}

// serve wakes the streams that an event concerns and answers parked requests.
func (g *group) serve(r *Record) {
	if r.What == fsm.EventFlush {
		g.wakeAll(Flushed)
		return
	}
	g.mu.Lock()
	if len(g.waits)+len(g.parked) == 0 {
		g.mu.Unlock()
		return
	}
	waits := g.waitsFor(r)
	calls := g.answers(r)
	g.mu.Unlock()
	for _, w := range waits {
		w.wake()
	}
	for _, c := range calls {
		c.p.fn(c.grant)
	}
}

func (g *group) waitsFor(r *Record) (found []*wait) {
	if hidden(&r.Event) || len(g.waits) == 0 {
		return nil
	}
	for path := r.Key; ; path = above(path) {
		if all := g.waits[path]; all != nil {
			for w := range all {
				found = append(found, w)
			}
			delete(g.waits, path)
		}
		if path == "" {
			return found
		}
	}
}

func (g *group) answers(r *Record) (calls []call) {
	if r.What != fsm.EventLock && r.What != fsm.EventWaitEnd {
		return nil
	}
	at := place{r.Key, r.Owner}
	all := g.parked[at]
	for p := range all {
		c := call{p: p}
		switch {
		case p.ticket.Process == r.Ticket.Process && p.ticket.Number > r.Ticket.Number:
			continue // late news of an earlier request: this one's own answer comes behind it
		case p.ticket != r.Ticket: // of a later request, which took over this one's place
		case r.What == fsm.EventLock:
			c.grant = Grant{Granted, r.Token}
		default:
			c.grant = Grant{Outcome: GaveUp}
		}
		delete(all, p)
		calls = append(calls, c)
	}
	if len(all) == 0 {
		delete(g.parked, at)
	}
	return calls
}

// wakeAll wakes every stream and tells every parked request to look at the state.
func (g *group) wakeAll(why Outcome) {
	g.mu.Lock()
	waits, all := g.waits, g.parked
	g.waits, g.parked = make(map[string]map[*wait]struct{}), make(map[place]map[*parked]struct{})
	g.mu.Unlock()
	for _, some := range waits {
		for w := range some {
			w.wake()
		}
	}
	for _, some := range all {
		for p := range some {
			p.fn(Grant{Outcome: why})
		}
	}
}
