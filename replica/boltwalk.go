package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// boltWalk visits every page that a bolt file uses, once.
type boltWalk struct {
	file     io.ReaderAt
	pageSize uint64
	seen     []bool // by page number, up to the high-water mark
}

// boltPage is a page with the overflow pages behind it, or an inline page.
type boltPage struct {
	flags uint16
	count uint16
	body  []byte // what follows the header
}

// boltItem is an element of a page.
type boltItem struct {
	key, value []byte
	flags      uint32 // of a leaf's
	child      uint64 // of a branch's: page
}

// boltRange is where the keys of a page must lie: from low on and below high. A nil high is no bound.
type boltRange struct{ low, high []byte }

func (r boltRange) holds(items []boltItem) bool {
	if len(items) == 0 {
		return true
	}
	return bytes.Compare(items[0].key, r.low) >= 0 && (r.high == nil || bytes.Compare(items[len(items)-1].key, r.high) < 0)
}

// page reads a page and marks it as seen.
func (w *boltWalk) page(number uint64) (boltPage, error) {
	last := uint64(len(w.seen))
	if number < boltFirstPage || number >= last {
		return boltPage{}, fmt.Errorf("page %d is referred to, but pages go from %d to %d", number, boltFirstPage, last-1)
	}
	var head [boltHeader]byte
	offset := int64(number * w.pageSize)
	if _, err := w.file.ReadAt(head[:], offset); err != nil {
		return boltPage{}, err
	}
	if says := binary.NativeEndian.Uint64(head[:]); says != number {
		return boltPage{}, fmt.Errorf("page %d says that it is page %d", number, says)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if overflow >= last-number {
		return boltPage{}, fmt.Errorf("page %d has %d more behind it, beyond the last one, %d", number, overflow, last-1)
	}
	for i := number; i <= number+overflow; i++ {
		if w.seen[i] {
			return boltPage{}, fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	p := boltPage{
		flags: binary.NativeEndian.Uint16(head[8:]),
		count: binary.NativeEndian.Uint16(head[10:]),
		body:  make([]byte, (overflow+1)*w.pageSize-boltHeader), // no longer than the file
	}
	_, err := w.file.ReadAt(p.body, offset+boltHeader)
	return p, err
}

// tree visits the pages below a branch or leaf, and calls visit for the elements of the leaves.
func (w *boltWalk) tree(number uint64, keys boltRange, depth int, visit func(boltItem) error) error {
	if depth > boltMaxDepth {
		return fmt.Errorf("page %d is deeper in its tree than %d", number, boltMaxDepth)
	}
	p, err := w.page(number)
	if err != nil {
		return err
	}
	items, used, err := p.items()
	if err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	if uint64(len(p.body))-used > w.pageSize {
		return fmt.Errorf("page %d has more pages behind it than its content takes", number)
	}
	if !keys.holds(items) {
		return fmt.Errorf("page %d has keys that belong to another page", number)
	}
	if p.flags == boltFlagBranch && len(items) == 0 {
		return fmt.Errorf("page %d is a branch without children", number)
	}
	for i, item := range items {
		if p.flags == boltFlagLeaf {
			err = visit(item)
		} else {
			below := boltRange{item.key, keys.high}
			if i+1 < len(items) {
				below.high = items[i+1].key
			}
			err = w.tree(item.child, below, depth+1, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// items returns what a branch or leaf holds and how many bytes of the body that takes.
func (p boltPage) items() (items []boltItem, used uint64, err error) {
	if p.flags != boltFlagBranch && p.flags != boltFlagLeaf {
		return nil, 0, fmt.Errorf("neither branch nor leaf, but %#x", p.flags)
	}
	room := uint64(len(p.body))
	used = uint64(p.count) * boltElement
	if used > room {
		return nil, 0, fmt.Errorf("%d elements do not fit into it", p.count)
	}
	items = make([]boltItem, p.count)
	for i := range items {
		start := uint64(i) * boltElement
		var field [4]uint32
		for j := range field {
			field[j] = binary.NativeEndian.Uint32(p.body[start+uint64(j)*4:])
		}
		item, pos, ksize, vsize := boltItem{}, field[0], uint64(field[1]), uint64(0)
		if p.flags == boltFlagLeaf {
			item.flags, pos, ksize, vsize = field[0], field[1], uint64(field[2]), uint64(field[3])
		} else {
			item.child = binary.NativeEndian.Uint64(p.body[start+8:])
		}
		if start+uint64(pos) != used || ksize == 0 || used+ksize+vsize > room {
			return nil, 0, fmt.Errorf("element %d of %d is not where it belongs, or too long", i+1, p.count)
		}
		item.key, item.value = p.body[used:used+ksize], p.body[used+ksize:used+ksize+vsize]
		if i > 0 && bytes.Compare(items[i-1].key, item.key) >= 0 {
			return nil, 0, fmt.Errorf("keys %d and %d of %d are not in order", i, i+1, p.count)
		}
		items[i], used = item, used+ksize+vsize
	}
	return items, used, boltZeros(p.body[used:])
}

func boltZeros(rest []byte) error {
	for _, b := range rest {
		if b != 0 {
			return errors.New("there is more behind its content")
		}
	}
	return nil
}

// boltKeys are the buckets of raft-boltdb and raft-wal, and the keys that may be in them: nil for the indexes of a log. To
// forget a vote because a bit of its name has flipped would be silent.
var boltKeys = map[string][]string{
	"logs":     nil,
	"conf":     {"CurrentTerm", "LastVoteTerm", "LastVoteCand"},
	"wal-meta": {"m"},
	"stable":   {}, // term and vote are in a file of their own
}

// boltIndexSize is the length of a log's keys.
const boltIndexSize = 8

// bucket visits what an element of the root leads to.
func (w *boltWalk) bucket(item boltItem) error {
	keys, known := boltKeys[string(item.key)]
	if !known {
		return fmt.Errorf("no bucket is called %q", item.key)
	}
	value := func(v boltItem) error {
		if v.flags != 0 || keys == nil && len(v.key) != boltIndexSize || keys != nil && !slices.Contains(keys, string(v.key)) {
			return fmt.Errorf("bucket %q holds no key %q with flags %#x", item.key, v.key, v.flags)
		}
		return nil
	}
	if item.flags != boltIsBucket || len(item.value) < boltBucket {
		return fmt.Errorf("%q is not a bucket", item.key)
	}
	root, inline := binary.NativeEndian.Uint64(item.value), item.value[boltBucket:]
	if root != 0 {
		if len(inline) > 0 {
			return fmt.Errorf("bucket %q has both a page and an inline page", item.key)
		}
		return w.tree(root, boltRange{}, 0, value)
	}
	if len(inline) < boltHeader {
		return fmt.Errorf("bucket %q has neither a page nor an inline page", item.key)
	}
	p := boltPage{
		flags: binary.NativeEndian.Uint16(inline[8:]),
		count: binary.NativeEndian.Uint16(inline[10:]),
		body:  inline[boltHeader:],
	}
	items, used, err := p.items()
	if err != nil {
		return fmt.Errorf("inline page of bucket %q: %w", item.key, err)
	}
	number, overflow := inline[:8], inline[12:boltHeader]
	if p.flags != boltFlagLeaf || used != uint64(len(p.body)) || boltZeros(number) != nil || boltZeros(overflow) != nil {
		return fmt.Errorf("inline page of bucket %q: its header does not fit its content", item.key)
	}
	for _, item := range items {
		if err := value(item); err != nil {
			return err
		}
	}
	return nil
}

// freelist verifies the list of free pages, after the used ones have been seen: bolt would write to them.
func (w *boltWalk) freelist(number uint64) error {
	if number == boltNoFreelist {
		return nil
	}
	p, err := w.page(number)
	if err != nil {
		return err
	}
	count, list := uint64(p.count), p.body
	if p.count == boltManyFree {
		count, list = binary.NativeEndian.Uint64(list), list[8:]
	}
	if p.flags != boltFlagFreelist || count > uint64(len(list))/8 {
		return fmt.Errorf("page %d is not a free list", number)
	}
	last := boltFirstPage - 1
	for i := range count {
		free := binary.NativeEndian.Uint64(list[i*8:])
		if free <= last || free >= uint64(len(w.seen)) || w.seen[free] {
			return fmt.Errorf("page %d lists page %d as free, and it is not", number, free)
		}
		last = free
	}
	if err := boltZeros(list[count*8:]); err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	return nil
}
