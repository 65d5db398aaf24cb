package fsm

// Event is one change of the state. Every change of a node makes one, in the order in which an entry made them; what is
// refused or rolled back makes none. Whoever carries the events of all entries over to a copy of the tree has the same
// tree, but for stamps.
type Event struct {
	What What
	Key  string

	// Node is what stands at Key after the change, nil for nothing and for a flush. Of a lock it is what stands there
	// after the operation, of a directory after the whole entry.
	Node *Node

	// Owner and Ticket are the participant that an event of a lock is about, Token is the one it bears or bore. For
	// other events they are zero.
	Owner  Owner
	Ticket Ticket
	Token  uint64
}

// What says what happened, in the words of Redis's keyspace notifications where it has one.
type What uint8

// What happens to a key.
const (
	EventSet         What = iota + 1
	EventSetRange         // part of a value was overwritten
	EventAppend           // a value was appended to
	EventIncrBy           // an integer was added
	EventIncrByFloat      // a number was added
	EventDel              // a node was removed, children before their directory
	EventExpire           // a deadline was set; nothing else has changed
	EventPersist          // a deadline was taken away; nothing else has changed
	EventExpired          // the deadline of a node, of a directory above it, or of a lock's holder has come
	EventRenameFrom       // a node left its key
	EventRenameTo         // a node, new to this key, came from another
	EventCopyTo           // a value was stored that is a copy of another
	EventMkdir            // a directory was made
	EventFlush            // everything is gone, locks and who waits for them too; Key is empty
	EventLock             // somebody holds the lock who did not before
	EventUnlock           // the holder let go of the lock
	EventWaitEnd          // a waiter left without the lock. It is for the connection that waits, and not to be published
)

// String returns the name under which the event is published.
func (w What) String() string {
	switch w {
	case EventSet:
		return "set"
	case EventSetRange:
		return "setrange"
	case EventAppend:
		return "append"
	case EventIncrBy:
		return "incrby"
	case EventIncrByFloat:
		return "incrbyfloat"
	case EventDel:
		return "del"
	case EventExpire:
		return "expire"
	case EventPersist:
		return "persist"
	case EventExpired:
		return "expired"
	case EventRenameFrom:
		return "rename_from"
	case EventRenameTo:
		return "rename_to"
	case EventCopyTo:
		return "copy_to"
	case EventMkdir:
		return "mkdir"
	case EventFlush:
		return "flushdb"
	case EventLock:
		return "lock"
	case EventUnlock:
		return "unlock"
	case EventWaitEnd:
		return "waitend"
	}
	return "event?"
}

// Events returns what the last Apply changed, in order. The slice belongs to the caller until the next Apply; keys and
// nodes may be kept.
func (m *Machine) Events() []Event { return m.events }

// emit adds an event about a node that stands in the tree.
func (m *Machine) emit(w What, n *Node) {
	m.events = append(m.events, Event{What: w, Key: n.Key, Node: n})
}

// emitGone adds an event about a node that was taken out.
func (m *Machine) emitGone(w What, n *Node) {
	m.events = append(m.events, Event{What: w, Key: n.Key})
}
