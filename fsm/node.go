package fsm

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
	Lock // reserved: no operation makes one yet
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

// Node is one key and what it holds. A Node that has left Apply never changes again: an operation that changes a
// key makes a new Node, so a reader may keep one for as long as it likes.
type Node struct {
	Key   string // the whole path; empty for the root
	Value string // empty unless Kind is Value

	Created Stamp // kept by an overwrite
	Updated Stamp // moved by every change of the node and, for a directory, of anything below it

	Children int // direct children of a directory; 0 for other kinds

	Kind Kind

	// depth is the number of segments of Key, 0 for the root.
	depth uint16
	// born is the number of the rollback journal, counted within one log entry, in which this Node was allocated.
	// Together with Updated.Index it tells whether the Node may still be changed in place; see Machine.fresh.
	born uint32
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
