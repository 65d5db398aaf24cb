// Package backup is the format of backups: the states of groups, each as of one index, in one checked file.
//
// A backup of one group is what DTKV.BACKUP sends; a file holds those of all groups of a cluster. Whoever reads to the
// end without an error has what was written, and whoever gets an error has nothing: a flipped byte, a missing end and bytes
// too many are all found. docs/format.md has the bytes.
package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

const (
	fileMagic  = "dtkvback"
	groupMagic = "dtkvgrup"
	endMagic   = "dtkvdone"

	fileVersion  = 1
	groupVersion = 1

	fileHeaderSize = 16
	fixedSize      = 88      // of a group's header, before its texts
	maxHeaderSize  = 4 << 10 // of the same, with them
	endSize        = 16      // before the sum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what state follows.
type Header struct {
	Cluster string // id of the cluster that it was taken of
	Node    string // who took it
	Release string // of that node
	Group   int

	Index, Term uint64    // of the last log entry in the state
	Taken       time.Time // by the clock of that node, in milliseconds
	Size        int64     // of the snapshot in bytes
	Digest      [32]byte  // of the state, see fsm.View.Digest
}

// Group is the backup of one group, ready to be written. It reads the state three times: for its digest, for its size, and to
// write it.
type Group struct {
	header []byte
	view   fsm.View
	size   int64
}

// NewGroup prepares the backup of a state, which must be a frozen one. Of h, it fills in what the state says itself.
func NewGroup(h Header, v fsm.View) (Group, error) {
	h.Index, h.Term, h.Digest = v.Index(), v.Term(), v.Digest()
	var size counter
	if err := fsm.WriteSnapshot(&size, v); err != nil {
		return Group{}, err
	}
	h.Size = int64(size)
	header := h.encode()
	if len(header) > maxHeaderSize {
		return Group{}, fmt.Errorf("backup: a header of %d bytes", len(header))
	}
	return Group{header: header, view: v, size: h.Size}, nil
}

// counter counts the bytes that it is given.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Len returns how many bytes Write will write.
func (g Group) Len() int64 { return int64(len(g.header)) + g.size + sha256.Size }

// Write writes the backup, in pieces of about 64 KiB. The error is the writer's.
func (g Group) Write(w io.Writer) error {
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	if _, err := both.Write(g.header); err != nil {
		return err
	}
	if err := fsm.WriteSnapshot(both, g.view); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

func (h *Header) encode() []byte {
	le := binary.LittleEndian
	b := append([]byte(groupMagic), make([]byte, fixedSize-len(groupMagic))...)
	le.PutUint32(b[8:], groupVersion)
	le.PutUint32(b[20:], uint32(h.Group))
	le.PutUint64(b[24:], h.Index)
	le.PutUint64(b[32:], h.Term)
	le.PutUint64(b[40:], uint64(h.Taken.UnixMilli()))
	le.PutUint64(b[48:], uint64(h.Size))
	copy(b[56:], h.Digest[:])
	for _, text := range []string{h.Cluster, h.Node, h.Release} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	le.PutUint32(b[16:], uint32(len(b)))
	le.PutUint32(b[12:], headerSum(b))
	return b
}

// headerSum is the CRC32C of a header without the four bytes that hold it.
func headerSum(header []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[:12], castagnoli), castagnoli, header[16:])
}

// Writer writes a file. Its methods follow one another: Add for each group, group 0 first and the others by number, then
// Close.
type Writer struct {
	w    io.Writer
	sums hash.Hash // of the file's header, the groups' sums and the end
	roll
}

// roll sees to it that the groups of a file are those of the catalogue, which is in the state of group 0, in order.
type roll struct {
	groups  int
	missing []fsm.GroupRecord
}

func (r *roll) call(h Header, state fsm.SnapshotInfo) error {
	r.groups++
	switch {
	case r.groups == 1 && h.Group == 0:
		r.missing = state.Groups
		return nil
	case r.groups == 1 || len(r.missing) == 0 || r.missing[0].ID != h.Group:
		return corrupt("group %d is not where it should be", h.Group)
	}
	r.missing = r.missing[1:]
	return nil
}

func (r *roll) complete() error {
	switch {
	case r.groups == 0:
		return corrupt("there is no group 0")
	case len(r.missing) > 0:
		return corrupt("group %d is missing", r.missing[0].ID)
	}
	return nil
}

// NewWriter begins a file. The error is the writer's.
func NewWriter(w io.Writer) (*Writer, error) {
	header := append([]byte(fileMagic), make([]byte, fileHeaderSize-len(fileMagic))...)
	binary.LittleEndian.PutUint32(header[8:], fileVersion)
	binary.LittleEndian.PutUint32(header[12:], crc32.Checksum(header[:12], castagnoli))
	f := &Writer{w: w, sums: sha256.New()}
	f.sums.Write(header)
	_, err := w.Write(header)
	return f, err
}

// Add copies the backup of one group, which r yields, to the file, and verifies all of it that does not take holding the
// state. The error wraps fsm.ErrCorrupt or fsm.ErrNewerVersion, or is the reader's or the writer's; then the file is lost.
func (f *Writer) Add(r io.Reader) (Header, fsm.SnapshotInfo, error) {
	g, err := openGroup(io.TeeReader(r, f.w))
	if err != nil {
		return Header{}, fsm.SnapshotInfo{}, err
	}
	info, err := g.inspect()
	if err == nil {
		err = f.call(g.header, info)
	}
	if err != nil {
		return Header{}, fsm.SnapshotInfo{}, err
	}
	f.sums.Write(g.trailer[:])
	return g.header, info, nil
}

// Close ends the file. It does not close what it writes to. The error is the writer's, or says that a group is missing.
func (f *Writer) Close() error {
	if err := f.complete(); err != nil {
		return err
	}
	end := append([]byte(endMagic), make([]byte, endSize-len(endMagic))...)
	binary.LittleEndian.PutUint64(end[8:], uint64(f.groups))
	f.sums.Write(end)
	_, err := io.Copy(f.w, bytes.NewReader(f.sums.Sum(end)))
	return err
}
