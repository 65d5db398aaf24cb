package fsm

// MakeDir creates a directory. Result: Int 1 created, 0 it is there already; the lifetime of a temporary one begins anew.
// A value or a lock there is refused with ErrWrongType, one on the way to it with ErrNotDir. A temporary directory is
// refused with ErrTempNode where none is wanted, a permanent one with ErrNotTemp where a temporary one is, another owner's
// with ErrNotOwner, and a place for one below another with ErrUnderTemp.
type MakeDir struct {
	Key     []byte
	Parents bool  // create missing directories on the way, which are permanent
	Millis  int64 // not 0 makes it temporary: from the entry's cluster time on; less than 1 is 1
	Owner   Owner // of a temporary one
}

func (o *MakeDir) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no == nil && o.Millis != 0 {
		no = owner(o.Owner, p)
	}
	if no != nil {
		return refused(no)
	}
	dir, no := m.parent(p, o.Parents || m.autoMkdir)
	if no == nil && o.Millis != 0 {
		no = m.underTemp(p)
	}
	if no != nil {
		return refused(no)
	}
	if n := m.lookup(p); n != nil {
		return m.meetDir(n, o)
	}
	if dir == nil {
		dir = m.makeParents(p)
	}
	if o.Millis == 0 {
		m.addDir(p.key, p.depth, dir, nil)
		return done
	}
	n := m.addDir(p.key, p.depth, dir, &rest{deadline: deadline(m.clusterMillis, o.Millis), owner: o.Owner})
	m.emit(EventExpire, n)
	return done
}

// meetDir is MakeDir where n is.
func (m *Machine) meetDir(n *Node, o *MakeDir) Result {
	switch {
	case n.Kind != Directory:
		return refused(ErrWrongType)
	case o.Millis != 0:
		if no := n.owned(o.Owner); no != nil {
			return refused(no)
		}
		m.extend(n, o.Millis)
	case n.Temporary():
		return refused(&Refusal{Code: TempNode, Path: n.Key})
	}
	return nothing
}

// RemoveDir removes a directory. Result: Int is how many nodes were removed, 0 when it is missing. A value there is
// refused with ErrWrongType, children without Recursive with ErrNotEmpty, another owner's temporary node or lock, there or
// below, with ErrNotOwner. A lock that the owner holds goes with all who wait for it.
type RemoveDir struct {
	Key       []byte
	Recursive bool  // with everything below it
	Owner     Owner // who removes
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
	if no := n.removable(o.Owner); no != nil {
		return refused(no)
	}
	if n.Children() > 0 && !o.Recursive {
		return refused(&Refusal{Code: NotEmpty, Path: n.Key})
	}
	all := m.subtree(n)
	for _, n := range all {
		if no := n.removable(o.Owner); no != nil {
			return refused(no)
		}
	}
	return Result{Int: m.removeTree(n, all, EventDel)}
}
