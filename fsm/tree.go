package fsm

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/tidwall/btree"
)

// state is everything that is replicated, and the indexes over it that can be made from it.
type state struct {
	index         uint64 // of the last entry folded in
	logTerm       uint64 // of that entry
	leaderTerm    uint64 // of the last LeaderStart
	clusterMillis int64

	root *Node

	// tree holds every node but the root under its tree key: two bytes of depth, high byte first, then the key. So the
	// children of a directory are neighbours, ordered by name, and a subtree is one run for each depth.
	tree *btree.Map[string, *cell]

	// cells finds what is in the tree by the key alone. A frozen View has none and uses the tree.
	cells hashIndex
	epoch uint64 // how many times the state has been frozen

	// scan holds the keys in the order of SCAN, see scan.go.
	scan *btree.BTreeG[place]
	hash func(key string) uint64 // a field so that tests can make keys collide

	// deadlines orders what ExpireDue is to look at, see expiry.go.
	deadlines *btree.BTreeG[due]

	values int    // nodes of kind Value
	tokens uint64 // fencing tokens handed out; a new one is always greater than all before

	catalog *catalog // of the cluster's groups; another one after each change
}

func (s *state) init(hash func(string) uint64) {
	*s = state{root: &Node{Kind: Directory}, hash: hash, catalog: &catalog{}}
	s.clear()
}

func (s *state) clear() {
	s.tree = btree.NewMap[string, *cell](0)
	s.cells = newIndex()
	s.scan = newScan()
	s.deadlines = newDeadlines()
	s.values = 0
}

// path is a valid key taken apart. The key may alias an operation's bytes: clone it before keeping it.
type path struct {
	key   string
	depth int // number of segments
	last  int // where the last segment begins
}

// parsePath refuses a key that breaks the rules of CheckKey.
func parsePath(key []byte) (path, *Refusal) {
	p := path{key: alias(key)}
	if len(key) == 0 || len(key) > MaxKeySize {
		return p, ErrBadKey
	}
	for {
		if p.depth++; p.depth > MaxDepth {
			return p, ErrTooDeep
		}
		i := strings.IndexByte(p.key[p.last:], Separator)
		if i < 0 && p.last < len(p.key) {
			return p, nil
		}
		if i <= 0 {
			return p, ErrBadKey
		}
		p.last += i + 1
	}
}

// alias looks at bytes as a string without copying them, for looking up and comparing. The string must not outlive
// the call that was given the bytes. It is worth the unsafe: a conversion would allocate on every lookup.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// above returns the key of the directory that holds key; empty is the root.
func above(key string) string {
	if i := strings.LastIndexByte(key, Separator); i >= 0 {
		return key[:i]
	}
	return ""
}

// find returns the node of that key, nil if there is none; the empty key is the root. It never allocates.
func (s *state) find(key string) *Node {
	if key == "" {
		return s.root
	}
	if c := s.cell(key); c != nil {
		return c.node
	}
	return nil
}

// cell returns the cell of a key that is not empty, nil if there is none.
func (s *state) cell(key string) *cell {
	if c, sure := s.cells.find(s.hash(key), key); sure {
		return c
	}
	return s.climb(key)
}

// shortKey is how long a tree key climb can build without clearing 8 KiB of stack first.
const shortKey = 256

// climb finds in the tree what the index does not know.
func (s *state) climb(key string) *cell {
	if len(key) > shortKey-2 {
		return s.climbLong(key)
	}
	var buf [shortKey]byte
	c, _ := s.tree.Get(alias(appendTreeKey(buf[:0], key, depthOf(key))))
	return c
}

//go:noinline
func (s *state) climbLong(key string) *cell {
	if len(key) > MaxKeySize {
		return nil
	}
	var buf [MaxKeySize + 2]byte
	c, _ := s.tree.Get(alias(appendTreeKey(buf[:0], key, depthOf(key))))
	return c
}

func appendTreeKey(dst []byte, key string, depth int) []byte {
	dst = append(dst, byte(depth>>8), byte(depth))
	return append(dst, key...)
}

// newTreeKey returns a tree key in memory of its own. Behind its first two bytes it is the Key of the nodes that
// stand there one after the other.
func newTreeKey(key string, depth int) string {
	var b strings.Builder
	b.Grow(2 + len(key))
	b.WriteByte(byte(depth >> 8))
	b.WriteByte(byte(depth))
	b.WriteString(key)
	return b.String()
}

// treeKey returns the tree key that n.Key is the end of, for a node that is or was in the tree. It is worth the
// unsafe: keeping the tree key too would take 16 bytes for each key, making it anew an allocation.
func treeKey(n *Node) string {
	first := unsafe.Add(unsafe.Pointer(unsafe.StringData(n.Key)), -2)
	return unsafe.String((*byte)(first), 2+len(n.Key))
}

// put puts n, whose Key is the end of a tree key, where nothing is yet.
func (s *state) put(n *Node) {
	c, hash := &cell{n, s.epoch}, s.hash(n.Key)
	s.tree.Set(treeKey(n), c)
	s.cells.insert(hash, c)
	s.scan.Set(place{position(n.Kind, hash), n.Key})
	if at := n.due(); at > 0 {
		s.deadlines.Set(due{at, n.Key})
	}
	if n.Kind == Value {
		s.values++
	}
}

// take takes n out.
func (s *state) take(n *Node) {
	hash := s.hash(n.Key)
	s.tree.Delete(treeKey(n))
	s.cells.remove(hash, n.Key)
	s.scan.Delete(place{position(n.Kind, hash), n.Key})
	if at := n.due(); at > 0 {
		s.deadlines.Delete(due{at, n.Key})
	}
	if n.Kind == Value {
		s.values--
	}
}

// replace makes n stand in c, or in a new cell if a frozen View may see c. n has the Key, the very string, and the
// kind of the node before it.
func (s *state) replace(c *cell, n *Node) {
	if c.node.rest != n.rest {
		s.reschedule(c.node, n)
	}
	if c.epoch == s.epoch {
		c.node = n
		return
	}
	c = &cell{n, s.epoch}
	s.tree.Set(treeKey(n), c)
	s.cells.replace(s.hash(n.Key), c)
}

// change is one step to take back: a node that was put (old is nil), taken away (new is nil) or replaced.
type change struct{ old, new *Node }

// record opens a journal. Until keep or rollback, nodes that were there before are never changed in place.
func (m *Machine) record() {
	m.recording = true
	m.journal++
	m.mark = len(m.events)
}

// keep closes the journal and lets its changes stand.
func (m *Machine) keep() {
	m.recording = false
	clear(m.undo)
	m.undo = m.undo[:0]
	if cap(m.undo) > keptResults {
		m.undo = nil
	}
}

// rollback takes back everything since record, newest first: the very nodes of before are in place again, and nobody
// hears of those between.
func (m *Machine) rollback() {
	if !m.recording {
		return // an operation of one key has nothing to take back
	}
	clear(m.events[m.mark:])
	m.events = m.events[:m.mark]
	for i := len(m.undo) - 1; i >= 0; i-- {
		c := m.undo[i]
		switch {
		case c.old == nil:
			m.take(c.new)
		case c.old.depth == 0:
			m.root = c.old
		case c.new == nil:
			m.put(c.old)
		default:
			m.replace(m.cell(c.old.Key), c.old)
		}
	}
	m.keep()
}

func (m *Machine) note(old, new *Node) {
	if m.recording {
		m.undo = append(m.undo, change{old, new})
	}
}

// fresh reports whether n may be changed in place: it was allocated in this entry, so no View can have seen it, and
// not before the journal that is open, which would have to bring it back.
func (m *Machine) fresh(n *Node) bool { return n.Updated.Index == m.stamp.Index && n.born == m.journal }

// mutable returns a node that stands in the tree for n, is stamped with this entry, and may be changed in place.
func (m *Machine) mutable(n *Node) *Node {
	if m.fresh(n) {
		return n
	}
	c := *n
	c.Updated, c.born, c.sole = m.stamp, m.journal, false
	if n.depth == 0 {
		m.root = &c
	} else {
		m.replace(m.cell(n.Key), &c)
	}
	m.note(n, &c)
	return &c
}

// amend puts in the place of n a node that differs in what only some nodes have. No stamp moves.
func (m *Machine) amend(n *Node, r rest) *Node {
	c := *n
	c.rest, c.born, c.sole = nil, m.journal, true
	if r != (rest{}) {
		c.rest = &r
	}
	m.replace(m.cell(n.Key), &c)
	m.note(n, &c)
	return &c
}

// touch stamps the directory dir and all above it, and adds grow to dir's children. Those above a directory that this
// entry has stamped are stamped already, so a batch pays once for the directories its keys share.
func (m *Machine) touch(dir *Node, grow int) {
	stamped := dir.Updated.Index == m.stamp.Index
	if stamped && grow == 0 {
		return
	}
	m.mutable(dir).addChildren(grow)
	for !stamped && dir.depth > 0 {
		dir = m.find(above(dir.Key))
		if stamped = dir.Updated.Index == m.stamp.Index; !stamped {
			m.mutable(dir)
		}
	}
}

// lookup returns the node of p, nil if there is none.
func (m *Machine) lookup(p path) *Node { return m.find(p.key) }

// parent returns the directory that is to hold p. With mkdir it is nil without a refusal when it is missing but can be
// made: makeParents does so once nothing else can refuse the operation.
func (m *Machine) parent(p path, mkdir bool) (*Node, *Refusal) {
	if p.depth == 1 {
		return m.root, nil
	}
	if dir := m.find(p.key[:p.last-1]); dir != nil && dir.Kind == Directory {
		return dir, nil
	}
	dir, depth := m.ancestor(p)
	if dir.Kind != Directory {
		return nil, &Refusal{Code: NotDir, Path: dir.Key}
	}
	if !mkdir {
		return nil, &Refusal{Code: NoParent, Path: strings.Clone(p.key[:m.ends[depth]])}
	}
	return nil, nil
}

// ancestor returns the deepest node above p that exists, and its depth. Afterwards m.ends[d] is where the ancestor
// of depth d+1 ends in p.key. It halves the depth at each step: going up one by one, a key of 4096
// segments would cost as many lookups.
func (m *Machine) ancestor(p path) (*Node, int) {
	m.ends = m.ends[:0]
	for i := 0; i < p.last; i++ {
		if p.key[i] == Separator {
			m.ends = append(m.ends, i)
		}
	}
	dir, depth := m.root, 0
	for missing := p.depth; missing-depth > 1; {
		middle := (depth + missing) / 2
		if n := m.find(p.key[:m.ends[middle-1]]); n != nil {
			dir, depth = n, middle
		} else {
			missing = middle
		}
	}
	return dir, depth
}

// makeParents makes the missing directories above p and returns the one that is to hold it. The deepest that
// exists must be a directory.
func (m *Machine) makeParents(p path) *Node {
	dir, depth := m.ancestor(p)
	for ; depth < p.depth-1; depth++ {
		dir = m.addDir(p.key[:m.ends[depth]], depth+1, dir, nil)
	}
	return dir
}

// addDir puts an empty directory into dir.
func (m *Machine) addDir(key string, depth int, dir *Node, r *rest) *Node {
	n := m.add(key, &Node{Kind: Directory, Created: m.stamp, rest: r}, depth, dir)
	m.emit(EventMkdir, n)
	return n
}

// add puts n, which has kind, value and creation, into dir under a key that is not there yet. It clones the key.
func (m *Machine) add(key string, n *Node, depth int, dir *Node) *Node {
	n.Key, n.depth = newTreeKey(key, depth)[2:], uint16(depth)
	n.Updated, n.born = m.stamp, m.journal
	m.put(n)
	m.note(nil, n)
	m.touch(dir, 1)
	return n
}

// store puts a value at p, in place of the value that may be there, and emits what happened. It returns the value, nil if
// its deadline has passed. It is the hot path: an overwrite looks up by hash and allocates a node and its value.
func (m *Machine) store(p path, value string, until int64, w What) (*Node, *Refusal) {
	if len(value) > m.maxValue {
		return nil, ErrTooLong
	}
	c := m.cell(p.key)
	if c != nil {
		if no := c.node.plain(); no != nil {
			return nil, no
		}
	}
	dir, no := m.parent(p, m.autoMkdir)
	if no != nil {
		return nil, no
	}
	if until == passed {
		if c != nil {
			m.remove(c.node, EventDel)
		}
		return nil, nil
	}
	var r *rest
	switch {
	case until > 0:
		r = &rest{deadline: until}
	case until == kept && c != nil:
		r = c.node.rest
	}
	var n *Node
	if c == nil {
		n = m.addValue(p, dir, value, r)
	} else {
		n = m.overwrite(c, dir, value, r)
	}
	m.emit(w, n)
	return n, nil
}

// addValue puts a value into dir, which parent returned, under a key that is not there yet.
func (m *Machine) addValue(p path, dir *Node, value string, r *rest) *Node {
	if dir == nil {
		dir = m.makeParents(p)
	}
	return m.add(p.key, &Node{Kind: Value, Value: strings.Clone(value), Created: m.stamp, rest: r}, p.depth, dir)
}

// overwrite puts a value in the place of the one in c, which is in dir.
func (m *Machine) overwrite(c *cell, dir *Node, value string, r *rest) *Node {
	old := c.node
	n := &Node{
		Key: old.Key, Value: strings.Clone(value), Kind: Value,
		Created: old.Created, Updated: m.stamp, rest: r, depth: old.depth, born: m.journal,
	}
	m.replace(c, n)
	m.note(old, n)
	m.touch(dir, 0)
	return n
}

// drop takes one node out of the tree and leaves its parent and children to the caller.
func (m *Machine) drop(n *Node) {
	m.take(n)
	m.note(n, nil)
}

// remove takes out a node without children and emits what happened.
func (m *Machine) remove(n *Node, w What) {
	m.drop(n)
	m.touch(m.find(above(n.Key)), -1)
	m.emitGone(w, n)
}

// removeTree takes out n and everything below it, which is in all, parents first. It emits what happened to each, children
// first, and returns how many they were.
func (m *Machine) removeTree(n *Node, all []*Node, w What) int64 {
	for _, n := range slices.Backward(all) {
		m.drop(n)
		if n.Kind == Lock {
			m.emitLockRemoved(n)
		} else {
			m.emitGone(w, n)
		}
	}
	m.touch(m.find(above(n.Key)), -1)
	return int64(len(all))
}

// subtree returns n and every node below it, parents first.
func (m *Machine) subtree(n *Node) []*Node {
	all := []*Node{n}
	m.below(n, func(n *Node) bool {
		all = append(all, n)
		return true
	})
	return all
}

// below calls fn for every node below dir, depth by depth, until it returns false.
func (s *state) below(dir *Node, fn func(*Node) bool) {
	prefix := dir.Key
	if dir.depth > 0 {
		prefix += string(Separator)
	}
	for depth := int(dir.depth) + 1; ; depth++ {
		met, more := false, true
		pivot := newTreeKey(prefix, depth)
		s.tree.Ascend(pivot, func(key string, c *cell) bool {
			if !strings.HasPrefix(key, pivot) {
				return false
			}
			met = true
			more = fn(c.node)
			return more
		})
		if !met || !more { // a parent exists for every node, so a depth without any is the last
			return
		}
	}
}

// depthOf returns the number of segments of a key that is not empty.
func depthOf(key string) int { return 1 + strings.Count(key, string(Separator)) }
