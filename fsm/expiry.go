package fsm

import (
	"math"

	"github.com/tidwall/btree"
)

// due is when ExpireDue has something to do at a key. Each node with a deadline has one, and each lock one for the
// earliest deadline of its participants.
type due struct {
	at  int64 // cluster milliseconds
	key string
}

func newDeadlines() *btree.BTreeG[due] {
	return btree.NewBTreeGOptions(func(a, b due) bool {
		if a.at != b.at {
			return a.at < b.at
		}
		return a.key < b.key
	}, btree.Options{NoLocks: true})
}

// NextDeadline returns the earliest deadline in cluster milliseconds, false if there is none. It costs O(log n).
func (v View) NextDeadline() (int64, bool) {
	d, ok := v.s.deadlines.Min()
	return d.at, ok
}

// NextDeadline is View.NextDeadline of the current state.
func (m *Machine) NextDeadline() (int64, bool) { return m.View().NextDeadline() }

// reschedule follows a node that is replaced by one with another rest.
func (s *state) reschedule(old, n *Node) {
	was, is := old.due(), n.due()
	if was == is {
		return
	}
	if was > 0 {
		s.deadlines.Delete(due{was, n.Key})
	}
	if is > 0 {
		s.deadlines.Set(due{is, n.Key})
	}
}

// TTL is how long a write lets the value live. The zero value is for ever: a write without one makes an expiring value
// permanent.
type TTL struct {
	// Millis counts from the entry's cluster time on. Less than 0 is a time that has passed: nothing is stored, and what
	// stood at the key is removed at once.
	Millis int64

	Keep     bool // the deadline stays as it is; ignored if Millis is not 0
	Absolute bool // Millis counts from 1970 on, and what is left is measured by the entry's wall clock
}

// What store takes for a deadline besides the deadlines themselves.
const (
	permanent int64 = 0
	kept      int64 = -1 // the one that the value has
	passed    int64 = -2 // see TTL.Millis
)

// until returns the deadline that store makes of a TTL.
func (m *Machine) until(t TTL) int64 {
	switch left := m.left(t.Millis, t.Absolute); {
	case left > 0:
		return deadline(m.clusterMillis, left)
	case t.Millis != 0:
		return passed
	case t.Keep:
		return kept
	}
	return permanent
}

// left is how much of a time to live is left in this entry. Of an absolute one that is what the leader that made the entry
// had left, by its wall clock; so it does not matter which node was asked.
func (m *Machine) left(millis int64, absolute bool) int64 {
	if !absolute {
		return millis
	}
	left := millis - m.stamp.Millis
	if (left > millis) != (m.stamp.Millis < 0) { // it went around
		if millis > 0 {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	return left
}

// TTLCondition says when Expire is to set a deadline.
type TTLCondition uint8

// The conditions of EXPIRE. A value without a deadline lives longer than any other. XX with GT is GT.
const (
	IfAny           TTLCondition = iota
	IfNoTTL                      // NX: the value has no deadline
	IfTTL                        // XX: it has one
	IfLonger                     // GT: it would live longer
	IfShorter                    // LT: it would live shorter
	IfTTLAndShorter              // XX LT
	maxTTLCondition = IfTTLAndShorter
)

// holds reports whether a deadline at may take the place of old, which is permanent for none.
func (c TTLCondition) holds(old, at int64) bool {
	switch c {
	case IfNoTTL:
		return old == permanent
	case IfTTL:
		return old != permanent
	case IfLonger:
		return old != permanent && at > old
	case IfShorter:
		return old == permanent || at < old
	case IfTTLAndShorter:
		return old != permanent && at < old
	}
	return true
}

// Expire sets the deadline of a value (EXPIRE and its family). Result: Int 1 done, 0 when the value is missing or the
// condition failed. Directories and locks are refused with ErrWrongType, temporary values with ErrTempNode.
type Expire struct {
	Key    []byte
	Millis int64 // from the entry's cluster time on; 0 and less removes the value
	If     TTLCondition

	Absolute bool // Millis counts from 1970 on, see TTL
}

func (o *Expire) apply(m *Machine) Result {
	n, no := m.mortal(o.Key)
	if no != nil {
		return refused(no)
	}
	if n == nil {
		return nothing
	}
	left := m.left(o.Millis, o.Absolute)
	at := m.clusterMillis + min(left, 0)
	if left > 0 {
		at = deadline(m.clusterMillis, left)
	}
	old, _ := n.Deadline()
	if !o.If.holds(old, at) {
		return nothing
	}
	if left <= 0 {
		m.remove(n, EventDel)
		return done
	}
	m.emit(EventExpire, m.amend(n, rest{deadline: at}))
	return done
}

// mortal returns the value at a key whose deadline anyone may change, nil if nothing is there.
func (m *Machine) mortal(key []byte) (*Node, *Refusal) {
	p, no := parsePath(key)
	if no != nil {
		return nil, no
	}
	return m.plain(p)
}

// Persist takes the deadline of a value away. Result: Int 1 done, 0 when the value is missing or has none. Directories and
// locks are refused with ErrWrongType, temporary values with ErrTempNode.
type Persist struct{ Key []byte }

func (o *Persist) apply(m *Machine) Result {
	n, no := m.mortal(o.Key)
	if no != nil {
		return refused(no)
	}
	if n == nil || !m.persist(n) {
		return nothing
	}
	return done
}

// persist takes the deadline of a value away and reports whether it had one.
func (m *Machine) persist(n *Node) bool {
	if _, ok := n.Deadline(); !ok {
		return false
	}
	m.emit(EventPersist, m.amend(n, rest{}))
	return true
}

// GetExpire reads a value and changes its deadline (GETEX with an option). Result: Found and the Value. Directories and
// locks are refused with ErrWrongType, temporary values with ErrTempNode.
type GetExpire struct {
	Key     []byte
	TTL     TTL // the zero value changes nothing
	Persist bool
}

func (o *GetExpire) apply(m *Machine) Result {
	n, no := m.mortal(o.Key)
	if no != nil {
		return refused(no)
	}
	if n == nil {
		return nothing
	}
	switch at := m.until(o.TTL); {
	case o.Persist:
		m.persist(n)
	case at == passed:
		m.remove(n, EventDel)
	case at > 0:
		m.emit(EventExpire, m.amend(n, rest{deadline: at}))
	}
	return Result{Value: n.Value, Found: true}
}

// ExpireDue removes what is due, that is, whose deadline the cluster clock has passed, the earliest deadline first: values, directories with everything below
// them, and of a lock all participants that are due. Result: Int is how many nodes were removed and participants left; Found says
// that more is due. With nothing due it moves the clock and nothing else.
type ExpireDue struct {
	Limit int64 // stop once that many are gone; a directory goes whole, so it may be more
}

func (o *ExpireDue) apply(m *Machine) Result {
	var r Result
	for {
		d, ok := m.deadlines.Min()
		if !ok || d.at >= m.clusterMillis { // stamps are cut to whole milliseconds: at the deadline itself a part of one is left
			return r
		}
		if r.Int >= o.Limit {
			r.Found = true
			return r
		}
		switch n := m.find(d.key); n.Kind {
		case Lock:
			r.Int += m.expireParticipants(n, o.Limit-r.Int)
		case Directory:
			r.Int += m.removeTree(n, m.subtree(n), EventExpired)
		default:
			m.remove(n, EventExpired)
			r.Int++
		}
	}
}
