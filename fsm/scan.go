package fsm

import (
	"github.com/tidwall/btree"
	"github.com/zeebo/xxh3"
)

// A scan visits the nodes in the order of a hash of their keys, and its cursor is the place where to go on. So a
// cursor needs no memory on the server, means the same on every node and after a restart, and costs the same however large
// the state is. A node that is there from a scan's start to its end has its place all that time and is visited. A
// node that comes or goes meanwhile may be missed or visited.

// hashBits is how many bits of the hash a place keeps. With the kind in front a place has 53 bits: some client
// libraries hold cursors in a floating point number, which would round a longer one.
const hashBits = 51

// place is where a node comes in a scan. Keys of equal position are neighbours.
type place struct {
	position uint64
	key      string
}

func newScan() *btree.BTreeG[place] {
	return btree.NewBTreeGOptions(func(a, b place) bool {
		if a.position != b.position {
			return a.position < b.position
		}
		return a.key < b.key
	}, btree.Options{NoLocks: true})
}

func xxhash(key string) uint64 { return xxh3.HashString(key) }

// position orders values before directories before locks, so that a scan of one kind visits no other.
func position(k Kind, hash uint64) uint64 {
	return uint64(k-Value)<<hashBits | hash>>(64-hashBits)
}

// Scan visits at least count nodes of every kind but the root, fewer when there are no more, starting at cursor, and
// returns the cursor to go on with. The first cursor is 0; 0 is returned after the last node. Whoever is there from
// the first call to the last is visited. Cursors fit in 53 bits; any other number is a cursor too, if an
// odd one. A step visits more than count nodes when keys share a hash, which takes someone who makes them so.
func (v View) Scan(cursor uint64, count int, fn func(*Node)) (next uint64) {
	return v.s.visit(cursor, 1<<64-1, count, fn)
}

// ScanKind is Scan for one kind of node; None stands for every kind. It costs nothing for nodes of other kinds. A
// cursor is only good for the kind it came from.
func (v View) ScanKind(k Kind, cursor uint64, count int, fn func(*Node)) (next uint64) {
	if k < Value || k > Lock {
		return v.Scan(cursor, count, fn)
	}
	first := uint64(k-Value) << hashBits
	return v.s.visit(max(cursor, first), first|(1<<hashBits-1), count, fn)
}

func (s *state) visit(from, last uint64, count int, fn func(*Node)) (next uint64) {
	position := from
	count = max(count, 1) // or a step could stand still
	s.scan.Ascend(place{position: from}, func(p place) bool {
		switch {
		case p.position > last:
			return false
		case count <= 0 && p.position != position:
			next = p.position
			return false
		}
		count--
		position = p.position
		fn(s.find(p.key))
		return true
	})
	return next
}

// Random returns a value, each with the same chance if seeds are random, or false when there is none.
func (v View) Random(seed uint64) (*Node, bool) {
	if v.s.values == 0 {
		return nil, false
	}
	p, _ := v.s.scan.GetAt(int(seed % uint64(v.s.values))) // values come first
	return v.s.find(p.key), true
}
