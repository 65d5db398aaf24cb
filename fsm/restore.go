package fsm

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// ReadSnapshot reads what WriteSnapshot wrote, to the end of r, and returns a machine with that state. It verifies all:
// checksums, counts, the order of keys, that every node has its parent and every directory its number of children. On
// any doubt it returns no machine and an error that wraps ErrCorrupt or ErrNewerVersion, or is the reader's own. It
// allocates in proportion to what it has read, whatever sizes the snapshot claims.
func ReadSnapshot(r io.Reader) (*Machine, error) {
	b := newBuilder(xxhash)
	info, err := readSnapshot(r, b.add)
	if err == nil {
		err = b.finish(info)
	}
	if err != nil {
		return nil, fmt.Errorf("fsm: read snapshot: %w", err)
	}
	return b.m, nil
}

// InspectSnapshot reads a snapshot, calls fn, which may be nil, with every node in it, the root first, and returns what
// it says about itself. Each node is good until fn returns. It verifies all that does not take holding the
// whole state: that parents exist and children are counted right is for ReadSnapshot to see. The error is fn's, or
// as for ReadSnapshot.
func InspectSnapshot(r io.Reader, fn func(*Node) error) (SnapshotInfo, error) {
	info, err := readSnapshot(r, func(rec *record, _ SnapshotInfo) error {
		if fn == nil {
			return nil
		}
		return fn(rec.node(rec.key, alias(rec.value)))
	})
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("fsm: inspect snapshot: %w", err)
	}
	return info, nil
}

// readSnapshot verifies the stream, the keys' order and the counts, and passes each record on.
func readSnapshot(r io.Reader, add func(*record, SnapshotInfo) error) (SnapshotInfo, error) {
	s := snapshotReader{r: r, sum: sha256.New()}
	info, catalogued, err := s.header()
	if err != nil {
		return info, err
	}
	var known catalog
	var last []byte // the tree key before
	values, nodes := 0, -1
	for {
		records, err := s.next()
		if err != nil {
			return info, err
		}
		if records == 0 {
			break
		}
		d := decoder{data: s.chunk.Bytes()}
		for ; records > 0 && !d.failed; records-- {
			if catalogued > 0 {
				catalogued--
				if d.catalogRecord(&known, info.Index); d.failed {
					return info, fmt.Errorf("a record of the catalogue is none that can be there: %w", ErrCorrupt)
				}
				info.Groups, info.Leaving = known.groups, known.leaving
				continue
			}
			rec := d.record()
			ordered := rec.depth == 0 && rec.kind == Directory
			if nodes >= 0 {
				ordered = rec.depth > 0 && compareTreeKey(last, &rec) < 0
			}
			if d.failed || !ordered || rec.updated.Index > info.Index || rec.rest.children > info.Nodes || rec.token() > info.Tokens {
				return info, fmt.Errorf("record %d is no node that can be there: %w", nodes+1, ErrCorrupt)
			}
			if err := add(&rec, info); err != nil {
				return info, err
			}
			last = appendTreeKey(last[:0], rec.key, rec.depth)
			nodes++
			if rec.kind == Value {
				values++
			}
		}
		if records > 0 || d.at != len(d.data) {
			return info, fmt.Errorf("a chunk has another number of records than it says: %w", ErrCorrupt)
		}
	}
	if values != info.Values || nodes != info.Nodes {
		return info, fmt.Errorf("it has %d values in %d nodes and says %d in %d: %w", values, nodes, info.Values, info.Nodes, ErrCorrupt)
	}
	return info, s.final(&info)
}

// compareTreeKey compares a tree key with that of rec.
func compareTreeKey(key []byte, rec *record) int {
	if depth := int(key[0])<<8 | int(key[1]); depth != rec.depth {
		return depth - rec.depth
	}
	return strings.Compare(alias(key[2:]), rec.key)
}

// builder makes a machine from records in tree order.
type builder struct {
	m      *Machine
	places []place

	// In tree order the children of a directory are neighbours, so counting them takes one counter.
	dir      *Node // whose children are being read
	counted  int   // of dir
	children int   // that all directories claim to have, without the root's
}

func newBuilder(hash func(string) uint64) *builder {
	b := &builder{m: &Machine{}}
	b.m.init(hash)
	return b
}

func (b *builder) add(rec *record, info SnapshotInfo) error {
	if rec.depth == 0 {
		b.m.root = rec.node("", "")
		b.dir = b.m.root
		return nil
	}
	if parent := above(rec.key); parent != b.dir.Key {
		if err := b.closeDir(); err != nil {
			return err
		}
		b.dir = b.m.find(parent)
		if b.dir == nil || b.dir.Kind != Directory {
			return fmt.Errorf("a node has no parent: %w", ErrCorrupt)
		}
	}
	b.counted++
	if (rec.kind == Lock || rec.rest.owner != Owner{}) && b.m.underTemp(rec.path) != nil {
		return fmt.Errorf("a temporary node or a lock below a temporary directory: %w", ErrCorrupt)
	}

	key := newTreeKey(rec.key, rec.depth)
	n := rec.node(key[2:], string(rec.value))
	c, hash := &cell{n, b.m.epoch}, b.m.hash(n.Key)
	b.m.tree.Load(key, c)
	b.m.cells.insert(hash, c)
	if n.Kind == Value {
		b.m.values++
	}
	b.places = append(b.places, place{position(n.Kind, hash), n.Key})
	if at := n.due(); at > 0 {
		b.m.deadlines.Set(due{at, n.Key})
	}
	b.children += n.Children()
	return nil
}

// closeDir compares how many children a directory claims with how many there were.
func (b *builder) closeDir() error {
	if b.dir.Children() != b.counted {
		return fmt.Errorf("a directory has %d children and says %d: %w", b.counted, b.dir.Children(), ErrCorrupt)
	}
	b.counted = 0
	return nil
}

// finish closes the last directory, makes the scan order, and takes over what the header says.
func (b *builder) finish(info SnapshotInfo) error {
	if err := b.closeDir(); err != nil {
		return err
	}
	// Those with children are right, so any surplus is claimed by directories without.
	if b.m.root.Children()+b.children != info.Nodes {
		return fmt.Errorf("directories claim children that are not there: %w", ErrCorrupt)
	}
	less := func(a, b place) int {
		switch {
		case a.position < b.position:
			return -1
		case a.position > b.position:
			return 1
		}
		return strings.Compare(a.key, b.key)
	}
	slices.SortFunc(b.places, less)
	for _, p := range b.places {
		b.m.scan.Load(p)
	}
	b.m.tree, b.m.scan = trimMap(b.m.tree), trimScan(b.m.scan)
	b.m.index, b.m.logTerm = info.Index, info.Term
	b.m.leaderTerm, b.m.clusterMillis = info.LeaderTerm, info.ClusterMillis
	b.m.tokens = info.Tokens
	b.m.catalog = &catalog{info.Groups, info.Leaving, info.Index}
	return nil
}

// Loading in order leaves every tree page half full in memory twice its size. A shared page is copied at the first
// change, at its right size; trimMap and trimScan ask for that at once, which saves a third of the index.
func trimMap(t *btree.Map[string, *cell]) *btree.Map[string, *cell] {
	t = t.Copy()
	t.ScanMut(func(string, *cell) bool { return true })
	return t
}

func trimScan(t *btree.BTreeG[place]) *btree.BTreeG[place] {
	t = t.Copy()
	t.ScanMut(func(place) bool { return true })
	return t
}
