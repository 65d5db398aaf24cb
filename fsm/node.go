package fsm

import (
	"math"

	"github.com/dtkv/dtkv/lock"
)

// MaxKeySize is the longest key in bytes, the whole path counted.
const MaxKeySize = 8192

// MaxDepth is how many segments a key may have. A change stamps every directory above it, so the time that one takes to
// apply, for which all clients wait, grows with the depth.
const MaxDepth = 128

// Separator parts the segments of a key: "a.b" is the child "b" of the directory "a".
const Separator = '.'

// Kind says what a node is. The numbers are part of the snapshot format.
type Kind uint8

// The kinds of nodes. None is what a missing key is.
const (
	None Kind = iota
	Value
	Directory
	Lock
)

// String returns "none", "value", "dir" or "lock".
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Value:
		return "value"
	case Directory:
		return "dir"
	case Lock:
		return "lock"
	}
	return "kind?"
}

// Stamp says when something happened: in which log entry, and at what time by the clock on the wall of the
// leader that proposed it, in milliseconds since 1970. Only Index orders events; clocks on walls may disagree.
type Stamp struct {
	Index  uint64
	Millis int64
}

// Owner tells clients apart, zero is nobody. See package lock.
type Owner = lock.Owner

// Ticket names one request of one connection that may wait. See package lock.
type Ticket = lock.Ticket

// Participant is the holder of a lock, or one who waits for it. See package lock.
type Participant = lock.Participant

// Node is one key and what it holds. A Node that has left Apply never changes again: an operation that changes a
// key makes a new Node, so a reader may keep one for as long as it likes.
type Node struct {
	Key   string // the whole path; empty for the root
	Value string // empty unless Kind is Value

	Created Stamp // kept by an overwrite
	Updated Stamp // moved by every change of the node but that of a deadline and, for a directory, of anything below it

	// rest is nil for a permanent value, so that most nodes do without.
	rest *rest

	Kind Kind

	// sole says that rest was allocated for this very Node and may be changed wherever the Node may be.
	sole bool
	// depth is the number of segments of Key, 0 for the root.
	depth uint16
	// born is the number of the rollback journal, counted within one log entry, in which this Node was allocated.
	// Together with Updated.Index it tells whether the Node may still be changed in place; see Machine.fresh.
	born uint32
}

// rest is what only some nodes have.
type rest struct {
	children int         // direct children of a directory
	deadline int64       // cluster milliseconds, 0 for a node that stays
	owner    Owner       // of a temporary node
	lock     *lock.Queue // of a lock; it never changes, each step puts a copy in a new Node
}

// Children returns the number of direct children of a directory, 0 for other kinds.
func (n *Node) Children() int {
	if n.rest == nil {
		return 0
	}
	return n.rest.children
}

// Deadline returns when the node expires, in cluster milliseconds, false for a node that stays. A lock has no
// deadline of its own: its participants have.
func (n *Node) Deadline() (clusterMillis int64, ok bool) {
	if n.rest == nil {
		return 0, false
	}
	return n.rest.deadline, n.rest.deadline > 0
}

// Owner returns who owns a temporary node, zero for all others.
func (n *Node) Owner() Owner {
	if n.rest == nil {
		return Owner{}
	}
	return n.rest.owner
}

// Temporary reports whether the node has an owner, who alone may remove it or move its deadline.
func (n *Node) Temporary() bool { return n.rest != nil && n.rest.owner != Owner{} }

// Lock returns the participants of a lock, to be read only; nil for other kinds.
func (n *Node) Lock() *lock.Queue {
	if n.rest == nil {
		return nil
	}
	return n.rest.lock
}

// due returns when ExpireDue has something to do at the node, 0 for never.
func (n *Node) due() int64 {
	switch {
	case n.rest == nil:
		return 0
	case n.rest.lock != nil:
		return n.rest.lock.Due()
	}
	return n.rest.deadline
}

// addChildren changes the number of children of a Node that may be changed in place.
func (n *Node) addChildren(more int) {
	if more == 0 {
		return
	}
	if !n.sole {
		var r rest
		if n.rest != nil {
			r = *n.rest
		}
		n.rest, n.sole = &r, true
	}
	n.rest.children += more
}

// deadline returns the time that is so many milliseconds after now, at least one, and at most the last there is.
func deadline(now, millis int64) int64 {
	millis = max(millis, 1)
	if millis > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + millis
}

// Name returns the last segment of the key.
func (n *Node) Name() string {
	for i := len(n.Key) - 1; i >= 0; i-- {
		if n.Key[i] == Separator {
			return n.Key[i+1:]
		}
	}
	return n.Key
}

// CheckKey reports whether key may name a node: 1 to MaxKeySize bytes, without a leading, trailing or doubled '.', and at
// most MaxDepth segments. The error is a *Refusal, ErrTooDeep for the last rule, else ErrBadKey. Any other byte is allowed,
// spaces and zeros among them.
func CheckKey(key []byte) error {
	if _, no := parsePath(key); no != nil {
		return no
	}
	return nil
}
