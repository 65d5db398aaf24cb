package replica

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const boltTestPage = 1024 // so that a few entries make a tree

// boltImage is a small bolt file with all that a page can be: a branch, leaves, one of them with pages behind it, an
// inline bucket and a free list.
func boltImage(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.db")
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, NoSync: true, BoltOptions: &bbolt.Options{PageSize: boltTestPage}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(12) {
		var logs []*raft.Log
		for j := range uint64(6) {
			logs = append(logs, &raft.Log{Index: i*6 + j + 1, Term: 1, Data: bytes.Repeat([]byte{'d'}, 40)})
		}
		if i == 10 {
			logs[0].Data = bytes.Repeat([]byte{'o'}, 1500)
		}
		if err := store.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		store.Set([]byte("LastVoteCand"), []byte("n1")), store.SetUint64([]byte("CurrentTerm"), 8),
		store.DeleteRange(1, 54), store.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return []byte(read(t, path))
}

// boltContent opens a file as a node does and returns all that it holds, one line for each value. It fails when bolt
// panics.
func boltContent(t *testing.T, path string, image []byte) (lines []string, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("bolt panics: %v", p)
		}
	}()
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := openBolt(path, true)
	if err != nil {
		return nil, err
	}
	// What is written makes bolt rewrite pages of both buckets and take free ones.
	err = errors.Join(store.Set([]byte("New"), nil), store.StoreLog(&raft.Log{Index: math.MaxUint64}), store.Close())
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return lines, db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				lines = append(lines, fmt.Sprintf("%s %s %s", name, k, v))
				return nil
			})
		})
	})
}

// boltPagesInUse tells by page number.
func boltPagesInUse(t *testing.T, image []byte) []bool {
	t.Helper()
	meta, err := boltMetaAt(bytes.NewReader(image), 0)
	if second, _ := boltMetaAt(bytes.NewReader(image), boltTestPage); second.transaction > meta.transaction {
		meta = second
	}
	w := &boltWalk{file: bytes.NewReader(image), pageSize: boltTestPage, seen: make([]bool, meta.pages)}
	if err := errors.Join(err, w.tree(meta.root, boltRange{}, 0, w.bucket), w.freelist(meta.freelist)); err != nil {
		t.Fatal(err)
	}
	w.seen[0], w.seen[1] = true, true
	return w.seen
}

// A flipped bit is refused, or bolt reads what was written. What nothing but our own checksums can tell is a flip within an
// index or a value, and zeros behind the last value of a page that count as part of it: then nothing else has changed.
func TestFlippedBitsOfABoltFileAreRefusedOrHarmless(t *testing.T) {
	image, path := boltImage(t), filepath.Join(t.TempDir(), "flipped.db")
	want, err := boltContent(t, path, image)
	if err != nil || len(want) < 20 {
		t.Fatalf("the file as it was written: %d values, %v", len(want), err)
	}
	refused, same, changed := 0, 0, 0
	used := boltPagesInUse(t, image)
	for i := range image {
		if page := i / boltTestPage; page >= len(used) || !used[page] {
			continue
		}
		image[i] ^= 1 << (i % 8)
		if checkBoltPages(bytes.NewReader(image), uint64(len(image))) != nil {
			refused++
		} else if got, err := boltContent(t, path, image); err != nil {
			t.Fatalf("bit %d of byte %d: bolt refuses it with %v", i%8, i, err)
		} else if n := differentBits(got, want); n > 1 {
			t.Fatalf("bit %d of byte %d: %d bits of the content have changed", i%8, i, n)
		} else if n == 1 {
			changed++
		} else {
			same++
		}
		image[i] ^= 1 << (i % 8)
	}
	t.Logf("refused %d, same content %d, changed within an index or value %d", refused, same, changed)
	if refused < 1000 || same == 0 || changed == 0 {
		t.Error("one of these hardly ever happened")
	}
}

// differentBits counts them. Zeros more or less at the end of a line are not counted, a line more or less is.
func differentBits(got, want []string) int {
	if len(got) != len(want) {
		return math.MaxInt
	}
	n := 0
	for i, a := range got {
		b := want[i]
		size := max(len(a), len(b))
		a, b = a+strings.Repeat("\x00", size-len(a)), b+strings.Repeat("\x00", size-len(b))
		for j := range size {
			n += bits.OnesCount8(a[j] ^ b[j])
		}
	}
	return n
}

func TestARefusedBoltFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	image := boltImage(t)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkBolt(path); err != nil {
		t.Fatalf("an undamaged file: %v", err)
	}
	if err := os.Truncate(path, int64(len(image)/2)); err != nil {
		t.Fatal(err)
	}
	if err := checkBolt(path); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want that %s is damaged", err, path)
	}
	if err := checkBolt(path + ".missing"); err != nil {
		t.Errorf("a file that does not exist: %v", err)
	}
}

// Whatever a log went through, its file is accepted: after each transaction, with entries of all sizes, cut at both ends.
func TestABoltFileIsAcceptedAtAnyTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	store, err := openBolt(path, true)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	first, next := uint64(1), uint64(1)
	for round := range 200 {
		switch random.IntN(8) {
		case 0:
			cut := first + random.Uint64N(next-first+1)
			err, first = store.DeleteRange(first, cut), min(cut+1, next)
		case 1:
			cut := first + random.Uint64N(next-first+1)
			err, next = store.DeleteRange(cut, next), cut
		case 2:
			err = store.SetUint64([]byte("CurrentTerm"), uint64(round))
		case 3:
			err = store.Close()
			if err == nil {
				store, err = openBolt(path, true)
			}
		default:
			var logs []*raft.Log
			for range 1 + random.IntN(300) {
				logs = append(logs, &raft.Log{Index: next, Data: make([]byte, random.IntN(1<<random.IntN(15)))})
				next++
			}
			err = store.StoreLogs(logs)
		}
		if err := errors.Join(err, checkBolt(path)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
