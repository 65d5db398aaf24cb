package fsm

import "strings"

// Set stores a value (SET and its family). Result: Int 1 stored, 0 the condition failed; with Get the previous value,
// stored or not. Directories and locks are refused with ErrWrongType and temporary values with ErrTempNode, whatever the
// condition: they are never overwritten.
type Set struct {
	Key, Value []byte
	If         Condition
	Match      []byte // what the If* conditions compare with
	TTL        TTL
	Get        bool // report the previous value
}

func (o *Set) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	if o.If == Always && !o.Get {
		return doneUnless(m.set(p, o.Value, o.TTL))
	}

	if no := o.If.check(o.Match); no != nil {
		return refused(no)
	}
	old, no := m.plain(p)
	if no != nil {
		return refused(no)
	}
	var r Result
	if o.Get && old != nil {
		r.Value, r.Found = old.Value, true
	}
	if !o.If.holds(old, o.Match) {
		return r
	}
	if no := m.set(p, o.Value, o.TTL); no != nil {
		return refused(no)
	}
	r.Int = 1
	return r
}

// set stores a value that lives as long as t says.
func (m *Machine) set(p path, value []byte, t TTL) *Refusal {
	at := m.until(t)
	n, no := m.store(p, alias(value), at, EventSet)
	if no == nil && at > 0 {
		m.emit(EventExpire, n)
	}
	return no
}

// value returns the value at p, nil if nothing is there. Anything but a value is refused.
func (m *Machine) value(p path) (*Node, *Refusal) {
	n := m.lookup(p)
	if n != nil && n.Kind != Value {
		return nil, ErrWrongType
	}
	return n, nil
}

// plain returns the value at p that anyone may write, nil if nothing is there.
func (m *Machine) plain(p path) (*Node, *Refusal) {
	if n := m.lookup(p); n != nil {
		return n, n.plain()
	}
	return nil, nil
}

// SetMany stores several values, all or none (MSET, MSETNX, MSETEX). Result: Int 1 stored, 0 the condition failed.
// The condition, which may only be Always, IfAbsent or IfPresent, must hold for every key before the first is set.
type SetMany struct {
	Pairs [][]byte // key, value, key, value...; of a doubled key the last value stays
	If    Condition
	TTL   TTL // of each
}

func (o *SetMany) apply(m *Machine) Result {
	for i := 0; i < len(o.Pairs); i += 2 {
		if _, no := parsePath(o.Pairs[i]); no != nil {
			return refused(no)
		}
	}
	holds := true
	for i := 0; o.If != Always && i < len(o.Pairs); i += 2 {
		p, _ := parsePath(o.Pairs[i])
		old, no := m.plain(p)
		if no != nil {
			return refused(no)
		}
		holds = holds && o.If.holds(old, nil)
	}
	if !holds {
		return nothing
	}

	m.record()
	for i := 0; i < len(o.Pairs); i += 2 {
		p, _ := parsePath(o.Pairs[i])
		if no := m.set(p, o.Pairs[i+1], o.TTL); no != nil {
			m.rollback()
			return refused(no)
		}
	}
	m.keep()
	return done
}

// Append appends to a value, which it creates if missing. Result: Int is the new length in bytes.
type Append struct{ Key, Value []byte }

func (o *Append) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	old, no := m.value(p)
	if no != nil {
		return refused(no)
	}
	value := alias(o.Value)
	if old != nil {
		value = old.Value + value
	}
	return m.storeLength(p, value, EventAppend)
}

// storeLength stores a value, which keeps its deadline, and reports its length.
func (m *Machine) storeLength(p path, value string, w What) Result {
	if _, no := m.store(p, value, kept, w); no != nil {
		return refused(no)
	}
	return Result{Int: int64(len(value))}
}

// SetRange overwrites part of a value from Offset on, zero bytes filling a gap before it. Result: Int is the new
// length in bytes. An empty Value changes nothing.
type SetRange struct {
	Key    []byte
	Offset int64 // bytes; negative is refused with ErrBadOffset
	Value  []byte
}

func (o *SetRange) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	if o.Offset < 0 {
		return refused(ErrBadOffset)
	}
	n, no := m.value(p)
	if no != nil {
		return refused(no)
	}
	var old string
	if n != nil {
		old = n.Value
	}
	if len(o.Value) == 0 {
		return Result{Int: int64(len(old))}
	}
	if len(o.Value) > m.maxValue || o.Offset > int64(m.maxValue-len(o.Value)) {
		return refused(ErrTooLong)
	}

	var b strings.Builder
	from, to := int(o.Offset), int(o.Offset)+len(o.Value)
	b.Grow(max(to, len(old)))
	b.WriteString(old[:min(from, len(old))])
	for b.Len() < from {
		b.WriteString(zeros[:min(from-b.Len(), len(zeros))])
	}
	b.Write(o.Value)
	b.WriteString(old[min(to, len(old)):])
	return m.storeLength(p, b.String(), EventSetRange)
}

// zeros fills gaps a piece at a time.
const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// GetDel removes a value. Result: Found and the Value it had.
type GetDel struct {
	Key   []byte
	Owner Owner // who removes, see RemoveOwned
}

func (o *GetDel) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n, no := m.value(p)
	if no != nil {
		return refused(no)
	}
	if n == nil {
		return nothing
	}
	if no := n.removable(o.Owner); no != nil {
		return refused(no)
	}
	m.remove(n, EventDel)
	return Result{Value: n.Value, Found: true}
}
