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

// Reader reads a file, group by group.
type Reader struct {
	r    io.Reader
	sums hash.Hash
	roll
	sum [sha256.Size]byte
}

// NewReader begins to read a file. The error wraps fsm.ErrCorrupt or fsm.ErrNewerVersion, or is the reader's.
func NewReader(r io.Reader) (*Reader, error) {
	var header [fileHeaderSize]byte
	if err := readFull(r, header[:]); err != nil {
		return nil, err
	}
	version := binary.LittleEndian.Uint32(header[8:])
	switch {
	case string(header[:8]) != fileMagic:
		return nil, corrupt("it does not begin as a backup")
	case version > fileVersion:
		return nil, fmt.Errorf("it has version %d, this release reads up to %d: %w", version, fileVersion, fsm.ErrNewerVersion)
	case version == 0 || crc32.Checksum(header[:12], castagnoli) != binary.LittleEndian.Uint32(header[12:]):
		return nil, corrupt("the checksum of its header is wrong")
	}
	f := &Reader{r: r, sums: sha256.New()}
	f.sums.Write(header[:])
	return f, nil
}

// Next goes on to the next group and returns its header and its state, as of that header. At the end of the file, once all
// that was read has proved to be what was written and nothing to be missing, the error is io.EOF. Other errors are those of
// NewReader.
func (f *Reader) Next() (Header, *fsm.Machine, error) {
	var m *fsm.Machine
	h, _, err := f.next(func(g *group) (info fsm.SnapshotInfo, err error) {
		m, info, err = g.load()
		return info, err
	})
	return h, m, err
}

// Inspect is Next for who does not want the state. It verifies all that does not take holding it.
func (f *Reader) Inspect() (Header, fsm.SnapshotInfo, error) { return f.next((*group).inspect) }

func (f *Reader) next(read func(*group) (fsm.SnapshotInfo, error)) (Header, fsm.SnapshotInfo, error) {
	var start [endSize]byte
	if err := readFull(f.r, start[:]); err != nil {
		return Header{}, fsm.SnapshotInfo{}, err
	}
	if string(start[:8]) == endMagic {
		return Header{}, fsm.SnapshotInfo{}, f.end(start)
	}
	g, err := openGroup(io.MultiReader(bytes.NewReader(start[:]), f.r))
	if err != nil {
		return Header{}, fsm.SnapshotInfo{}, err
	}
	info, err := read(g)
	if err == nil {
		err = f.call(g.header, info)
	}
	if err != nil {
		return Header{}, fsm.SnapshotInfo{}, err
	}
	f.sums.Write(g.trailer[:])
	return g.header, info, nil
}

// Sum returns the sum of the file, by which it can be told from others, once Next or Inspect has returned io.EOF.
func (f *Reader) Sum() [sha256.Size]byte { return f.sum }

func (f *Reader) end(end [endSize]byte) error {
	if err := f.complete(); err != nil {
		return err
	}
	if err := readFull(f.r, f.sum[:]); err != nil {
		return err
	}
	f.sums.Write(end[:])
	if binary.LittleEndian.Uint64(end[8:]) != uint64(f.groups) || !bytes.Equal(f.sums.Sum(nil), f.sum[:]) {
		return corrupt("its SHA-256 is wrong")
	}
	switch n, err := io.ReadFull(f.r, make([]byte, 1)); {
	case n > 0:
		return corrupt("bytes follow its end")
	case err != io.EOF:
		return err
	}
	return io.EOF
}

// group reads the snapshot of one group, and verifies its sum where it ends.
type group struct {
	header   Header
	r        io.Reader
	left     int64
	sum      hash.Hash
	trailer  [sha256.Size]byte
	verified bool
}

func openGroup(r io.Reader) (*group, error) {
	fixed := make([]byte, fixedSize)
	if err := readFull(r, fixed[:20]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	version, size := le.Uint32(fixed[8:]), le.Uint32(fixed[16:])
	switch {
	case string(fixed[:8]) != groupMagic:
		return nil, corrupt("no group begins where one should")
	case version > groupVersion:
		return nil, fmt.Errorf("a group has version %d, this release reads up to %d: %w", version, groupVersion, fsm.ErrNewerVersion)
	case version == 0 || size < fixedSize || size > maxHeaderSize:
		return nil, corrupt("the header of a group is wrong")
	}
	header := append(fixed[:20], make([]byte, size-20)...)
	if err := readFull(r, header[20:]); err != nil {
		return nil, err
	}
	g := &group{r: r, sum: sha256.New()}
	if le.Uint32(header[12:]) != headerSum(header) || !g.header.decode(header) {
		return nil, corrupt("the header of a group is wrong")
	}
	g.sum.Write(header)
	g.left = g.header.Size
	return g, nil
}

// decode reads what encode wrote, and reports whether it is that.
func (h *Header) decode(b []byte) bool {
	le := binary.LittleEndian
	h.Group = int(le.Uint32(b[20:]))
	h.Index, h.Term = le.Uint64(b[24:]), le.Uint64(b[32:])
	h.Taken = time.UnixMilli(int64(le.Uint64(b[40:])))
	h.Size = int64(le.Uint64(b[48:]))
	copy(h.Digest[:], b[56:])
	rest := b[fixedSize:]
	for _, text := range []*string{&h.Cluster, &h.Node, &h.Release} {
		n, width := binary.Uvarint(rest)
		if width <= 0 || n > uint64(len(rest)-width) {
			return false
		}
		*text = string(rest[width:][:n])
		rest = rest[width+int(n):]
	}
	return len(rest) == 0 && h.Size >= 0 && bytes.Equal(b, h.encode())
}

// Read implements io.Reader.
func (g *group) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, g.verify()
	}
	n, err := g.r.Read(p[:min(int64(len(p)), g.left)])
	g.sum.Write(p[:n])
	g.left -= int64(n)
	if err == io.EOF && g.left > 0 {
		return n, endsEarly()
	}
	if err == io.EOF {
		err = nil // the sum is missing; the next call says so
	}
	return n, err
}

// verify reads the sum behind the snapshot. It returns io.EOF if it is right.
func (g *group) verify() error {
	if g.verified {
		return io.EOF
	}
	if err := readFull(g.r, g.trailer[:]); err != nil {
		return err
	}
	if !bytes.Equal(g.sum.Sum(nil), g.trailer[:]) {
		return corrupt("the SHA-256 of group %d is wrong", g.header.Group)
	}
	g.verified = true
	return io.EOF
}

// load reads the snapshot to its end and returns the state, which is the one that the header speaks of.
func (g *group) load() (*fsm.Machine, fsm.SnapshotInfo, error) {
	m, err := fsm.ReadSnapshot(g)
	if err != nil {
		return nil, fsm.SnapshotInfo{}, err
	}
	v := m.View()
	if v.Digest() != g.header.Digest {
		return nil, fsm.SnapshotInfo{}, g.other()
	}
	info := fsm.SnapshotInfo{Index: v.Index(), Term: v.Term(), Values: v.Len(), Nodes: v.Nodes(), Groups: v.Groups()}
	return m, info, g.check(info)
}

// inspect reads the snapshot to its end and verifies all that does not take holding the state.
func (g *group) inspect() (fsm.SnapshotInfo, error) {
	info, err := fsm.InspectSnapshot(g, nil)
	if err != nil {
		return info, err
	}
	return info, g.check(info)
}

func (g *group) check(state fsm.SnapshotInfo) error {
	switch h := &g.header; {
	case !g.verified || state.Index != h.Index || state.Term != h.Term || h.Group > fsm.MaxGroup:
		return g.other()
	case h.Term == 0:
		return corrupt("no leader has ever served group %d", h.Group)
	}
	return nil
}

func (g *group) other() error {
	return corrupt("the state of group %d is not the one that its header speaks of", g.header.Group)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, fsm.ErrCorrupt)...)
}

func endsEarly() error { return corrupt("it ends early") }

// readFull fills p. A stream that ends before is corrupt.
func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return endsEarly()
	}
	return err
}
