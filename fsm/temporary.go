package fsm

import "strings"

// A temporary node has an owner and a deadline. Its owner alone may remove it, write it with PutTemp, or move its
// deadline; nobody may write it in any other way. Below a temporary directory there are permanent and expiring nodes, open to
// all, and neither temporary nodes nor locks: so the directory can go with its whole subtree at once.

// plain refuses what only plain values allow: everything but values, and temporary ones.
func (n *Node) plain() *Refusal {
	switch {
	case n.Kind != Value:
		return ErrWrongType
	case n.Temporary():
		return &Refusal{Code: TempNode, Path: n.Key}
	}
	return nil
}

// removable refuses removal to all but the owner of a temporary node, and of a lock to all but its holder.
func (n *Node) removable(o Owner) *Refusal {
	owner := n.Owner()
	if q := n.Lock(); q != nil {
		holder, _ := q.Holder()
		owner = holder.Owner
	}
	if owner != (Owner{}) && owner != o {
		return &Refusal{Code: NotOwner, Path: n.Key}
	}
	return nil
}

// owned refuses all but the owner of a temporary node.
func (n *Node) owned(o Owner) *Refusal {
	switch {
	case !n.Temporary():
		return &Refusal{Code: NotTemp, Path: n.Key}
	case n.Owner() != o:
		return &Refusal{Code: NotOwner, Path: n.Key}
	}
	return nil
}

// underTemp refuses a temporary node or a lock below a temporary directory.
func (m *Machine) underTemp(p path) *Refusal {
	for key := above(p.key); key != ""; key = above(key) {
		if n := m.find(key); n != nil && n.Temporary() {
			return &Refusal{Code: UnderTemp, Path: n.Key}
		}
	}
	return nil
}

// owner refuses a claim by nobody: what nobody owns would be neither temporary nor a lock.
func owner(o Owner, p path) *Refusal {
	if o == (Owner{}) {
		return &Refusal{Code: NotOwner, Path: strings.Clone(p.key)}
	}
	return nil
}

// PutTemp stores a temporary value. Result: Int 1. One that the owner has is overwritten and its lifetime begins anew.
// Another owner's node is refused with ErrNotOwner, a node that is not temporary with ErrNotTemp, a directory of the
// owner's and a lock with ErrWrongType, a place below a temporary directory with ErrUnderTemp.
type PutTemp struct {
	Key, Value []byte
	Millis     int64 // from the entry's cluster time on; less than 1 is 1
	Owner      Owner
}

func (o *PutTemp) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no == nil {
		no = owner(o.Owner, p)
	}
	if no != nil {
		return refused(no)
	}
	if len(o.Value) > m.maxValue {
		return refused(ErrTooLong)
	}
	dir, no := m.parent(p, m.autoMkdir)
	if no == nil {
		no = m.underTemp(p)
	}
	if no != nil {
		return refused(no)
	}
	life := rest{deadline: deadline(m.clusterMillis, o.Millis), owner: o.Owner}
	n := m.lookup(p)
	if n == nil {
		n = m.addValue(p, dir, alias(o.Value), &life)
	} else {
		switch {
		case n.Kind == Lock:
			no = ErrWrongType
		case n.owned(o.Owner) != nil:
			no = n.owned(o.Owner)
		case n.Kind != Value:
			no = ErrWrongType
		}
		if no != nil {
			return refused(no)
		}
		n = m.overwrite(m.cell(p.key), dir, alias(o.Value), &life)
	}
	m.emit(EventSet, n)
	m.emit(EventExpire, n)
	return done
}

// UpdateTTL makes the lifetime of a temporary node begin anew. Result: Int 1 done, 0 when the node is missing. A node
// that is not temporary is refused with ErrNotTemp, another owner's with ErrNotOwner.
type UpdateTTL struct {
	Key    []byte
	Millis int64 // from the entry's cluster time on; less than 1 is 1
	Owner  Owner
}

func (o *UpdateTTL) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n := m.lookup(p)
	if n == nil {
		return nothing
	}
	if no := n.owned(o.Owner); no != nil {
		return refused(no)
	}
	m.extend(n, o.Millis)
	return done
}

// extend makes the lifetime of a temporary node begin anew.
func (m *Machine) extend(n *Node, millis int64) {
	r := *n.rest
	r.deadline = deadline(m.clusterMillis, millis)
	m.emit(EventExpire, m.amend(n, r))
}

// RemoveOwned removes a value or an empty directory, as Remove does of one key. Result: Int 1 removed, 0 missing.
type RemoveOwned struct {
	Key   []byte
	Owner Owner // who removes; a temporary node is refused to others than its owner with ErrNotOwner
}

func (o *RemoveOwned) apply(m *Machine) Result {
	removed, no := m.removeKey(o.Key, o.Owner)
	if no != nil {
		return refused(no)
	}
	if !removed {
		return nothing
	}
	return done
}
