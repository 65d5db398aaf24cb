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
	r      io.Reader
	sums   hash.Hash
	groups int
	open   *group // the one in hand
	sum    [sha256.Size]byte
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

// Next goes on to the next group and returns its header and its snapshot, which must be read to its end before the next call.
// At the end of the file, once all that was read has proved to be what was written, the error is io.EOF. Other
// errors are those of NewReader, from Next and from reading the snapshot.
func (f *Reader) Next() (Header, io.Reader, error) {
	if f.open != nil {
		if !f.open.verified {
			return Header{}, nil, corrupt("group %d was not read to its end", f.open.header.Group)
		}
		f.sums.Write(f.open.trailer[:])
		f.open = nil
	}
	var start [endSize]byte
	if err := readFull(f.r, start[:]); err != nil {
		return Header{}, nil, err
	}
	if string(start[:8]) == endMagic {
		return Header{}, nil, f.end(start)
	}
	g, err := openGroup(io.MultiReader(bytes.NewReader(start[:]), f.r))
	if err != nil {
		return Header{}, nil, err
	}
	f.open = g
	f.groups++
	return g.header, g, nil
}

// Sum returns the sum of the file, by which it can be told from others, once Next has returned io.EOF.
func (f *Reader) Sum() [sha256.Size]byte { return f.sum }

func (f *Reader) end(end [endSize]byte) error {
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

// Load reads the snapshot of a group to its end and returns the state, which is the one that the header speaks of.
func Load(h Header, snapshot io.Reader) (*fsm.Machine, error) {
	m, err := fsm.ReadSnapshot(snapshot)
	if err != nil {
		return nil, err
	}
	if v := m.View(); v.Index() != h.Index || v.Term() != h.Term || v.Digest() != h.Digest {
		return nil, corrupt("the state of group %d is not the one that its header speaks of", h.Group)
	}
	return m, nil
}

// Inspect reads a file to its end and verifies all that does not take holding a whole state. fn is called for each group once
// it has been read.
func Inspect(r io.Reader, fn func(Header, fsm.SnapshotInfo) error) error {
	f, err := NewReader(r)
	if err != nil {
		return err
	}
	for {
		h, snapshot, err := f.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := fsm.InspectSnapshot(snapshot, nil)
		if err == nil && (info.Index != h.Index || info.Term != h.Term) {
			err = corrupt("the state of group %d is not the one that its header speaks of", h.Group)
		}
		if err == nil {
			err = fn(h, info)
		}
		if err != nil {
			return err
		}
	}
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
