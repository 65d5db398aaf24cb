package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// Bolt maps its file into memory and trusts it: a page that is damaged or missing ends the process, or makes it read a tree
// that is not the one written. When one of its two meta pages is damaged it goes back to the other one, which is a
// transaction older, without a word. checkBolt looks before bolt does. The format is that of bbolt 1.3, version 2.
//
// Only the meta pages carry a checksum. In all others everything is checked that has only one right value: bolt packs the
// elements of a page without gaps, takes as many pages as they need, and leaves zeros behind them. What it cannot tell are
// changed bytes within keys and values; those have checksums of ours.
const (
	boltHeader   = 16 // of a page, before its content: number u64, flags u16, count u16, overflow u32
	boltMeta     = 64 // bytes of a meta page's content, of which the last 8 are the FNV-1a of those before
	boltMagic    = 0xED0CDAED
	boltMinPage  = 512
	boltMaxPage  = 64 << 10
	boltElement  = 16 // bytes of a leaf's element: flags, pos, ksize, vsize u32; of a branch's: pos, ksize u32, page u64
	boltBucket   = 16 // bytes of a bucket's value, before an inline page: root page, sequence u64
	boltMaxDepth = 64 // the tree of a file that fills a disk has less than half

	boltFlagBranch   = 0x01
	boltFlagLeaf     = 0x02
	boltFlagFreelist = 0x10

	boltManyFree   = 0xFFFF     // the count of a free list whose first number is the count
	boltNoFreelist = ^uint64(0) // no free list is stored
	boltIsBucket   = uint32(1)  // of a leaf's element
	boltFirstPage  = uint64(2)  // after the meta pages
)

// checkBolt verifies a bolt file of raft-boltdb or raft-wal, whose buckets hold values and no buckets. The error names the
// file. A file that does not exist is fine. Nothing may write to it meanwhile.
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
	if err := checkBoltPages(f, uint64(info.Size())); err != nil {
		return fmt.Errorf("%s is %w: %w", path, errDamaged, err)
	}
	return nil
}

func checkBoltPages(r io.ReaderAt, size uint64) error {
	meta, err := boltMetaAt(r, 0)
	if err != nil {
		return fmt.Errorf("first meta page: %w", err)
	}
	second, err := boltMetaAt(r, int64(meta.pageSize))
	if err != nil {
		return fmt.Errorf("second meta page: %w", err)
	}
	if have := size / uint64(meta.pageSize); have < max(meta.pages, second.pages) {
		return fmt.Errorf("it has %d pages, and should have %d", have, max(meta.pages, second.pages))
	}
	if second.transaction > meta.transaction {
		meta = second
	}
	w := &boltWalk{file: r, pageSize: uint64(meta.pageSize), seen: make([]bool, meta.pages)}
	if err := w.tree(meta.root, boltRange{}, 0, w.bucket); err != nil {
		return err
	}
	return w.freelist(meta.freelist)
}

type boltMetaPage struct {
	pageSize    uint32
	root        uint64 // page of the tree of buckets
	freelist    uint64 // page, or boltNoFreelist
	pages       uint64 // high-water mark
	transaction uint64 // the meta page with the higher one counts
}

func boltMetaAt(r io.ReaderAt, offset int64) (boltMetaPage, error) {
	var page [boltHeader + boltMeta]byte
	if _, err := r.ReadAt(page[:], offset); err != nil {
		return boltMetaPage{}, err
	}
	b := page[boltHeader:]
	sum := fnv.New64a()
	sum.Write(b[:boltMeta-8])
	m := boltMetaPage{
		pageSize:    binary.NativeEndian.Uint32(b[8:]),
		root:        binary.NativeEndian.Uint64(b[16:]),
		freelist:    binary.NativeEndian.Uint64(b[32:]),
		pages:       binary.NativeEndian.Uint64(b[40:]),
		transaction: binary.NativeEndian.Uint64(b[48:]),
	}
	switch {
	case binary.NativeEndian.Uint32(b) != boltMagic:
		return m, errors.New("not a bolt file")
	case binary.NativeEndian.Uint64(b[boltMeta-8:]) != sum.Sum64():
		return m, errors.New("its checksum does not match")
	case m.pageSize < boltMinPage || m.pageSize > boltMaxPage:
		return m, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, nil
}
