package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Version is the format of entries that this release writes, and the newest it reads.
const Version = 1

// HeaderSize is how many bytes SealEntry fills in front of the encoded operations.
const HeaderSize = 56

// DefaultMaxValue is the limit on values in bytes that a Header without one stands for.
const DefaultMaxValue = 1 << 20

// MaxValueSize is the longest value in bytes, whatever a Header allows.
const MaxValueSize = 512 << 20

var (
	// ErrCorrupt means that bytes are not what was written: a checksum, a length or a count is wrong. Nothing was
	// taken from them.
	ErrCorrupt = errors.New("corrupt data")

	// ErrNewerVersion means that a newer release wrote the bytes. They may be whole; this release cannot tell.
	ErrNewerVersion = errors.New("data of a newer version")
)

// Header is what a leader stamps on an entry.
type Header struct {
	Term          uint64 // the term whose clock made ClusterMillis; a stamp that is not of the entry's own log term is ignored
	ClusterMillis int64  // the cluster clock, in milliseconds
	WallMillis    int64  // the leader's wall clock, in milliseconds since 1970: for stamps, and what absolute times to live are measured by

	// Origin is the process that proposed the entry and Sequence its count of them: how results find the
	// connections that wait for them. The state does not depend on either.
	Origin, Sequence uint64

	MaxValue  uint32 // the longest value in bytes an operation of the entry may store; 0 means DefaultMaxValue, more than MaxValueSize that
	AutoMkdir bool   // create missing parent directories
}

// Entry is one log entry, opened. Index and LogTerm are not in its bytes: whoever holds the log sets them.
type Entry struct {
	Header
	Index   uint64
	LogTerm uint64

	ops   []byte // aliases what OpenEntry was given
	count int
}

// Where the fields of the header are. docs/format.md has the same as a table.
const (
	offsetFlags    = 1
	offsetReserved = 2
	offsetSum      = 4
	offsetCount    = 8
	offsetMaxValue = 12
	offsetTerm     = 16
	offsetCluster  = 24
	offsetWall     = 32
	offsetOrigin   = 40
	offsetSequence = 48
)

const flagAutoMkdir = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SealEntry makes buf an entry: HeaderSize bytes to be filled, and behind them so many encoded operations. It
// writes the header and the checksum in place.
func SealEntry(buf []byte, h Header, ops int) {
	buf[0], buf[offsetFlags] = Version, 0
	if h.AutoMkdir {
		buf[offsetFlags] = flagAutoMkdir
	}
	le := binary.LittleEndian
	le.PutUint16(buf[offsetReserved:], 0)
	le.PutUint32(buf[offsetCount:], uint32(ops))
	le.PutUint32(buf[offsetMaxValue:], h.MaxValue)
	le.PutUint64(buf[offsetTerm:], h.Term)
	le.PutUint64(buf[offsetCluster:], uint64(h.ClusterMillis))
	le.PutUint64(buf[offsetWall:], uint64(h.WallMillis))
	le.PutUint64(buf[offsetOrigin:], h.Origin)
	le.PutUint64(buf[offsetSequence:], h.Sequence)
	le.PutUint32(buf[offsetSum:], entrySum(buf))
}

// entrySum is the CRC32C of an entry without the four bytes that hold it.
func entrySum(data []byte) uint32 {
	sum := crc32.Update(0, castagnoli, data[:offsetSum])
	return crc32.Update(sum, castagnoli, data[offsetCount:])
}

// OpenEntry reads the header of an entry and verifies its checksum. The entry aliases data. The error wraps
// ErrCorrupt or ErrNewerVersion.
func OpenEntry(data []byte) (Entry, error) {
	if len(data) == 0 || data[0] == 0 {
		return Entry{}, fmt.Errorf("fsm: entry without a version: %w", ErrCorrupt)
	}
	if data[0] > Version {
		return Entry{}, fmt.Errorf("fsm: entry has version %d, this release reads up to %d: %w", data[0], Version, ErrNewerVersion)
	}
	if len(data) < HeaderSize {
		return Entry{}, fmt.Errorf("fsm: entry of %d bytes has no whole header: %w", len(data), ErrCorrupt)
	}
	le := binary.LittleEndian
	if got, want := entrySum(data), le.Uint32(data[offsetSum:]); got != want {
		return Entry{}, fmt.Errorf("fsm: entry has checksum %08x, its header says %08x: %w", got, want, ErrCorrupt)
	}
	e := Entry{
		Header: Header{
			Term:          le.Uint64(data[offsetTerm:]),
			ClusterMillis: int64(le.Uint64(data[offsetCluster:])),
			WallMillis:    int64(le.Uint64(data[offsetWall:])),
			Origin:        le.Uint64(data[offsetOrigin:]),
			Sequence:      le.Uint64(data[offsetSequence:]),
			MaxValue:      le.Uint32(data[offsetMaxValue:]),
			AutoMkdir:     data[offsetFlags] == flagAutoMkdir,
		},
		ops:   data[HeaderSize:],
		count: int(le.Uint32(data[offsetCount:])),
	}
	// No operation is shorter than a byte. Unknown flags and reserved bytes would be the sign of a newer version.
	if data[offsetFlags] > flagAutoMkdir || le.Uint16(data[offsetReserved:]) != 0 || e.count > len(e.ops) {
		return Entry{}, fmt.Errorf("fsm: entry with an impossible header: %w", ErrCorrupt)
	}
	return e, nil
}

// Len returns the number of operations in the entry.
func (e *Entry) Len() int { return e.count }

// Each decodes the operations one by one and calls fn with each, until fn returns an error. The operations alias the
// entry's bytes. The error is fn's own, or wraps ErrCorrupt when the operations cannot be decoded or are not
// as many as the header says.
func (e *Entry) Each(fn func(Op) error) error {
	d := decoder{data: e.ops}
	for i := range e.count {
		at := d.at
		op := d.op(classEntry)
		if d.failed {
			return fmt.Errorf("fsm: operation %d at byte %d: %w", i, at, ErrCorrupt)
		}
		if err := fn(op); err != nil {
			return err
		}
	}
	if d.at != len(e.ops) {
		return fmt.Errorf("fsm: %d bytes behind the last operation: %w", len(e.ops)-d.at, ErrCorrupt)
	}
	return nil
}
