package fsm

// Remove removes values and empty directories, all or none (DEL). Result: Int is how many there were. The keys are
// removed in order, so a directory may follow its last child; a key given twice counts once. Locks are refused with
// ErrWrongType.
type Remove struct {
	Keys  [][]byte
	Owner Owner // who removes, see RemoveOwned
}

func (o *Remove) apply(m *Machine) Result {
	if len(o.Keys) > 1 { // one key has nothing to take back
		m.record()
	}
	var r Result
	for _, key := range o.Keys {
		removed, no := m.removeKey(key, o.Owner)
		if no != nil {
			m.rollback()
			return refused(no)
		}
		if removed {
			r.Int++
		}
	}
	m.keep()
	return r
}

// removeKey removes a value or an empty directory, if there is one.
func (m *Machine) removeKey(key []byte, o Owner) (removed bool, no *Refusal) {
	p, no := parsePath(key)
	if no != nil {
		return false, no
	}
	n := m.lookup(p)
	if n == nil {
		return false, nil
	}
	if n.Kind == Lock {
		return false, ErrWrongType
	}
	if no := n.removable(o); no != nil {
		return false, no
	}
	if n.Children() > 0 {
		return false, &Refusal{Code: NotEmpty, Path: n.Key}
	}
	m.remove(n, EventDel)
	return true, nil
}

// RemoveIf removes a value when it meets a condition (DELEX, DELIFEQ). Result: Int 1 removed, 0 not. With Always
// it removes a value or an empty directory, as Remove does.
type RemoveIf struct {
	Key   []byte
	If    Condition // Always or one of the four comparisons
	Match []byte
	Owner Owner // who removes, see RemoveOwned
}

func (o *RemoveIf) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	if no := o.If.check(o.Match); no != nil {
		return refused(no)
	}
	if o.If == Always {
		removed, no := m.removeKey(o.Key, o.Owner)
		if no != nil {
			return refused(no)
		}
		if !removed {
			return nothing
		}
		return done
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
	if !o.If.holds(n, o.Match) {
		return nothing
	}
	m.remove(n, EventDel)
	return done
}

// Rename moves a value or a directory with everything below it. Result: Int 1 done; with NX 0 when To exists. A value
// replaces a value; nothing else is replaced. What moved is new at its place: its nodes are stamped as created by
// this entry. Deadlines move along. A key renamed to itself stays as it is. A lock is refused with ErrWrongType, a temporary
// node and a directory that holds temporary nodes or locks with ErrTempNode.
type Rename struct {
	From, To []byte
	NX       bool
}

func (o *Rename) apply(m *Machine) Result {
	from, no := parsePath(o.From)
	if no != nil {
		return refused(no)
	}
	to, no := parsePath(o.To)
	if no != nil {
		return refused(no)
	}
	n := m.lookup(from)
	if n == nil {
		return refused(ErrNoSuchKey)
	}
	if no := n.movable(); no != nil {
		return refused(no)
	}
	if from.key == to.key {
		if o.NX {
			return nothing
		}
		return done
	}
	target := m.lookup(to)
	if target != nil && o.NX {
		return nothing
	}
	if no := m.checkMove(n, to, target); no != nil {
		return refused(no)
	}
	m.move(n, to, target)
	return done
}

// movable refuses to rename locks and temporary nodes.
func (n *Node) movable() *Refusal {
	switch {
	case n.Kind == Lock:
		return ErrWrongType
	case n.Temporary():
		return &Refusal{Code: TempNode, Path: n.Key}
	}
	return nil
}

// checkMove refuses a move of n to the key to, where target is or nil.
func (m *Machine) checkMove(n *Node, to path, target *Node) *Refusal {
	if n.Kind == Directory {
		if len(to.key) > len(n.Key) && to.key[:len(n.Key)] == n.Key && to.key[len(n.Key)] == Separator {
			return &Refusal{Code: IntoItself, Path: n.Key}
		}
		if target != nil {
			return &Refusal{Code: Exists, Path: target.Key}
		}
		longest, deepest := 0, 0
		var bound *Node // to its place
		m.below(n, func(n *Node) bool {
			longest, deepest = max(longest, len(n.Key)), max(deepest, int(n.depth))
			if n.movable() != nil {
				bound = n
			}
			return bound == nil
		})
		if bound != nil {
			return &Refusal{Code: TempNode, Path: bound.Key}
		}
		if longest+len(to.key)-len(n.Key) > MaxKeySize {
			return ErrBadKey
		}
		if deepest+to.depth-int(n.depth) > MaxDepth {
			return ErrTooDeep
		}
	}
	if target != nil {
		if no := target.plain(); no != nil {
			return no
		}
	}
	_, no := m.parent(to, m.autoMkdir)
	return no
}

// move carries out a move that checkMove allows.
func (m *Machine) move(n *Node, to path, target *Node) {
	all := m.subtree(n)
	m.removeTree(n, all, EventRenameFrom)
	if target != nil {
		m.drop(target)
		m.touch(m.find(above(target.Key)), -1)
	}

	dir, _ := m.parent(to, m.autoMkdir)
	if dir == nil {
		dir = m.makeParents(to)
	}
	for _, old := range all {
		depth := int(old.depth) - int(n.depth) + to.depth
		key := newTreeKey(to.key+old.Key[len(n.Key):], depth)
		moved := &Node{
			Key: key[2:], Value: old.Value, Kind: old.Kind, rest: old.rest,
			Created: m.stamp, Updated: m.stamp, depth: uint16(depth), born: m.journal,
		}
		m.put(moved)
		m.note(nil, moved)
		m.emit(EventRenameTo, moved)
	}
	m.touch(dir, 1)
}

// Copy copies a value with its deadline, but without its owner: the copy of a temporary value is an expiring one. Result: Int
// 1 copied, 0 when From is missing, or To exists and Replace is not set, or both are the same key.
type Copy struct {
	From, To []byte
	Replace  bool
}

func (o *Copy) apply(m *Machine) Result {
	from, no := parsePath(o.From)
	if no != nil {
		return refused(no)
	}
	to, no := parsePath(o.To)
	if no != nil {
		return refused(no)
	}
	n, no := m.value(from)
	if no != nil {
		return refused(no)
	}
	if n == nil || from.key == to.key || !o.Replace && m.lookup(to) != nil {
		return nothing
	}
	until, _ := n.Deadline()
	_, no = m.store(to, n.Value, until, EventCopyTo)
	return doneUnless(no)
}

// Flush removes every node but the root, whoever owns them. Result: Int is how many there were.
type Flush struct{}

func (o *Flush) apply(m *Machine) Result {
	count := m.tree.Len()
	if count == 0 {
		return nothing
	}
	m.clear()
	root := m.mutable(m.root)
	root.rest, root.sole = nil, false
	m.events = append(m.events, Event{What: EventFlush})
	return Result{Int: int64(count)}
}
