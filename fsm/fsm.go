// Package fsm is the replicated state: a pure fold over log entries.
//
// [Machine.Apply] takes the state and one [Entry] and leaves the next state, one [Result] per operation, and the
// [Event]s that watchers must hear. It reads
// no clock, draws no random number, starts no goroutine, touches no file and uses no map. Time and chance reach it
// only as fields of an entry, chosen once by the leader and identical on every node. So nodes that have applied the
// same entries hold the same state, and [View.Digest] says whether they do.
//
// # State
//
// The state is a tree of nodes, each a value, a directory or a lock, whose keys are paths parted by '.'. A node's parent is
// always a directory. Every change stamps the node and all directories above it with the entry's index.
//
// # Time
//
// The state has its own clock, [View.ClusterMillis], which moves only with entries and never back. A node whose deadline
// has come stays, for readers and writers alike, until an [ExpireDue] in the log removes it: the clock proposes, the
// log disposes.
//
// # Refusals
//
// An operation that breaks a rule is refused: its Result carries a [*Refusal] and the state is as if it had never
// been proposed. A refused operation is still an entry in the log, the same on every node.
//
// # Concurrency
//
// A Machine has one writer, the goroutine that applies the log, and no lock of its own: its owner guards it. A
// [View] of it may be read by many goroutines while the writer rests; one made by [Machine.Freeze] may be read
// at any time, for as long as one likes. Nodes never change once Apply has returned.
//
// # Bytes
//
// [SealEntry] and [OpenEntry], [WriteSnapshot] and [ReadSnapshot] are the two formats that reach a disk. docs/format.md
// has them byte by byte. Both carry a version, and neither makes this package allocate more than it was given.
package fsm

import "fmt"

// Machine is the state and its only writer. The zero value is not usable; New and ReadSnapshot make one.
type Machine struct {
	state

	// What the entry in hand says.
	stamp     Stamp
	maxValue  int
	autoMkdir bool
	see       func(op, pos int, v View)
	pos       int // of the operation in hand, within the entry

	undo      []change // what to take back, newest last, while recording
	recording bool
	mark      int    // how many events there were before the journal
	journal   uint32 // how many journals the entry in hand has opened

	scratch scratch
	ahead   []uint64 // hashes of the keys that the entry in hand sets, one for each operation; 0 for other operations
	warmed  int      // see hashIndex.warm
	results []Result
	events  []Event
	ends    []int // see ancestors
}

// New returns a machine that holds the root and nothing else, at index 0.
func New() *Machine {
	m := &Machine{}
	m.state.init(xxhash)
	return m
}

// Apply folds one entry into the state. The results line up with the entry's operations and belong to the caller
// until the next Apply. An entry at or below Index was folded in already, as happens after a restore: it is skipped
// and the results are nil.
//
// see, which may be nil, is shown the state inside a Txn that is carried out: before its operation number pos and,
// with pos the number of its operations, after the last. op is the Txn's place in the entry. That is how an EXEC
// answers the reads among its commands. The View is good until see returns.
//
// The error wraps ErrCorrupt and means that the operations cannot be decoded. The state has not moved. Every node
// holds the same bytes, so none may go on: to skip them on one would fork the state.
func (m *Machine) Apply(e *Entry, see func(op, pos int, v View)) ([]Result, error) {
	m.clearOutput()
	if e.Index <= m.index {
		return nil, nil
	}
	m.ahead = m.ahead[:0]
	if err := m.verify(e.ops, e.count, classEntry); err != nil {
		return nil, fmt.Errorf("fsm: entry %d: %w", e.Index, err)
	}

	m.begin(e, see)
	d := decoder{data: e.ops, scratch: &m.scratch}
	for m.pos = 0; m.pos < e.count; m.pos++ {
		if m.pos%WarmBatch == 0 && e.count > 1 {
			m.warmed += m.cells.warm(m.ahead[m.pos:])
		}
		m.results = append(m.results, d.op(classEntry).apply(m))
	}
	if cap(m.ahead) > keptResults {
		m.ahead = nil
	}
	m.see = nil
	m.scratch = scratch{} // or it would keep the log's buffer alive
	return m.results, nil
}

// keptResults is how many results and events the machine keeps room for from one entry to the next.
const keptResults = 1 << 14

// begin moves index and clock to the entry and takes from its header what the operations need.
func (m *Machine) begin(e *Entry, see func(op, pos int, v View)) {
	m.index, m.logTerm = e.Index, e.LogTerm
	// A deposed leader's stamps may still reach the log after its successor's first entry; they are of another clock.
	if e.Term == e.LogTerm && e.LogTerm == m.leaderTerm {
		m.clusterMillis = max(m.clusterMillis, e.ClusterMillis)
	}

	m.stamp = Stamp{Index: e.Index, Millis: e.WallMillis}
	m.maxValue = DefaultMaxValue
	if e.MaxValue != 0 {
		m.maxValue = int(min(e.MaxValue, MaxValueSize))
	}
	m.autoMkdir = e.AutoMkdir
	m.see = see
	m.journal = 0
}

// clearOutput lets go of the results and events of the entry before, whose strings may be long.
func (m *Machine) clearOutput() {
	clear(m.results)
	if m.results = m.results[:0]; cap(m.results) > keptResults {
		m.results = nil
	}
	clear(m.events)
	if m.events = m.events[:0]; cap(m.events) > keptResults {
		m.events = nil
	}
}

// Advance moves Index past entries that the machine never sees, such as changes of the Raft configuration.
func (m *Machine) Advance(index uint64) { m.index = max(m.index, index) }

// View returns the current state, good as long as the caller keeps Apply from running.
func (m *Machine) View() View { return View{s: &m.state} }

// Freeze returns a copy of the state that no later Apply changes, in constant time: the copy and the machine share
// all nodes, and the machine copies what it touches from now on. Only the goroutine that applies may call it, or
// one that keeps it from applying, since it also marks the machine's own trees and cells
// as shared. Lookups in the copy take O(log n).
func (m *Machine) Freeze() View {
	s := m.state
	s.tree = m.tree.Copy()
	s.scan = m.scan.Copy()
	s.deadlines = m.deadlines.Copy()
	s.cells = hashIndex{}
	m.epoch++ // the cells of now are shared
	return View{s: &s}
}
