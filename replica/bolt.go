package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// Bolt maps its file into memory and trusts it: where the file is too short, touching a page ends the process, and when
// one of its two meta pages is damaged it goes back to the other one, which is a transaction older, without a word.
// checkBolt looks at both before bolt does. The format is that of bbolt 1.3, version 2.
const (
	boltHeader  = 16 // of a page, before its content
	boltMeta    = 64 // bytes of a meta page's content, of which the last 8 are the FNV-1a of those before
	boltMagic   = 0xED0CDAED
	boltMaxPage = 64 << 10
)

// checkBolt verifies the meta pages of a bolt file and that all its pages are there. A file that does not exist is fine.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	first, err := boltMetaAt(f, 0)
	if err != nil {
		return fmt.Errorf("%s is %w: first meta page: %w", path, errDamaged, err)
	}
	second, err := boltMetaAt(f, int64(first.pageSize))
	if err != nil {
		return fmt.Errorf("%s is %w: second meta page: %w", path, errDamaged, err)
	}
	if need := max(first.pages, second.pages) * uint64(first.pageSize); uint64(info.Size()) < need {
		return fmt.Errorf("%s is %w: it is %d bytes long, but has pages up to %d", path, errDamaged, info.Size(), need)
	}
	return nil
}

type boltMetaPage struct {
	pageSize uint32
	pages    uint64 // high-water mark
}

func boltMetaAt(r io.ReaderAt, offset int64) (boltMetaPage, error) {
	var page [boltHeader + boltMeta]byte
	if _, err := r.ReadAt(page[:], offset); err != nil {
		return boltMetaPage{}, err
	}
	b := page[boltHeader:]
	sum := fnv.New64a()
	sum.Write(b[:boltMeta-8])
	m := boltMetaPage{pageSize: binary.NativeEndian.Uint32(b[8:]), pages: binary.NativeEndian.Uint64(b[40:])}
	switch {
	case binary.NativeEndian.Uint32(b) != boltMagic:
		return m, errors.New("not a bolt file")
	case binary.NativeEndian.Uint64(b[boltMeta-8:]) != sum.Sum64():
		return m, errors.New("its checksum does not match")
	case m.pageSize == 0 || m.pageSize > boltMaxPage:
		return m, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, nil
}
