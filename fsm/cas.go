package fsm

// CompareAndSet stores New if the value is Expected. Result: Int 1 done, 0 mismatch. An empty Expected means that the
// key must be missing; an empty New removes it; both empty is refused with ErrInvalid. A directory is a mismatch; a lock is
// refused with ErrWrongType, any node with a deadline with ErrTempNode. The parent must be there even where nothing would
// be created.
type CompareAndSet struct{ Key, Expected, New []byte }

func (o *CompareAndSet) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	if len(o.Expected) == 0 && len(o.New) == 0 {
		return refused(ErrInvalid)
	}
	if _, no := m.parent(p, m.autoMkdir); no != nil {
		return refused(no)
	}
	n := m.lookup(p)
	if n != nil && n.Kind == Lock {
		return refused(ErrWrongType)
	}
	if n != nil && n.due() > 0 {
		return refused(&Refusal{Code: TempNode, Path: n.Key})
	}

	if len(o.Expected) == 0 {
		if n != nil {
			return nothing
		}
		return m.putNew(p, o.New)
	}
	if n == nil || n.Kind != Value || n.Value != alias(o.Expected) {
		return nothing
	}
	if len(o.New) == 0 {
		m.remove(n, EventDel)
		return done
	}
	return m.putNew(p, o.New)
}

func (m *Machine) putNew(p path, value []byte) Result {
	_, no := m.store(p, alias(value), permanent, EventSet)
	return doneUnless(no)
}
