package fsm

import "github.com/dtkv/dtkv/lock"

// A lock is a node whose participants are in a lock.Queue. It is there as long as it has any, and somebody holds it all
// that time. When the holder changes, the node's Updated moves as with a write; when participants come, go or stay longer
// behind the holder, or it renews its lease, nothing moves.

// AcquireLock takes a lock, or a place among those who wait for it. Result: Found says that the owner holds it, and Int is
// the token; otherwise Int is 1 when the owner waits and 0 when it does not. A holder who asks again begins a new lease
// under its token; a waiter keeps its place. Without Wait, a lock that another holds is left as it is. Anything but a lock is
// refused with ErrWrongType, a place below a temporary directory with ErrUnderTemp.
type AcquireLock struct {
	Key    []byte
	Owner  Owner
	Lease  int64 // milliseconds from the grant on; less than 1 is 1
	Wait   int64 // milliseconds from the entry's cluster time on; less than 1 is not to wait
	Ticket Ticket
}

func (o *AcquireLock) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no == nil {
		no = owner(o.Owner, p)
	}
	if no != nil {
		return refused(no)
	}
	dir, no := m.parent(p, m.autoMkdir)
	if no == nil {
		no = m.underTemp(p)
	}
	if no != nil {
		return refused(no)
	}
	n := m.lookup(p)
	if n != nil && n.Kind != Lock {
		return refused(ErrWrongType)
	}

	q := new(lock.Queue)
	if n != nil {
		q = n.Lock().Copy()
	}
	r := lock.Request{Owner: o.Owner, Ticket: o.Ticket, Lease: o.Lease, Wait: o.Wait}
	switch q.Acquire(m.clusterMillis, r, m.tokens+1) {
	case lock.Granted: // a lock that is there is held, so this one is new
		m.tokens++
		if dir == nil {
			dir = m.makeParents(p)
		}
		n = m.add(p.key, &Node{Kind: Lock, Created: m.stamp, rest: &rest{lock: q}, sole: true}, p.depth, dir)
		m.emitHolder(n, q)
		return Result{Found: true, Int: int64(q.Token())}
	case lock.Again:
		m.amend(n, rest{lock: q})
		return Result{Found: true, Int: int64(q.Token())}
	case lock.Queued:
		m.amend(n, rest{lock: q})
		return done
	}
	return nothing
}

// ReleaseLock gives up a lock, or a place among those who wait. Result: Int 1 done, 0 when the owner has neither. The next
// waiter holds the lock from this entry on. Anything but a lock is refused with ErrWrongType.
type ReleaseLock struct {
	Key   []byte
	Owner Owner
}

func (o *ReleaseLock) apply(m *Machine) Result {
	n, no := m.lockAt(o.Key)
	if no != nil {
		return refused(no)
	}
	if n == nil {
		return nothing
	}
	return m.leave(n, o.Owner)
}

// lockAt returns the lock at a key, nil if nothing is there.
func (m *Machine) lockAt(key []byte) (*Node, *Refusal) {
	p, no := parsePath(key)
	if no != nil {
		return nil, no
	}
	n := m.lookup(p)
	if n != nil && n.Kind != Lock {
		return nil, ErrWrongType
	}
	return n, nil
}

// leave takes an owner out of a lock.
func (m *Machine) leave(n *Node, o Owner) Result {
	if _, ok := n.Lock().Lookup(o); !ok {
		return nothing
	}
	q := n.Lock().Copy()
	s := settlement{from: len(m.events)}
	m.step(&s, n, q, q.Leave(m.clusterMillis, o, m.tokens+1), EventUnlock)
	m.settle(&s, n, q)
	return done
}

// RenewLock begins the holder's lease anew. Result: Int is the token. Who does not hold the lock is refused with
// ErrNotOwner. Anything but a lock is refused with ErrWrongType.
type RenewLock struct {
	Key   []byte
	Owner Owner
	Lease int64 // milliseconds from the entry's cluster time on; less than 1 is 1
}

func (o *RenewLock) apply(m *Machine) Result {
	n, no := m.lockAt(o.Key)
	if no != nil {
		return refused(no)
	}
	if n != nil {
		q := n.Lock().Copy()
		if q.Renew(m.clusterMillis, o.Owner, o.Lease) {
			m.amend(n, rest{lock: q})
			return Result{Int: int64(q.Token())}
		}
	}
	return refused(&Refusal{Code: NotOwner, Path: string(o.Key)})
}

// LeaveLock is ReleaseLock for a connection that died while it waited. Result: Int 1 done, 0 when the owner's place,
// if it has one, is of another ticket: then the owner has asked again elsewhere. It makes no difference whether
// the lock was granted meanwhile.
type LeaveLock struct {
	Key    []byte
	Owner  Owner
	Ticket Ticket
}

func (o *LeaveLock) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n := m.lookup(p)
	if n == nil || n.Kind != Lock {
		return nothing
	}
	if who, ok := n.Lock().Lookup(o.Owner); !ok || who.Ticket != o.Ticket {
		return nothing
	}
	return m.leave(n, o.Owner)
}

// RetainProcesses makes all waiters leave whose ticket is of none of the processes, since their connections are gone.
// Holders stay: a lock outlives its connection. Result: Int is how many left. It looks at every participant of every lock.
type RetainProcesses struct{ Processes []uint64 }

func (o *RetainProcesses) apply(m *Machine) Result {
	var r Result
	m.View().ScanKind(Lock, 0, m.tree.Len()+1, func(n *Node) {
		if n.Lock().Len() == 1 {
			return
		}
		q := n.Lock().Copy()
		c := q.Retain(o.Processes)
		if len(c.Left) == 0 {
			return
		}
		s := settlement{from: len(m.events)}
		m.step(&s, n, q, c, EventWaitEnd)
		m.settle(&s, n, q)
		r.Int += c.Count()
	})
	return r
}

// expireParticipants takes out participants that are due, about limit of them, and returns how many.
func (m *Machine) expireParticipants(n *Node, limit int64) (count int64) {
	q := n.Lock().Copy()
	s := settlement{from: len(m.events)}
	for count < limit {
		c := q.Expire(m.clusterMillis, m.tokens+1)
		if c.Count() == 0 {
			break
		}
		count += c.Count()
		m.step(&s, n, q, c, EventExpired)
	}
	m.settle(&s, n, q)
	return count
}

// settlement gathers what steps of a lock have done, until its node is settled.
type settlement struct {
	from  int  // where the events of this lock begin
	moved bool // the holder has changed
}

// step tells of one change of n's lock, which q is now. freed is what happened to who held it.
func (m *Machine) step(s *settlement, n *Node, q *lock.Queue, c lock.Change, freed What) {
	if c.Freed.Owner != (Owner{}) {
		s.moved = true
		m.events = append(m.events, Event{What: freed, Key: n.Key, Owner: c.Freed.Owner, Ticket: c.Freed.Ticket, Token: c.Token})
	}
	for _, p := range c.Left {
		m.events = append(m.events, Event{What: EventWaitEnd, Key: n.Key, Owner: p.Owner, Ticket: p.Ticket})
	}
	if c.Granted {
		m.tokens++
		m.emitHolder(n, q)
	}
}

// settle puts q in the place of n's lock, or removes n with its last participant, and shows the events what they led to.
func (m *Machine) settle(s *settlement, n *Node, q *lock.Queue) {
	if q.Len() == 0 {
		m.drop(n)
		m.touch(m.find(above(n.Key)), -1)
		n = nil
	} else {
		n = m.amend(n, rest{lock: q})
		if s.moved {
			n.Updated = m.stamp
			m.touch(m.find(above(n.Key)), 0)
		}
	}
	for i := s.from; i < len(m.events); i++ {
		m.events[i].Node = n
	}
}

// emitHolder tells that somebody holds the lock from now on.
func (m *Machine) emitHolder(n *Node, q *lock.Queue) {
	p, _ := q.Holder()
	m.events = append(m.events, Event{What: EventLock, Key: n.Key, Node: n, Owner: p.Owner, Ticket: p.Ticket, Token: q.Token()})
}

// emitLockRemoved tells all participants of a lock that is removed by its holder.
func (m *Machine) emitLockRemoved(n *Node) {
	p, _ := n.Lock().Holder()
	m.events = append(m.events, Event{What: EventUnlock, Key: n.Key, Owner: p.Owner, Ticket: p.Ticket, Token: n.Lock().Token()})
	n.Lock().Waiters(func(p lock.Participant) bool {
		m.events = append(m.events, Event{What: EventWaitEnd, Key: n.Key, Owner: p.Owner, Ticket: p.Ticket})
		return true
	})
}
