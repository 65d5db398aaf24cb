// Package lock is one lock: who holds it, and who waits, in the order of their arrival.
//
// A [Queue] is pure: it reads no clock and draws no tokens. The caller says what time it is and which token the next
// grant bears, and learns as a value what happened. Package fsm keeps one Queue in each node of kind lock.
//
// A lock is held by an owner, not by a connection, until the owner lets go or its lease ends. So whoever asks again,
// after a lost reply or at another server, gets the same answer: the holder its token, a waiter its place.
package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
)

// Owner tells participants apart. It is a digest of the id that a client declared, so neither log, snapshot nor reply
// holds the secret itself. The zero Owner is nobody.
type Owner [16]byte

// Digest returns 8 hexadecimal characters to show in place of the owner, empty for nobody. They are a hash of the Owner and
// tell nothing of it.
func (o Owner) Digest() string {
	if o == (Owner{}) {
		return ""
	}
	sum := sha256.Sum256(o[:])
	return hex.EncodeToString(sum[:4])
}

// Ticket names one request of one connection: who it is that waits. Process is unique to one start of one node, Number
// counts within it.
type Ticket struct{ Process, Number uint64 }

// Request asks for a lock.
type Request struct {
	Owner  Owner
	Ticket Ticket
	Lease  int64 // milliseconds to hold it, counted from the grant; less than 1 is 1
	Wait   int64 // milliseconds to wait for it; less than 1 is not at all
}

// Participant is the holder of a lock, or one who waits for it.
type Participant struct {
	Owner    Owner
	Ticket   Ticket // of the newest request
	Lease    int64  // milliseconds, counted from the grant
	Deadline int64  // cluster milliseconds: the holder's lease ends, a waiter gives up
	Arrived  uint64 // the order of arrival: everyone's is greater than those of all before
}

// Answer says what became of a request.
type Answer uint8

// The answers to a request.
const (
	Denied  Answer = iota // another holds the lock; nothing has changed
	Queued                // another holds the lock; the owner waits, in the place it had if it waited before
	Again                 // the owner has held the lock before, and its lease begins anew
	Granted               // the owner holds the lock from now on
)

// Change is what a step did to the participants, apart from the one who asked for it.
type Change struct {
	Freed   Participant   // who held the lock and does no more; the zero Owner if that is nobody
	Token   uint64        // the token that Freed bore
	Left    []Participant // waiters who left without the lock, in the order in which they did
	Granted bool          // the holder is a new one, and bears the token that was offered
}

// Count returns how many participants left.
func (c *Change) Count() int64 {
	n := int64(len(c.Left))
	if c.Freed.Owner != (Owner{}) {
		n++
	}
	return n
}

// Queue is a lock. The zero value is free and ready to use. Each step costs O(log n) of n participants, and O(log n) for
// each that leaves. A Queue must not be copied by assignment.
type Queue struct {
	token  uint64
	holder Participant // the zero Owner: the lock is free, and nobody waits
	line   line
}

// Copy returns a Queue that goes its own way from now on, in constant time: both share the waiters and copy what they
// change. Copy marks q's own waiters as shared, so nobody may change or copy q meanwhile; to read it is safe.
func (q *Queue) Copy() *Queue {
	return &Queue{token: q.token, holder: q.holder, line: q.line.copy()}
}

// Token returns the fencing token of the holder.
func (q *Queue) Token() uint64 { return q.token }

// Holder returns who holds the lock, false if it is free.
func (q *Queue) Holder() (Participant, bool) { return q.holder, q.holder.Owner != Owner{} }

// Len returns the number of participants, the holder among them.
func (q *Queue) Len() int {
	if q.holder.Owner == (Owner{}) {
		return 0
	}
	return 1 + q.line.len()
}

// Lookup returns the participant of an owner, be it the holder or one who waits.
func (q *Queue) Lookup(o Owner) (Participant, bool) {
	if o == (Owner{}) {
		return Participant{}, false
	}
	if q.holder.Owner == o {
		return q.holder, true
	}
	if p := q.line.find(o); p != nil {
		return *p, true
	}
	return Participant{}, false
}

// Waiters calls fn for those who wait, in the order of their arrival, until it returns false.
func (q *Queue) Waiters(fn func(Participant) bool) { q.line.each(fn) }

// Due returns the earliest deadline of all participants in cluster milliseconds, 0 if there is none.
func (q *Queue) Due() int64 {
	due := q.holder.Deadline
	if p := q.line.earliest(); p != nil && p.Deadline < due {
		due = p.Deadline
	}
	return due
}

// Acquire asks for the lock at the time now, in cluster milliseconds; a grant bears token. One owner has one place: to
// ask again renews its ticket, lease and deadline. The owner must not be zero.
func (q *Queue) Acquire(now int64, r Request, token uint64) Answer {
	p := Participant{Owner: r.Owner, Ticket: r.Ticket, Lease: max(r.Lease, 1), Arrived: q.holder.Arrived}
	switch {
	case q.holder.Owner == Owner{}:
		p.Arrived = 1
		q.hold(now, p, token)
		return Granted
	case q.holder.Owner == r.Owner:
		q.hold(now, p, q.token)
		return Again
	case r.Wait < 1:
		return Denied
	}
	p.Deadline = after(now, r.Wait)
	if old := q.line.find(r.Owner); old != nil {
		p.Arrived = old.Arrived
		q.line.remove(old)
	} else {
		if last := q.line.last(); last != nil {
			p.Arrived = last.Arrived
		}
		p.Arrived++
	}
	q.line.add(&p)
	return Queued
}

// Renew begins the holder's lease anew. It reports whether the owner holds the lock.
func (q *Queue) Renew(now int64, o Owner, lease int64) bool {
	if o == (Owner{}) || q.holder.Owner != o {
		return false
	}
	q.holder.Lease = max(lease, 1)
	q.holder.Deadline = after(now, q.holder.Lease)
	return true
}

// Leave takes an owner out. If it held the lock, the next who has not given up by now holds it, with the token.
func (q *Queue) Leave(now int64, o Owner, token uint64) Change {
	if o == (Owner{}) {
		return Change{}
	}
	if q.holder.Owner == o {
		return q.pass(now, token)
	}
	if p := q.line.find(o); p != nil {
		q.line.remove(p)
		return Change{Left: []Participant{*p}}
	}
	return Change{}
}

// Expire takes out one participant whose deadline has passed: the holder, whose lock then passes on as in Leave, or a
// waiter. It changes nothing if there is none.
func (q *Queue) Expire(now int64, token uint64) Change {
	if q.holder.Owner == (Owner{}) || q.Due() >= now {
		return Change{}
	}
	if p := q.line.earliest(); p != nil && p.Deadline < now && p.Deadline < q.holder.Deadline {
		q.line.remove(p)
		return Change{Left: []Participant{*p}}
	}
	return q.pass(now, token)
}

// Retain takes out the waiters whose tickets are of none of the processes.
func (q *Queue) Retain(processes []uint64) Change {
	var c Change
	q.line.each(func(p Participant) bool {
		for _, id := range processes {
			if p.Ticket.Process == id {
				return true
			}
		}
		c.Left = append(c.Left, p)
		return true
	})
	for i := range c.Left {
		q.line.remove(&c.Left[i])
	}
	return c
}

// pass frees the lock and gives it to the first who has not given up. Those in front of it leave.
func (q *Queue) pass(now int64, token uint64) Change {
	c := Change{Freed: q.holder, Token: q.token}
	q.holder, q.token = Participant{}, 0
	for {
		p := q.line.first()
		if p == nil {
			return c
		}
		q.line.remove(p)
		if p.Deadline >= now {
			q.hold(now, *p, token)
			c.Granted = true
			return c
		}
		c.Left = append(c.Left, *p)
	}
}

func (q *Queue) hold(now int64, p Participant, token uint64) {
	p.Deadline = after(now, p.Lease)
	q.holder, q.token = p, token
}

// Restore makes the Queue of a holder, its token, and those who wait for it, in the order of their arrival. It reports
// whether a Queue can be so.
func Restore(token uint64, holder Participant, waiters []Participant) (*Queue, bool) {
	q := &Queue{token: token, holder: holder}
	if !possible(&holder) || token == 0 {
		return nil, false
	}
	last := holder.Arrived
	for i := range waiters {
		p := waiters[i]
		if _, twice := q.Lookup(p.Owner); twice || !possible(&p) || p.Arrived <= last {
			return nil, false
		}
		last = p.Arrived
		q.line.add(&p)
	}
	return q, true
}

func possible(p *Participant) bool {
	return p.Owner != Owner{} && p.Lease >= 1 && p.Deadline >= 1 && p.Arrived >= 1
}

// after adds milliseconds to a time. What no clock can reach is the last time there is.
func after(now, millis int64) int64 {
	if millis > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + millis
}
