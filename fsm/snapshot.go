package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A snapshot is a header, chunks of records, those of the catalogue first and then nodes in tree order, and a final chunk. docs/format.md has it byte by byte.
const (
	snapshotMagic   = "dtkvsnap"
	snapshotVersion = 1

	snapshotHeaderSize = 80
	chunkHeaderSize    = 12
	finalSize          = 16 + sha256.Size

	// chunkSize is how many bytes of records make the writer close a chunk. One can be longer by its last record.
	chunkSize = 64 << 10
)

// SnapshotInfo is what a snapshot says about itself.
type SnapshotInfo struct {
	Version       int
	Index, Term   uint64 // of the last entry in it
	LeaderTerm    uint64
	ClusterMillis int64
	Tokens        uint64            // fencing tokens handed out
	Values, Nodes int               // as View.Len and View.Nodes
	SHA256        [sha256.Size]byte // of all bytes before the final chunk

	Groups  []GroupRecord // as View.Groups
	Leaving []string      // as View.Leaving
}

// WriteSnapshot writes the state to w, a chunk of about 64 KiB at a time. It holds one chunk in memory, besides what the
// View keeps alive; the View should be a frozen one. The error is the writer's.
func WriteSnapshot(w io.Writer, v View) error {
	s := snapshotWriter{w: w, sum: sha256.New()}
	s.write(appendSnapshotHeader(nil, v))
	v.s.catalog.each(func(record []byte) {
		s.begin()
		s.chunk = append(s.chunk, record...)
		s.end()
	})
	s.add(v.s.root)
	v.Ascend(func(n *Node) bool {
		s.add(n)
		return s.err == nil
	})
	s.flush()

	final := binary.LittleEndian.AppendUint64(nil, uint64(v.Len()))
	final = binary.LittleEndian.AppendUint64(final, uint64(v.Nodes()))
	s.writeChunk(append(make([]byte, chunkHeaderSize), s.sum.Sum(final)...), 0)
	if s.err != nil {
		return fmt.Errorf("fsm: write snapshot: %w", s.err)
	}
	return nil
}

func appendSnapshotHeader(dst []byte, v View) []byte {
	le := binary.LittleEndian
	dst = append(dst, snapshotMagic...)
	dst = le.AppendUint32(dst, snapshotVersion)
	dst = le.AppendUint32(dst, 0) // the checksum's place
	dst = le.AppendUint64(dst, v.Index())
	dst = le.AppendUint64(dst, v.Term())
	dst = le.AppendUint64(dst, v.LeaderTerm())
	dst = le.AppendUint64(dst, uint64(v.ClusterMillis()))
	dst = le.AppendUint64(dst, v.s.tokens)
	dst = le.AppendUint64(dst, uint64(v.Len()))
	dst = le.AppendUint64(dst, uint64(v.Nodes()))
	dst = le.AppendUint64(dst, uint64(v.s.catalog.records()))
	le.PutUint32(dst[12:], headerSum(dst))
	return dst
}

// headerSum is the CRC32C of a snapshot's header without the four bytes that hold it.
func headerSum(header []byte) uint32 {
	sum := crc32.Update(0, castagnoli, header[:12])
	return crc32.Update(sum, castagnoli, header[16:snapshotHeaderSize])
}

// checksum is what is needed of a hash.Hash.
type checksum interface {
	io.Writer
	Sum(b []byte) []byte
}

// snapshotWriter gathers records into chunks. The first error sticks.
type snapshotWriter struct {
	w       io.Writer
	sum     checksum
	chunk   []byte // room for a chunk header, then records
	records int
	err     error
}

func (s *snapshotWriter) add(n *Node) {
	s.begin()
	s.chunk = appendRecord(s.chunk, n)
	s.end()
}

// begin makes room for a record, and end counts it when it is there.
func (s *snapshotWriter) begin() {
	if s.chunk == nil {
		s.chunk = make([]byte, chunkHeaderSize, chunkSize+chunkSize/4)
	}
}

func (s *snapshotWriter) end() {
	s.records++
	if len(s.chunk) >= chunkHeaderSize+chunkSize {
		s.flush()
	}
}

func (s *snapshotWriter) flush() {
	if s.records == 0 {
		return
	}
	s.writeChunk(s.chunk, s.records)
	s.records = 0
	if s.chunk = s.chunk[:chunkHeaderSize]; cap(s.chunk) > 4*chunkSize {
		s.chunk = nil // one long value must not stay for the whole snapshot
	}
}

// writeChunk fills in the header in front of a chunk and writes both.
func (s *snapshotWriter) writeChunk(chunk []byte, records int) {
	le := binary.LittleEndian
	le.PutUint32(chunk, uint32(len(chunk)-chunkHeaderSize))
	le.PutUint32(chunk[4:], uint32(records))
	le.PutUint32(chunk[8:], chunkSum(chunk[:chunkHeaderSize], chunk[chunkHeaderSize:]))
	s.write(chunk)
}

// chunkSum is the CRC32C of a chunk without the four bytes that hold it.
func chunkSum(header, records []byte) uint32 {
	sum := crc32.Update(0, castagnoli, header[:8])
	return crc32.Update(sum, castagnoli, records)
}

func (s *snapshotWriter) write(p []byte) {
	if s.err == nil {
		s.sum.Write(p)
		_, s.err = s.w.Write(p)
	}
}

// snapshotReader reads chunks and verifies them.
type snapshotReader struct {
	r     io.Reader
	sum   checksum
	chunk bytes.Buffer
	limit io.LimitedReader
}

// read reads exactly len(p) bytes. A stream that ends earlier is corrupt.
func (s *snapshotReader) read(p []byte) error {
	_, err := io.ReadFull(s.r, p)
	return endsEarly(err)
}

func endsEarly(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("it ends early: %w", ErrCorrupt)
	}
	return err
}

// header also returns how many records of the catalogue there are.
func (s *snapshotReader) header() (info SnapshotInfo, catalogued uint64, err error) {
	h := make([]byte, snapshotHeaderSize)
	if err := s.read(h[:12]); err != nil {
		return info, 0, err
	}
	le := binary.LittleEndian
	version := le.Uint32(h[8:])
	switch {
	case string(h[:8]) != snapshotMagic:
		return info, 0, fmt.Errorf("it does not begin as a snapshot: %w", ErrCorrupt)
	case version > snapshotVersion:
		return info, 0, fmt.Errorf("it has version %d, this release reads up to %d: %w", version, snapshotVersion, ErrNewerVersion)
	case version == 0:
		return info, 0, fmt.Errorf("it has no version: %w", ErrCorrupt)
	}
	if err := s.read(h[12:]); err != nil {
		return info, 0, err
	}
	if headerSum(h) != le.Uint32(h[12:]) {
		return info, 0, fmt.Errorf("the checksum of its header is wrong: %w", ErrCorrupt)
	}
	if int64(le.Uint64(h[40:])) < 0 {
		return info, 0, fmt.Errorf("its cluster clock is before its beginning: %w", ErrCorrupt)
	}
	s.sum.Write(h)
	return SnapshotInfo{
		Version:       int(version),
		Index:         le.Uint64(h[16:]),
		Term:          le.Uint64(h[24:]),
		LeaderTerm:    le.Uint64(h[32:]),
		ClusterMillis: int64(le.Uint64(h[40:])),
		Tokens:        le.Uint64(h[48:]),
		Values:        int(le.Uint64(h[56:])),
		Nodes:         int(le.Uint64(h[64:])),
	}, le.Uint64(h[72:]), nil
}

// next reads one chunk into s.chunk and returns how many records it says it has: 0 for the final chunk, whose sum
// covers what s.sum has seen before the call.
func (s *snapshotReader) next() (records uint32, err error) {
	var h [chunkHeaderSize]byte
	if err := s.read(h[:]); err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	size := le.Uint32(h[:])
	records = le.Uint32(h[4:])

	// The buffer grows as bytes arrive: a false size costs what was sent, not what was claimed.
	s.chunk.Reset()
	s.limit = io.LimitedReader{R: s.r, N: int64(size)}
	if _, err := s.chunk.ReadFrom(&s.limit); err != nil {
		return 0, err
	}
	if s.limit.N > 0 {
		return 0, endsEarly(io.EOF)
	}
	if chunkSum(h[:], s.chunk.Bytes()) != le.Uint32(h[8:]) {
		return 0, fmt.Errorf("the checksum of a chunk is wrong: %w", ErrCorrupt)
	}
	if records > 0 {
		s.sum.Write(h[:])
		s.sum.Write(s.chunk.Bytes())
	}
	return records, nil
}

// final compares the final chunk with what came before it, and makes sure that nothing comes after it.
func (s *snapshotReader) final(info *SnapshotInfo) error {
	f := s.chunk.Bytes()
	le := binary.LittleEndian
	if len(f) != finalSize || le.Uint64(f) != uint64(info.Values) || le.Uint64(f[8:]) != uint64(info.Nodes) {
		return fmt.Errorf("its end and its beginning disagree: %w", ErrCorrupt)
	}
	if !bytes.Equal(f[16:], s.sum.Sum(nil)) {
		return fmt.Errorf("its SHA-256 is wrong: %w", ErrCorrupt)
	}
	info.SHA256 = [sha256.Size]byte(f[16:])
	switch n, err := io.ReadFull(s.r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("bytes follow its end: %w", ErrCorrupt)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
