package fsm

import (
	"strings"
)

// View reads one state and cannot change it. It is one pointer, meant to be passed by value. How long it is good
// depends on who made it: see Machine.View and Machine.Freeze. Its methods may run on many goroutines at once.
type View struct{ s *state }

// Index returns the index of the last log entry in the state.
func (v View) Index() uint64 { return v.s.index }

// Term returns the log term of the last entry that Apply folded in.
func (v View) Term() uint64 { return v.s.logTerm }

// LeaderTerm returns the log term of the last LeaderStart, 0 before the first.
func (v View) LeaderTerm() uint64 { return v.s.leaderTerm }

// ClusterMillis returns the cluster clock in milliseconds. It moves with the log and only forward.
func (v View) ClusterMillis() int64 { return v.s.clusterMillis }

// Len returns the number of values.
func (v View) Len() int { return v.s.values }

// Nodes returns the number of nodes of every kind, without the root.
func (v View) Nodes() int { return v.s.tree.Len() }

// Deadlines returns the number of nodes that ExpireDue will have to do with one day: those with a deadline, and locks.
func (v View) Deadlines() int { return v.s.deadlines.Len() }

// Locks returns how many nodes are locks, in O(log² n).
func (v View) Locks() int {
	n := v.s.scan.Len() // locks come last in a scan
	low, high := 0, n
	for low < high {
		if middle := (low + high) / 2; v.isLock(middle) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return n - low
}

func (v View) isLock(i int) bool {
	p, _ := v.s.scan.GetAt(i)
	return p.position >= uint64(Lock-Value)<<hashBits
}

// Lookup returns the node of a key; the empty key is the root. It allocates nothing and costs
// O(1), in a frozen View O(log n).
func (v View) Lookup(key []byte) (*Node, bool) {
	if len(key) == 0 {
		return v.s.root, true
	}
	n := v.s.find(alias(key))
	return n, n != nil
}

// Warm makes Lookups of these keys, at best [WarmBatch] of them, which should follow at once, wait for memory together instead of one after the other.
// The number that it returns means nothing, but has to be kept somewhere, or the compiler might leave the work out.
func (v View) Warm(keys [][]byte) (sum int) {
	var hashes [WarmBatch]uint64
	for len(keys) > 0 {
		some := keys[:min(len(keys), WarmBatch)]
		for i, key := range some {
			hashes[i] = v.s.hash(alias(key))
		}
		sum += v.s.cells.warm(hashes[:len(some)])
		keys = keys[len(some):]
	}
	return sum
}

// Children calls fn for the children of a directory in the order of their names, from the first name greater than
// after on, until fn returns false. It calls nothing when dir is no directory. It costs what it visits.
func (v View) Children(dir, after []byte, fn func(name string, n *Node) bool) {
	d, ok := v.Lookup(dir)
	if !ok || d.Kind != Directory {
		return
	}
	prefix := d.Key
	if d.depth > 0 {
		prefix += string(Separator)
	}
	prefix = newTreeKey(prefix, int(d.depth)+1)
	v.s.tree.Ascend(prefix+string(after), func(key string, c *cell) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		name := key[len(prefix):]
		if len(after) > 0 && name == string(after) {
			return true
		}
		return fn(name, c.node)
	})
}

// Ascend calls fn for every node but the root, parents before children: by depth, then by key, until fn
// returns false.
func (v View) Ascend(fn func(*Node) bool) {
	v.s.tree.Scan(func(_ string, c *cell) bool { return fn(c.node) })
}

// Subtree calls fn for every node below dir, by depth, then by key, until fn returns false. It calls nothing when dir is
// no directory. It costs what it visits.
func (v View) Subtree(dir []byte, fn func(*Node) bool) {
	if d, ok := v.Lookup(dir); ok && d.Kind == Directory {
		v.s.below(d, fn)
	}
}
