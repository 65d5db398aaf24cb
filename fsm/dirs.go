package fsm

// MakeDir creates a directory. Result: Int 1 created, 0 it is there already. A value there is refused with ErrWrongType,
// one on the way to it with ErrNotDir.
type MakeDir struct {
	Key     []byte
	Parents bool // create missing directories on the way
}

func (o *MakeDir) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	switch n := m.lookup(p); {
	case n == nil:
	case n.Kind == Directory:
		return nothing
	default:
		return refused(ErrWrongType)
	}

	dir, no := m.parent(p, o.Parents || m.autoMkdir)
	if no != nil {
		return refused(no)
	}
	if dir == nil {
		dir = m.makeParents(p)
	}
	m.addDir(p.key, p.depth, dir)
	return done
}

// RemoveDir removes a directory. Result: Int is how many nodes were removed, 0 when it is missing. A value there is
// refused with ErrWrongType, children without Recursive with ErrNotEmpty.
type RemoveDir struct {
	Key       []byte
	Recursive bool // with everything below it
}

func (o *RemoveDir) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n := m.lookup(p)
	if n == nil {
		return nothing
	}
	if n.Kind != Directory {
		return refused(ErrWrongType)
	}
	if n.Children > 0 && !o.Recursive {
		return refused(&Refusal{Code: NotEmpty, Path: n.Key})
	}
	all := m.subtree(n)
	for _, n := range all {
		m.drop(n)
	}
	m.touch(m.find(above(n.Key)), -1)
	return Result{Int: int64(len(all))}
}
