package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// mark is a durable high-water mark outside the log: an index that this node is known to have committed. A log that
// ends before it has lost its tail (an old image put back, a deleted segment, a disk that lies), and a node with such
// a log would vote as if it had never promised what it lost.
//
// The file has two slots of 24 bytes, written in turn, so that a torn write leaves the other one:
//
//	offset  size  field
//	0       8     index, little-endian
//	8       8     term
//	16      4     CRC32C of the 16 bytes before
//	20      4     zero
type mark struct {
	f      *os.File
	slot   int64
	stored uint64 // newest index on disk

	index, term atomic.Uint64 // newest known, set by the applying goroutine
}

const (
	slotSize     = 24
	markInterval = time.Second // at most this much of acknowledged writes is not covered
)

func openMark(path string) (*mark, error) {
	_, statErr := os.Stat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	m := &mark{f: f}
	if err := m.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if errors.Is(statErr, os.ErrNotExist) {
		if err := syncDir(filepath.Dir(path)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return m, nil
}

func (m *mark) load() error {
	var buf [2 * slotSize]byte
	n, err := m.f.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 {
		return nil // never written
	}
	valid := false
	for slot := range int64(2) {
		b := buf[slot*slotSize:][:slotSize]
		if int(slot+1)*slotSize > n || crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
			continue
		}
		valid = true
		if index := binary.LittleEndian.Uint64(b); index >= m.stored {
			m.stored, m.slot = index, 1-slot
			m.index.Store(index)
			m.term.Store(binary.LittleEndian.Uint64(b[8:]))
		}
	}
	if !valid {
		return fmt.Errorf("%w: neither slot has a valid checksum", errDamaged)
	}
	return nil
}

// note remembers an applied index for the next write of the mark.
func (m *mark) note(index, term uint64) {
	m.term.Store(term)
	m.index.Store(index)
}

// write makes the newest noted index durable, if it is not yet.
func (m *mark) write() error {
	index := m.index.Load()
	if index <= m.stored {
		return nil
	}
	var b [slotSize]byte
	binary.LittleEndian.PutUint64(b[0:], index)
	binary.LittleEndian.PutUint64(b[8:], m.term.Load())
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	if _, err := m.f.WriteAt(b[:], m.slot*slotSize); err != nil {
		return fmt.Errorf("write high-water mark: %w", err)
	}
	if err := m.f.Sync(); err != nil {
		return fmt.Errorf("write high-water mark: %w", err)
	}
	m.stored, m.slot = index, 1-m.slot
	return nil
}

func (m *mark) close() error { return m.f.Close() }
