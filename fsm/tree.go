package fsm

import (
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
	tree *btree.Map[string, *Node]

	// scan holds the keys in the order of SCAN, see scan.go.
	scan *btree.BTreeG[place]
	hash func(key string) uint64 // a field so that tests can make keys collide

	values int // nodes of kind Value
}

func (s *state) init(hash func(string) uint64) {
	*s = state{root: &Node{Kind: Directory}, hash: hash}
	s.clear()
}

func (s *state) clear() {
	s.tree = btree.NewMap[string, *Node](0)
	s.scan = newScan()
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

// shortKey is how long a tree key find can build without clearing 8 KiB of stack first.
const shortKey = 256

// find returns the node of that key and depth, nil if there is none. It never allocates.
func (s *state) find(key string, depth int) *Node {
	if depth == 0 {
		return s.root
	}
	if len(key) > shortKey-2 {
		return s.findLong(key, depth)
	}
	var buf [shortKey]byte
	n, _ := s.tree.Get(alias(appendTreeKey(buf[:0], key, depth)))
	return n
}

//go:noinline
func (s *state) findLong(key string, depth int) *Node {
	if len(key) > MaxKeySize {
		return nil
	}
	var buf [MaxKeySize + 2]byte
	n, _ := s.tree.Get(alias(appendTreeKey(buf[:0], key, depth)))
	return n
}

func appendTreeKey(dst []byte, key string, depth int) []byte {
	dst = append(dst, byte(depth>>8), byte(depth))
	return append(dst, key...)
}

// blob returns a tree key and, behind it in the same allocation, a value. An overwrite puts both anew, which takes one
// walk down the tree where looking up first, to reuse the old key, would take two.
func blob(key string, depth int, value string) string {
	var b strings.Builder
	b.Grow(2 + len(key) + len(value))
	b.WriteByte(byte(depth >> 8))
	b.WriteByte(byte(depth))
	b.WriteString(key)
	b.WriteString(value)
	return b.String()
}

func treeKey(n *Node) string { return blob(n.Key, int(n.depth), "") }

// added accounts for a node that is new in the tree.
func (s *state) added(n *Node) {
	key := n.Key
	if n.Kind == Value {
		s.values++
		key = strings.Clone(key) // or the scan would keep the first value alive, which shares memory with the key
	}
	s.scan.Set(place{s.position(n.Kind, key), key})
}

// removed accounts for a node that is gone from the tree.
func (s *state) removed(n *Node) {
	if n.Kind == Value {
		s.values--
	}
	s.scan.Delete(place{s.position(n.Kind, n.Key), n.Key})
}

// change is one step to take back: a node that was put (old is nil), taken away (new is nil) or replaced.
type change struct{ old, new *Node }

// record opens a journal. Until keep or rollback, nodes that were there before are never changed in place.
func (m *Machine) record() {
	m.recording = true
	m.journal++
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

// rollback takes back everything since record, newest first: the very nodes of before are in place again.
func (m *Machine) rollback() {
	for i := len(m.undo) - 1; i >= 0; i-- {
		c := m.undo[i]
		switch {
		case c.old == nil:
			m.tree.Delete(treeKey(c.new))
			m.removed(c.new)
		case c.old.depth == 0:
			m.root = c.old
		default:
			m.tree.Set(treeKey(c.old), c.old)
			if c.new == nil {
				m.added(c.old)
			}
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
	c.Updated, c.born = m.stamp, m.journal
	if n.depth == 0 {
		m.root = &c
	} else {
		key := treeKey(n)
		c.Key = key[2:]
		m.tree.Set(key, &c)
	}
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
	m.mutable(dir).Children += grow
	for !stamped && dir.depth > 0 {
		dir = m.find(above(dir.Key), int(dir.depth)-1)
		if stamped = dir.Updated.Index == m.stamp.Index; !stamped {
			m.mutable(dir)
		}
	}
}

// lookup returns the node of p, nil if there is none.
func (m *Machine) lookup(p path) *Node { return m.find(p.key, p.depth) }

// parent returns the directory that is to hold p. With mkdir it is nil without a refusal when it is missing but can be
// made: makeParents does so once nothing else can refuse the operation.
func (m *Machine) parent(p path, mkdir bool) (*Node, *Refusal) {
	if p.depth == 1 {
		return m.root, nil
	}
	if dir := m.find(p.key[:p.last-1], p.depth-1); dir != nil && dir.Kind == Directory {
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
		if n := m.find(p.key[:m.ends[middle-1]], middle); n != nil {
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
		dir = m.addDir(p.key[:m.ends[depth]], depth+1, dir)
	}
	return dir
}

// addDir puts an empty directory into dir.
func (m *Machine) addDir(key string, depth int, dir *Node) *Node {
	return m.add(blob(key, depth, ""), &Node{Kind: Directory, Created: m.stamp}, depth, dir)
}

// add puts n, which has kind, value and creation, into dir under a tree key that is not there yet.
func (m *Machine) add(key string, n *Node, depth int, dir *Node) *Node {
	n.Key, n.depth = key[2:], uint16(depth)
	n.Updated, n.born = m.stamp, m.journal
	m.tree.Set(key, n)
	m.added(n)
	m.note(nil, n)
	m.touch(dir, 1)
	return n
}

// store puts a value at p, in place of the value that may be there. It is the hot path: it puts the new node first
// and looks at what it replaced afterwards, since every other order takes two walks down the tree.
func (m *Machine) store(p path, value string) *Refusal {
	if len(value) > m.maxValue {
		return ErrTooLong
	}
	dir, no := m.parent(p, m.autoMkdir)
	if no != nil {
		return no
	}
	if dir == nil {
		dir = m.makeParents(p)
	}
	b := blob(p.key, p.depth, value)
	end := 2 + len(p.key)
	n := &Node{
		Key: b[2:end], Value: b[end:], Kind: Value,
		Created: m.stamp, Updated: m.stamp, depth: uint16(p.depth), born: m.journal,
	}
	old, replaced := m.tree.Set(b[:end], n)
	if !replaced {
		m.added(n)
		m.note(nil, n)
		m.touch(dir, 1)
		return nil
	}
	if old.Kind != Value {
		m.tree.Set(treeKey(old), old)
		return ErrWrongType
	}
	n.Created = old.Created
	m.note(old, n)
	m.touch(dir, 0)
	return nil
}

// drop takes one node out of the tree and leaves its parent and children to the caller.
func (m *Machine) drop(n *Node) {
	var buf [shortKey]byte
	m.tree.Delete(alias(appendTreeKey(buf[:0], n.Key, int(n.depth))))
	m.removed(n)
	m.note(n, nil)
}

// remove takes out a node without children.
func (m *Machine) remove(n *Node) {
	m.drop(n)
	m.touch(m.find(above(n.Key), int(n.depth)-1), -1)
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
		pivot := blob(prefix, depth, "")
		s.tree.Ascend(pivot, func(key string, n *Node) bool {
			if !strings.HasPrefix(key, pivot) {
				return false
			}
			met = true
			more = fn(n)
			return more
		})
		if !met || !more { // a parent exists for every node, so a depth without any is the last
			return
		}
	}
}

// depthOf returns the number of segments of a key that is not empty.
func depthOf(key string) int { return 1 + strings.Count(key, string(Separator)) }
