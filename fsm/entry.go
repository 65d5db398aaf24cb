package fsm

import "errors"

// Version is the format of entries this package writes, and the newest it reads.
const Version = 1

// HeaderSize is how many bytes SealEntry fills in front of the encoded operations.
const HeaderSize = 56

// DefaultMaxValue is the limit on values in bytes that a Header without one stands for.
const DefaultMaxValue = 1 << 20

var (
	// ErrCorrupt means that bytes are not what was written: a checksum, a length or a count is wrong. Nothing was
	// taken from them.
	ErrCorrupt = errors.New("corrupt data")

	// ErrNewerVersion means that a newer release wrote the bytes. They may be whole; this release cannot tell.
	ErrNewerVersion = errors.New("data written by a newer version")
)

// Header is what a leader stamps on an entry.
type Header struct {
	Term          uint64 // the term whose clock made ClusterMillis; a stamp that is not of the entry's own log term is ignored
	ClusterMillis int64  // the cluster clock, in milliseconds
	WallMillis    int64  // the leader's wall clock, in milliseconds since 1970; only copied into stamps

	// Origin is the process that proposed the entry and Sequence its count of them: how results find the
	// connections that wait for them. The state does not depend on either.
	Origin, Sequence uint64

	MaxValue  uint32 // the longest value in bytes an operation of the entry may store; 0 means DefaultMaxValue
	AutoMkdir bool   // create missing parent directories
}

// Entry is one log entry, opened. Index and LogTerm are not in its bytes: whoever holds the log sets them.
type Entry struct {
	Header
	Index   uint64
	LogTerm uint64

	ops   []byte
	count int
}

// Len returns the number of operations in the entry.
func (e *Entry) Len() int { return e.count }
