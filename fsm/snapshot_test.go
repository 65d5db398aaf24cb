package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dtkv/dtkv/lock"
)

func snapshotOf(t testing.TB, v View) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := WriteSnapshot(&file, v); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// varied is a state with every kind of node, deep paths, odd keys, and values beyond a chunk.
func varied(t testing.TB) *lab {
	l := world(t)
	l.header.ClusterMillis = 77
	l.must(&LeaderStart{Term: 1}, set("big", strings.Repeat("x", 3*chunkSize)), set("\x00\xff\r\n", "\x00"), &MakeDir{Key: []byte("p.q.r.s.t"), Parents: true},
		set("p-", ""), mkdir("p q"), set("p q.x", "1"), set("p.q.r.s.t.v", ""), set(strings.Repeat("k", MaxKeySize), "long"), set("n", "-5"))
	for i := range 3000 {
		l.must(set(fmt.Sprintf("p.q.many-%d", i), strings.Repeat("v", i%100)))
	}
	return l
}

func TestASnapshotRestoresTheWholeState(t *testing.T) {
	for name, l := range map[string]*lab{"nothing": newLab(t), "a leader only": newLab(t).must(&LeaderStart{}), "all kinds": varied(t), "deadlines and locks": timed(t)} {
		t.Run(name, func(t *testing.T) {
			data := snapshotOf(t, l.Freeze())
			m, err := ReadSnapshot(iotest.HalfReader(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			was, is := l.View(), m.View()
			audit(t, is)
			if was.Digest() != is.Digest() || was.Index() != is.Index() || was.Term() != is.Term() || was.LeaderTerm() != is.LeaderTerm() ||
				was.ClusterMillis() != is.ClusterMillis() || was.Len() != is.Len() || was.Nodes() != is.Nodes() {
				t.Errorf("was index %d, term %d, %d nodes; is %d, %d, %d", was.Index(), was.Term(), was.Nodes(), is.Index(), is.Term(), is.Nodes())
			}
			if again := snapshotOf(t, is); !bytes.Equal(again, data) {
				t.Error("a snapshot of what was restored has other bytes")
			}
			order := func(v View) (keys string) {
				v.Scan(0, 1<<30, func(n *Node) { keys += n.Key + " " })
				return keys
			}
			if order(was) != order(is) {
				t.Error("a scan would go on elsewhere")
			}

			var keys int
			info, err := InspectSnapshot(bytes.NewReader(data), func(n *Node) error {
				got, ok := was.Lookup([]byte(n.Key))
				if !ok || !sameNode(got, n) {
					t.Errorf("inspect shows %v, want %v", n, got)
				}
				keys++
				return nil
			})
			sum := sha256.Sum256(data[:len(data)-chunkHeaderSize-finalSize])
			want := SnapshotInfo{snapshotVersion, was.Index(), was.Term(), was.LeaderTerm(), was.ClusterMillis(), was.s.tokens, was.Len(), was.Nodes(), sum, was.Groups(), was.Leaving()}
			if err != nil || !reflect.DeepEqual(info, want) || keys != was.Nodes()+1 {
				t.Errorf("inspect: %+v, %v, %d nodes; want %+v", info, err, keys, want)
			}
		})
	}
}

func sameNode(a, b *Node) bool {
	first, second := thingOf(a), thingOf(b)
	locks := first.lock.String() == second.lock.String()
	first.lock, second.lock = nil, nil
	return locks && first == second && a.Children() == b.Children() && a.Created == b.Created && a.Updated == b.Updated
}

func TestARestoredMachineGoesOnLikeTheOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	l := varied(t)
	other := &lab{t, restored(t, l.Machine), l.header}
	for range 200 {
		ops := randomOps(rng, 5)
		l.all(ops...)
		other.all(ops...)
	}
	if l.View().Digest() != other.View().Digest() {
		t.Error("they have parted")
	}
	audit(t, other.View())
}

func TestEveryFlippedBitOfASnapshotIsNoticed(t *testing.T) {
	data := snapshotOf(t, timed(t).View())
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			m, err := ReadSnapshot(bytes.NewReader(data))
			newer := i >= 8 && i < 12 && errors.Is(err, ErrNewerVersion)
			if !errors.Is(err, ErrCorrupt) && !newer || m != nil {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			if _, err := InspectSnapshot(bytes.NewReader(data), nil); !errors.Is(err, ErrCorrupt) && !newer {
				t.Fatalf("byte %d, bit %d: inspect: %v", i, bit, err)
			}
			data[i] ^= 1 << bit
		}
	}
	for n := range data {
		if m, err := ReadSnapshot(bytes.NewReader(data[:n])); !errors.Is(err, ErrCorrupt) || m != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := ReadSnapshot(bytes.NewReader(append(data, 0))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestLostAndExchangedChunksAreNoticed(t *testing.T) {
	data := snapshotOf(t, varied(t).View())
	var chunks [][]byte
	for at := snapshotHeaderSize; at < len(data); {
		end := at + chunkHeaderSize + int(binary.LittleEndian.Uint32(data[at:]))
		chunks = append(chunks, data[at:end])
		at = end
	}
	if len(chunks) < 4 {
		t.Fatalf("only %d chunks", len(chunks))
	}
	for i := range chunks {
		for name, list := range map[string][][]byte{
			"lost":      append(append([][]byte{data[:snapshotHeaderSize]}, chunks[:i]...), chunks[i+1:]...),
			"doubled":   append(append([][]byte{data[:snapshotHeaderSize]}, chunks[:i+1]...), chunks[i:]...),
			"moved up":  append(append([][]byte{data[:snapshotHeaderSize], chunks[i]}, chunks[:i]...), chunks[i+1:]...),
			"all after": append([][]byte{data[:snapshotHeaderSize]}, chunks[i:]...),
		} {
			if file := bytes.Join(list, nil); !bytes.Equal(file, data) {
				if _, err := ReadSnapshot(bytes.NewReader(file)); !errors.Is(err, ErrCorrupt) {
					t.Errorf("chunk %d %s: %v", i, name, err)
				}
			}
		}
	}
}

func TestANewerSnapshotIsRefusedAsNewerAndNotAsCorrupt(t *testing.T) {
	data := snapshotOf(t, world(t).View())
	data[8] = snapshotVersion + 1
	if _, err := ReadSnapshot(bytes.NewReader(data[:12])); !errors.Is(err, ErrNewerVersion) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// forged writes a snapshot of any nodes, with all checksums right.
func forged(index uint64, values, nodes int, records ...*Node) []byte {
	var s state
	s.init(xxhash)
	s.index, s.values, s.tokens = index, values, 9
	header := appendSnapshotHeader(nil, View{&s})
	binary.LittleEndian.PutUint64(header[64:], uint64(nodes))
	binary.LittleEndian.PutUint32(header[12:], headerSum(header))
	var file bytes.Buffer
	w := snapshotWriter{w: &file, sum: sha256.New()}
	w.write(header)
	for _, n := range records {
		w.add(n)
	}
	w.flush()
	final := binary.LittleEndian.AppendUint64(nil, uint64(values))
	final = binary.LittleEndian.AppendUint64(final, uint64(nodes))
	w.writeChunk(append(make([]byte, chunkHeaderSize), w.sum.Sum(final)...), 0)
	return file.Bytes()
}

// Right checksums over a wrong state, as from a writer with a defect.
func TestAStateThatCannotBeIsRefused(t *testing.T) {
	at := func(i uint64) Stamp { return Stamp{Index: i} }
	dir := func(key string, children int) *Node {
		return &Node{Key: key, Kind: Directory, rest: &rest{children: children}, Created: at(1), Updated: at(5)}
	}
	value := func(key string) *Node { return &Node{Key: key, Kind: Value, Created: at(1), Updated: at(5)} }
	root := func(children int) *Node { return dir("", children) }
	with := func(n *Node, r rest) *Node { n.rest = &r; return n }
	locked := func(key string, token uint64) *Node {
		q := new(lock.Queue)
		q.Acquire(1, lock.Request{Owner: alice}, token)
		q.Acquire(1, lock.Request{Owner: bob, Wait: 5}, token)
		return &Node{Key: key, Kind: Lock, Created: at(1), Updated: at(5), rest: &rest{lock: q}}
	}
	tests := []struct {
		name          string
		values, nodes int
		records       []*Node
		ok            bool
	}{
		{"a state that can be", 2, 4, []*Node{root(2), dir("a", 1), value("b"), dir("a.c", 1), value("a.c.d")}, true},
		{"no root", 1, 1, []*Node{value("a")}, false},
		{"no record at all", 0, 0, nil, false},
		{"a root that is a value", 0, 0, []*Node{{Kind: Value}}, false},
		{"two roots", 0, 1, []*Node{root(0), root(0)}, false},
		{"keys out of order", 2, 2, []*Node{root(2), value("b"), value("a")}, false},
		{"a key twice", 2, 2, []*Node{root(2), value("a"), value("a")}, false},
		{"deep before high", 2, 3, []*Node{root(2), dir("a", 1), value("a.b"), value("b")}, false},
		{"no parent", 1, 1, []*Node{root(0), value("a.b")}, false},
		{"a value as parent", 2, 2, []*Node{root(1), value("a"), value("a.b")}, false},
		{"too many children said of the root", 1, 1, []*Node{root(2), value("a")}, false},
		{"too few children said of the root", 1, 1, []*Node{root(0), value("a")}, false},
		{"children said of an empty directory", 0, 1, []*Node{root(1), dir("a", 1)}, false},
		{"children said of the wrong directory", 1, 3, []*Node{root(2), dir("a", 0), dir("b", 1), value("a.x")}, false},
		{"more children than nodes", 0, 1, []*Node{root(1), dir("a", 1<<62)}, false},
		{"a negative number of children", 0, 1, []*Node{root(1), dir("a", -1)}, false},
		{"more values said than there are", 2, 2, []*Node{root(2), value("a"), dir("b", 0)}, false},
		{"fewer nodes said than there are", 1, 1, []*Node{root(2), value("a"), dir("b", 0)}, false},
		{"a kind that nobody has", 0, 1, []*Node{root(1), {Key: "a", Kind: 4, Created: at(1), Updated: at(5)}}, false},
		{"a deadline", 1, 1, []*Node{root(1), with(value("a"), rest{deadline: 1})}, true},
		{"a deadline and an owner", 1, 2, []*Node{root(2), with(value("a"), rest{deadline: 1, owner: bob}), with(dir("b", 0), rest{deadline: 1, owner: bob})}, true},
		{"an owner without a deadline", 1, 1, []*Node{root(1), with(value("a"), rest{owner: bob})}, false},
		{"a directory with a deadline and no owner", 0, 1, []*Node{root(1), with(dir("a", 0), rest{deadline: 1})}, false},
		{"a root with a deadline", 0, 0, []*Node{with(root(0), rest{deadline: 1, owner: bob})}, false},
		{"a value in a temporary directory", 1, 2, []*Node{root(1), with(dir("a", 1), rest{children: 1, deadline: 1, owner: bob}), value("a.v")}, true},
		{"a temporary value in a temporary directory", 1, 2, []*Node{
			root(1), with(dir("a", 1), rest{children: 1, deadline: 1, owner: bob}), with(value("a.v"), rest{deadline: 1, owner: bob}),
		}, false},
		{"a lock far below a temporary directory", 0, 3, []*Node{
			root(1), with(dir("a", 1), rest{children: 1, deadline: 1, owner: bob}), dir("a.b", 1), locked("a.b.l", 1),
		}, false},
		{"a lock", 0, 1, []*Node{root(1), locked("a", 9)}, true},
		{"a lock with a token that was never handed out", 0, 1, []*Node{root(1), locked("a", 10)}, false},
		{"a lock with a deadline of its own", 0, 1, []*Node{root(1), with(locked("a", 1), rest{lock: locked("a", 1).Lock(), deadline: 1})}, false},
		{"a lock with an owner of its own", 0, 1, []*Node{root(1), with(locked("a", 1), rest{lock: locked("a", 1).Lock(), deadline: 1, owner: bob})}, false},
		{"a bad key", 1, 1, []*Node{root(1), value("a.")}, false},
		{"updated before it was created", 1, 1, []*Node{root(1), {Key: "a", Kind: Value, Created: at(5), Updated: at(4)}}, false},
		{"updated after the snapshot", 1, 1, []*Node{root(1), {Key: "a", Kind: Value, Created: at(1), Updated: at(6)}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ReadSnapshot(bytes.NewReader(forged(5, tt.values, tt.nodes, tt.records...)))
			if tt.ok && err != nil || !tt.ok && (!errors.Is(err, ErrCorrupt) || m != nil) {
				t.Errorf("got %v", err)
			}
			if tt.ok {
				audit(t, m.View())
			}
		})
	}
}

func TestTheErrorOfTheStreamComesThrough(t *testing.T) {
	broken := errors.New("the disk is gone")
	l := varied(t)
	data := snapshotOf(t, l.View())
	for _, n := range []int{0, 10, 50, 80, 100_000, len(data) - 10, len(data)} {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		if _, err := ReadSnapshot(r); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("a reader that fails at %d: %v", n, err)
		}
		if err := WriteSnapshot(&failing{n, broken}, l.View()); n < len(data) && !errors.Is(err, broken) {
			t.Errorf("a writer that fails at %d: %v", n, err)
		}
	}
	if _, err := InspectSnapshot(bytes.NewReader(data), func(*Node) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the caller's own: %v", err)
	}
}

type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// A chunk that claims four gigabytes costs what was sent of it.
func TestAClaimedSizeCostsNothing(t *testing.T) {
	data := snapshotOf(t, world(t).View())
	binary.LittleEndian.PutUint32(data[snapshotHeaderSize:], 1<<32-1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadSnapshot(bytes.NewReader(data)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for %d sent", used, len(data))
	}
}

func TestTheWriterHoldsOneChunk(t *testing.T) {
	l := newLab(t)
	ops := make([]Op, 100)
	for i := range 200 {
		for j := range ops {
			ops[j] = set(fmt.Sprintf("k%d", i*100+j), strings.Repeat("v", 1000))
		}
		l.all(ops...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := WriteSnapshot(io.Discard, l.View()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for a state of 20 MB", used)
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add(snapshotOf(f, New().View()))
	f.Add(snapshotOf(f, world(f).View()))
	f.Add(snapshotOf(f, timed(f).View()))
	f.Add(snapshotOf(f, newLab(f).must(addGroup(3, "n1", "n2"), &NodeLeaves{"n2", Leaves}).View()))
	f.Add(forged(5, 1, 2, &Node{Kind: Directory, rest: &rest{children: 1}}, &Node{Key: "a", Kind: Directory, rest: &rest{children: 1}}, &Node{Key: "a.b", Kind: Value, Value: "v"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		mendSums(data)
		m, err := ReadSnapshot(bytes.NewReader(data))
		_, errInspect := InspectSnapshot(bytes.NewReader(data), nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerVersion) {
				t.Fatalf("%v", err)
			}
			return
		}
		if errInspect != nil {
			t.Fatalf("inspect: %v", errInspect)
		}
		v := m.View()
		again := snapshotOf(t, v)
		if other := restored(t, m); other.View().Digest() != v.Digest() || other.View().Index() != v.Index() {
			t.Fatal("restored twice, it is another state")
		}
		// A chunk may end anywhere, so only what a writer has chunked comes back as the same bytes.
		if len(again) == len(data) && !bytes.Equal(again, data) && bytes.Equal(again[:snapshotHeaderSize+4], data[:snapshotHeaderSize+4]) {
			t.Fatalf("%x came back as %x", data, again)
		}
		(&lab{t, m, Header{}}).must(&Flush{})
		audit(t, m.View())
	})
}

// mendSums sets the checksums right as far as the bytes are a snapshot, so that the fuzzer gets behind them.
func mendSums(data []byte) {
	le := binary.LittleEndian
	if len(data) < snapshotHeaderSize {
		return
	}
	le.PutUint32(data[12:], headerSum(data[:snapshotHeaderSize]))
	for at := snapshotHeaderSize; at+chunkHeaderSize <= len(data); {
		size := int(le.Uint32(data[at:]))
		end := at + chunkHeaderSize + size
		if end > len(data) {
			return
		}
		if le.Uint32(data[at+4:]) == 0 && size == finalSize {
			sum := sha256.Sum256(data[:at])
			copy(data[at+chunkHeaderSize:], data[56:72])
			copy(data[at+chunkHeaderSize+16:], sum[:])
		}
		le.PutUint32(data[at+8:], chunkSum(data[at:at+chunkHeaderSize], data[at+chunkHeaderSize:end]))
		at = end
	}
}
