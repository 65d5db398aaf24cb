package fsm

// Op is one operation on the state: a *Set, *Remove, *Increment and so on. The set is closed: each kind has a code
// in the log format, and a fold of its own that only this package may write.
//
// AppendTo appends the operation's encoding, which SealEntry later makes part of an entry. String returns one line
// for people. The slices in an operation are only read, and only while a call lasts.
type Op interface {
	AppendTo(dst []byte) []byte
	String() string
	apply(m *Machine) Result
}

// Result says what an operation did, not how to print it.
type Result struct {
	Err   error    // a *Refusal when the operation was refused and changed nothing, else nil
	Int   int64    // a count, a length, a sum, or 1 for done and 0 for not done
	Value string   // a previous or a new value
	Found bool     // Value holds a value; for a Txn: it was carried out
	List  []Result // one per element of a Batch or Txn
}

// Condition says when a write is to happen.
type Condition uint8

// The conditions, as in Redis 8.4. On a missing key IfNotEqual and IfDigestNotEqual hold for a Set, which then
// creates it, and there is nothing for a RemoveIf to do.
const (
	Always           Condition = iota
	IfAbsent                   // NX
	IfPresent                  // XX
	IfEqual                    // IFEQ: the value is Match
	IfNotEqual                 // IFNE
	IfDigestEqual              // IFDEQ: the value's digest, see ValueDigest, is Match in either case
	IfDigestNotEqual           // IFDNE
)

// Watch is a key and the version a client saw: Updated.Index of its node, 0 when it was absent.
type Watch struct {
	Key     []byte
	Version uint64
}

// LeaderStart is a new leader's first entry. Applying it makes the entry's own log term the leader term, from which
// cluster clock stamps count. It moves no node. Result: nothing.
type LeaderStart struct {
	Term uint64 // the term the leader meant, for people; the log's own term is what counts
	Node string // the leader's node id, for people
}

// Set stores a value (SET and its family). Result: Int 1 stored, 0 the condition failed; with Get the previous value.
type Set struct {
	Key, Value []byte
	If         Condition
	Match      []byte // what the If* conditions compare with
	KeepTTL    bool   // keep the deadline; without effect until deadlines exist
	Get        bool   // report the previous value
}

// SetMany stores several values, all or none (MSET, MSETNX, MSETEX). Result: Int 1 stored, 0 the condition failed.
// The condition, which may only be Always, IfAbsent or IfPresent, must hold for every key before the first is set.
type SetMany struct {
	Pairs [][]byte // key, value, key, value...; of a doubled key the last value stays
	If    Condition
}

// Append appends to a value, which it creates if missing. Result: Int is the new length in bytes.
type Append struct{ Key, Value []byte }

// SetRange overwrites part of a value from Offset on, zero bytes filling a gap before it. Result: Int is the new
// length in bytes. An empty Value changes nothing.
type SetRange struct {
	Key    []byte
	Offset int64 // bytes; negative is refused with ErrBadOffset
	Value  []byte
}

// GetDel removes a value. Result: Found and the Value it had.
type GetDel struct{ Key []byte }

// Increment adds to a value that is a decimal integer; a missing key counts as 0. Result: Int is the sum.
type Increment struct {
	Key []byte
	By  int64
}

// IncrementFloat adds to a value that is a decimal number; a missing key counts as 0. The sum is rounded to 64 bits of
// mantissa and printed with at most 17 digits after the point, as Redis does on amd64. Result: Value is the sum.
type IncrementFloat struct {
	Key []byte
	By  string
}

// Remove removes values and empty directories, all or none (DEL). Result: Int is how many there were. The keys are
// removed in order, so a directory may follow its last child; a key given twice counts once.
type Remove struct{ Keys [][]byte }

// RemoveIf removes a value when it meets a condition (DELEX, DELIFEQ). Result: Int 1 removed, 0 not. With Always
// it removes a value or an empty directory, as Remove does.
type RemoveIf struct {
	Key   []byte
	If    Condition // Always or one of the four comparisons
	Match []byte
}

// Rename moves a value or a directory with everything below it. Result: Int 1 done; with NX 0 when To exists. A value
// replaces a value. What moved is new at its place: its nodes are stamped as created by this entry.
type Rename struct {
	From, To []byte
	NX       bool
}

// Copy copies a value. Result: Int 1 copied, 0 when From is missing, or To exists and Replace is not set, or both are
// the same key.
type Copy struct {
	From, To []byte
	Replace  bool
}

// Flush removes every node but the root. Result: Int is how many there were.
type Flush struct{}

// MakeDir creates a directory. Result: Int 1 created, 0 it is there already.
type MakeDir struct {
	Key     []byte
	Parents bool // create missing directories on the way
}

// RemoveDir removes a directory. Result: Int is how many nodes were removed, 0 when it is missing.
type RemoveDir struct {
	Key       []byte
	Recursive bool // with everything below it
}

// CompareAndSet stores New if the value is Expected. Result: Int 1 done, 0 mismatch. An empty Expected means that the
// key must be missing; an empty New removes it; both empty is refused with ErrInvalid. A directory is a mismatch.
type CompareAndSet struct{ Key, Expected, New []byte }

// Batch carries out operations in order, each with a result of its own and none undone (BATCHPUT, BATCHREMOVE).
// Result: List has one result per operation. A Batch may not hold a LeaderStart, a Txn or another Batch.
type Batch struct {
	Ops []Op

	packed packed // how Apply meets the operations; Ops is then nil
}

// Txn carries out operations in order if no watched key has changed, each with a result of its own and none undone
// (EXEC). Result: Found says whether it was carried out, List has one result per operation. A Txn may not hold a
// LeaderStart or another Txn.
type Txn struct {
	Watches []Watch
	Ops     []Op

	packed packed // how Apply meets the operations; Ops is then nil
}

// packed is a run of encoded operations, decoded one at a time as they are applied.
type packed struct {
	data  []byte
	count int
}
