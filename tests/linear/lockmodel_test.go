package linear

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"
)

const (
	lockOwners = 5 // owners that compete for one lock, numbered from 1; 0 is nobody
	never      = math.MaxInt64
)

// lockAct is what an operation on a lock does.
type lockAct uint8

const (
	acquire  lockAct = iota // DTKV.LOCK without WAIT
	ask                     // DTKV.LOCK with WAIT: the moment at which it is carried out
	granted                 // the same command: the moment at which its token is sent
	gaveUp                  // the same command: the moment at which its null is sent
	release                 // DTKV.UNLOCK
	renew                   // DTKV.RENEW
	lockInfo                // DTKV.LOCKINFO
)

// lockOp is an operation on a lock with what came back. Times are nanoseconds of the clients' clock.
//
// A command that waits is two operations: its place in the queue and its answer are two moments.
type lockOp struct {
	act         lockAct
	owner       int
	lease, wait int64
	call, ret   int64 // it took effect between the two
	unknown     bool  // nothing came back: it took effect, or never will
	id          int   // ask, granted, gaveUp: the command
	token       int64 // the token that came back; 0: null, or NOTOWNER
	waiters     int   // lockInfo, whose owner is the holder and 0 if the lock is free
	done        bool  // release: 1 came back

	// From when on the server may take the owner out because the connection of this request is gone: as one who waits,
	// and as one who holds the lock; 0: never.
	leaves, yields int64
}

// place is a participant. Times say from when on something may happen at the earliest.
type place struct {
	owner  int
	lease  int64
	leaves int64 // it gives up waiting
	yields int64 // it holds the lock and loses it whatever its lease, since its connection is gone
}

// lockState is a lock. It is comparable, so that the checker can tell known states from new ones.
type lockState struct {
	now     int64                 // all that happened so far may have happened by now
	holder  place                 // owner 0: the lock is free
	ends    int64                 // the holder's lease ends, at the earliest
	token   int64                 // the holder's; 0: nobody has seen it yet
	latest  int64                 // of all tokens that were seen
	queue   [lockOwners]place     // those who wait, in order
	waiting int                   // how many they are
	asked   [lockOwners + 1]int64 // the latest command of each owner that waits for an answer
}

// lockModel is a lock whose leases end at any time from the first that the clients' clock allows.
func lockModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{lockState{}} },
		Step: func(state, input, _ any) []any {
			var all []any
			op := input.(lockOp)
			for _, s := range state.(lockState).settled(op.ret) {
				s.now = max(s.now, op.call)
				if next, ok := s.step(op); ok {
					all = append(all, next.forgetful())
				}
				if op.unknown {
					all = append(all, s.forgetful())
				}
			}
			return all
		},
		DescribeOperation: func(input, _ any) string { return input.(lockOp).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

// settled returns the states that s may have become by a time, if nobody does anything: those who wait give up, leases
// end. Nothing has to happen, since the server's clock may stand still.
func (s lockState) settled(by int64) []lockState {
	all := []lockState{s}
	add := func(next lockState) {
		for i := range all {
			if all[i] == next {
				return
			}
		}
		all = append(all, next)
	}
	for i := 0; i < len(all); i++ {
		s := all[i]
		if at := max(s.now, min(s.ends, s.holder.yields)); s.holder.owner != 0 && at <= by {
			add(s.passed(at))
		}
		for w := range s.waiting {
			if at := max(s.now, s.queue[w].leaves); at <= by {
				add(s.without(w, at))
			}
		}
	}
	return all
}

// forgetful is s without what makes no difference any more, so that ways that lead to the same end are known to.
func (s lockState) forgetful() lockState {
	if s.holder.owner != 0 {
		s.holder.lease, s.holder.leaves = 0, 0
		s.ends = max(s.now, min(s.ends, s.holder.yields))
		s.holder.yields = max(s.now, s.holder.yields)
	}
	for w := range s.waiting {
		s.queue[w].leaves = max(s.now, s.queue[w].leaves)
		s.queue[w].yields = max(s.now, s.queue[w].yields)
	}
	return s
}

// passed is s after the holder has gone: the first in the queue has the lock, under a token that nobody has seen yet.
func (s lockState) passed(at int64) lockState {
	next := s.queue[0]
	if s.waiting == 0 {
		s.now, s.holder, s.ends, s.token = at, place{}, 0, 0
		return s
	}
	return s.without(0, at).held(next, at, 0)
}

// held is s with a new holder. A token of 0 is one that nobody has seen yet.
func (s lockState) held(p place, at, token int64) lockState {
	s.now, s.holder, s.ends, s.token = at, p, at+p.lease, token
	s.latest = max(s.latest, token)
	return s
}

// without is s without one of those who wait.
func (s lockState) without(w int, at int64) lockState {
	s.now = at
	copy(s.queue[w:], s.queue[w+1:])
	s.waiting--
	s.queue[s.waiting] = place{}
	return s
}

// step is s after an operation, false if that operation could not have come back like this.
func (s lockState) step(op lockOp) (lockState, bool) {
	switch op.act {
	case acquire, ask:
		return s.acquired(op)
	case granted:
		s, ok := s.bears(op.token)
		return s, ok && s.holder.owner == op.owner && s.asked[op.owner] == int64(op.id)
	case gaveUp:
		return s, s.holder.owner != op.owner && s.find(op.owner) < 0 && s.asked[op.owner] == int64(op.id)
	case release:
		return s.released(op)
	case renew:
		if s.holder.owner != op.owner {
			return s, op.token == 0
		}
		s, ok := s.bears(op.token)
		s.holder.lease, s.ends = op.lease, s.now+op.lease
		return s, ok || op.unknown
	case lockInfo:
		if s.holder.owner != op.owner || s.waiting != op.waiters {
			return s, false
		}
		if op.owner == 0 {
			return s, true
		}
		return s.bears(op.token)
	}
	return s, false
}

func (s lockState) acquired(op lockOp) (lockState, bool) {
	p := place{op.owner, op.lease, never, never}
	if op.yields != 0 {
		p.yields = op.yields
	}
	if op.act == ask {
		s.asked[op.owner] = int64(op.id)
	}
	switch w := s.find(op.owner); {
	case s.holder.owner == 0:
		if op.act == acquire && !op.unknown && op.token <= s.latest {
			return s, false
		}
		return s.held(p, s.now, op.token), true
	case s.holder.owner == op.owner:
		ok := true
		if op.act == acquire && !op.unknown {
			s, ok = s.bears(op.token)
		}
		s.holder, s.ends = p, s.now+op.lease
		return s, ok
	case op.act == acquire:
		return s, op.token == 0
	default:
		p.leaves = s.now + op.wait
		if op.leaves != 0 {
			p.leaves = min(p.leaves, max(op.leaves, s.now))
		}
		if w < 0 {
			w = s.waiting
			s.waiting++
		}
		s.queue[w] = p
		return s, true
	}
}

func (s lockState) released(op lockOp) (lockState, bool) {
	if s.holder.owner == op.owner {
		return s.passed(s.now), op.done || op.unknown
	}
	if w := s.find(op.owner); w >= 0 {
		return s.without(w, s.now), op.done || op.unknown
	}
	return s, !op.done
}

// bears is s when the holder's token is seen, false if that cannot be it.
func (s lockState) bears(token int64) (lockState, bool) {
	if s.holder.owner == 0 || s.token != 0 && s.token != token || s.token == 0 && token <= s.latest {
		return s, false
	}
	s.token, s.latest = token, token
	return s, true
}

// find returns the place of an owner among those who wait, -1 if it does not.
func (s lockState) find(owner int) int {
	for w := range s.waiting {
		if s.queue[w].owner == owner {
			return w
		}
	}
	return -1
}

func (o lockOp) String() string {
	name := [...]string{"lock", "ask", "granted", "gave up", "unlock", "renew", "info"}[o.act]
	text := fmt.Sprintf("%d %s", o.owner, name)
	if o.lease != 0 {
		text += fmt.Sprintf(" lease %d ms", o.lease/1e6)
	}
	if o.act == ask {
		text += fmt.Sprintf(" wait %d ms", o.wait/1e6)
	}
	switch {
	case o.unknown:
		text += " -> ?"
	case o.act == release:
		text += fmt.Sprintf(" -> %v", o.done)
	case o.act == lockInfo:
		text += fmt.Sprintf(" -> token %d, %d wait", o.token, o.waiters)
	case o.act != ask:
		text += fmt.Sprintf(" -> %d", o.token)
	}
	return text
}
