package linear

import (
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

const (
	lockOwners = 8 // the most owners that compete for one lock, numbered from 1; 0 is nobody
	never      = math.MaxInt64
)

// lockAct is what an operation on a lock does.
type lockAct uint8

const (
	acquire  lockAct = iota // DTKV.LOCK without WAIT
	ask                     // DTKV.LOCK with WAIT: the moment at which it is carried out
	told                    // the same command: the moment at which its answer is known
	release                 // DTKV.UNLOCK
	renew                   // DTKV.RENEW
	lockInfo                // DTKV.LOCKINFO
	theEnd                  // after all that was answered
)

// lockOp is an operation on a lock with what came back. Times are nanoseconds of the clients' clock.
//
// A command that waits is two operations, since its place in the queue and its answer are two moments. The first knows the
// answer already: the checker need not try what cannot lead to it.
type lockOp struct {
	act         lockAct
	owner       int
	lease, wait int64
	call, ret   int64 // it took effect between the two
	end         int64 // nobody heard of what happened after that
	unknown     bool  // nothing came back: it took effect, or never will
	id          int   // ask, told: the command
	token       int64 // the token that came back; 0: null, or NOTOWNER
	before      int64 // the greatest smaller one that anybody was told of this lock; see inOrder
	waiters     int   // lockInfo, whose owner is the holder and 0 if the lock is free
	done        bool  // release: 1 came back

	// From when on the server may take the owner out because the connection of this request is gone: as one who waits,
	// and as one who holds the lock; 0: never.
	leaves, yields int64
}

// place is a participant. Times say from when on something may happen at the earliest.
type place struct {
	owner  int
	token  int64 // what it is told in the end: a token, 0: null, or unseen
	before int64 // as of an operation
	lease  int64
	leaves int64 // it gives up waiting
	yields int64 // it holds the lock and loses it whatever its lease, since its connection is gone
}

// unseen is a token that no reply showed yet.
const unseen = -1

// lockState is a lock. It is comparable, so that the checker can tell known states from new ones.
type lockState struct {
	now     int64                 // the latest log entry is from then or later: reads leave no entry
	holder  place                 // owner 0: the lock is free; its token may be unseen
	ends    int64                 // the holder's lease ends, at the earliest
	latest  int64                 // of all tokens that were seen
	queue   [lockOwners]place     // those who wait, in order
	waiting int                   // how many they are
	asked   [lockOwners + 1]int64 // the latest command of each owner that waits for an answer
	over    bool                  // nobody hears of what happens now
}

// lockModel is a lock whose leases end at any time from the first that the clients' clock allows.
//
// A command that may have its effect at any time, or never, has it where it changes something, or after the end. So the checker
// does not try it everywhere.
func lockModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{lockState{}} },
		Step: func(state, input, _ any) []any {
			var all []any
			op := input.(lockOp)
			for _, s := range state.(lockState).settled(min(op.ret, op.end)) {
				if op.act != lockInfo {
					s.now = max(s.now, op.call)
				}
				if s.now > op.ret {
					continue
				}
				next, ok := s.step(op)
				if ok && (op.ret != never || next != s || s.over) {
					all = append(all, next.forgetful())
				}
				if op.unknown && op.ret != never {
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
			if next, ok := s.passed(at, at); ok {
				add(next)
			}
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
		s.holder.before, s.holder.lease, s.holder.leaves = 0, 0, 0
		s.ends = max(s.now, min(s.ends, s.holder.yields))
		s.holder.yields = max(s.now, s.holder.yields)
	}
	for w := range s.waiting {
		s.queue[w].leaves = max(s.now, s.queue[w].leaves)
		s.queue[w].yields = max(s.now, s.queue[w].yields)
	}
	return s
}

// passed is s after the holder has gone: the first in the queue has the lock, and its lease begins, not before since. It is false
// if the first was told something else.
func (s lockState) passed(at, since int64) (lockState, bool) {
	if s.waiting == 0 {
		s.now, s.holder, s.ends = at, place{}, 0
		return s, true
	}
	next := s.queue[0]
	return s.without(0, at).held(next, since)
}

// held is s with a new holder, false if it was told no token, or one that is none for a new holder.
func (s lockState) held(p place, since int64) (lockState, bool) {
	if p.token != unseen && p.before != s.latest {
		return s, false
	}
	s.holder, s.ends = p, since+p.lease
	s.latest = max(s.latest, p.token)
	return s, true
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
	switch {
	case op.act == theEnd:
		s.over = true
		return s, true
	case s.over:
		return s, true
	}
	switch op.act {
	case acquire, ask:
		return s.acquired(op)
	case told:
		if s.asked[op.owner] != int64(op.id) {
			return s, false
		}
		if op.token == 0 {
			return s, s.holder.owner != op.owner && s.find(op.owner) < 0
		}
		s, ok := s.bears(op)
		return s, ok && s.holder.owner == op.owner
	case release:
		return s.released(op)
	case renew:
		if s.holder.owner != op.owner {
			return s, op.token == 0
		}
		s, ok := s.bears(op)
		s.ends = op.call + op.lease
		return s, ok || op.unknown
	case lockInfo:
		if s.holder.owner != op.owner || s.waiting != op.waiters {
			return s, false
		}
		if op.owner == 0 {
			return s, true
		}
		return s.bears(op)
	}
	return s, false
}

func (s lockState) acquired(op lockOp) (lockState, bool) {
	p := place{owner: op.owner, token: op.token, before: op.before, lease: op.lease, leaves: never, yields: never}
	if op.unknown {
		p.token = unseen
	}
	if op.yields != 0 {
		p.yields = op.yields
	}
	if op.act == ask && !op.unknown {
		s.asked[op.owner] = int64(op.id)
	}
	switch w := s.find(op.owner); {
	case s.holder.owner == 0:
		return s.held(p, op.call)
	case s.holder.owner == op.owner:
		ok := true
		if op.unknown {
			p.token = s.holder.token
		} else {
			s, ok = s.bears(op)
		}
		s.holder, s.ends = p, op.call+op.lease
		return s, ok
	case op.act == acquire:
		return s, op.token == 0
	default:
		if p.token <= 0 {
			p.leaves = op.call + op.wait
		}
		if op.leaves != 0 {
			p.leaves = min(p.leaves, op.leaves)
		}
		if w < 0 {
			w = s.waiting
			s.waiting++
		}
		s.queue[w] = p
		return s, s.hopeful()
	}
}

// hopeful is false if those who wait cannot all be told what they are told: tokens come in the order of the queue. That would
// show later, too, but the checker would try all that can happen until then.
func (s lockState) hopeful() bool {
	latest := s.latest
	for _, p := range s.queue[:s.waiting] {
		if p.token <= 0 { // nobody knows, or it gives up
			continue
		}
		if p.token <= latest {
			return false
		}
		latest = p.token
	}
	return true
}

func (s lockState) released(op lockOp) (lockState, bool) {
	ok := op.done || op.unknown
	if s.holder.owner == op.owner {
		next, possible := s.passed(s.now, op.call)
		return next, possible && ok
	}
	if w := s.find(op.owner); w >= 0 {
		return s.without(w, s.now), ok
	}
	return s, !op.done
}

// bears is s when the holder's token is seen, false if that cannot be it.
func (s lockState) bears(op lockOp) (lockState, bool) {
	known := s.holder.token
	if s.holder.owner == 0 || op.token == 0 || known != unseen && known != op.token || known == unseen && op.before != s.latest {
		return s, false
	}
	s.holder.token, s.latest = op.token, op.token
	return s, true
}

// inOrder tells each operation which token comes before its own. Tokens grow, and each that somebody was told has its moment
// in a right order of the history: so when one is given, those before it have been. The checker would find that out without
// being told, but only after trying all that can happen until then.
func inOrder(ops []lockOp) {
	var tokens []int64
	for _, op := range ops {
		tokens = append(tokens, op.token)
	}
	tokens = append(tokens, 0)
	slices.Sort(tokens)
	for i := range ops {
		if first, _ := slices.BinarySearch(tokens, ops[i].token); first > 0 {
			ops[i].before = tokens[first-1]
		}
	}
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
	name := [...]string{"lock", "ask", "told", "unlock", "renew", "info", "the end"}[o.act]
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
	default:
		text += fmt.Sprintf(" -> %d", o.token)
	}
	return text
}
