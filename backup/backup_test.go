package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

// state is a small one with a value, a directory, a lock, and groups in the catalogue.
func state(t testing.TB, groups ...int) *fsm.Machine {
	t.Helper()
	m := fsm.New()
	ops := []fsm.Op{
		&fsm.LeaderStart{Term: 3, Node: "n1"},
		&fsm.Set{Key: []byte("k"), Value: []byte("v")},
		&fsm.MakeDir{Key: []byte("d")},
		&fsm.AcquireLock{Key: []byte("l"), Owner: fsm.Owner{1}, Lease: 1000},
	}
	for _, id := range groups {
		ops = append(ops, &fsm.AddGroup{ID: id, Everywhere: true, Founders: []fsm.Founder{{ID: "n1", Address: "h:1", Voter: true}}})
	}
	for i, op := range ops {
		data := op.AppendTo(make([]byte, fsm.HeaderSize))
		fsm.SealEntry(data, fsm.Header{Term: 3, ClusterMillis: 5}, 1)
		e, err := fsm.OpenEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		e.Index, e.LogTerm = uint64(i+1), 3
		if _, err := m.Apply(&e, nil); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

var taken = time.UnixMilli(1_700_000_000_123)

func header(id int) Header {
	return Header{Cluster: "c1", Node: "n2", Release: "0.1.0", Group: id, Taken: taken}
}

// groupOf is what a node sends.
func groupOf(t testing.TB, id int, v fsm.View) []byte {
	t.Helper()
	g, err := NewGroup(header(id), v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := g.Write(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != g.Len() {
		t.Fatalf("%d bytes, and %d were announced", b.Len(), g.Len())
	}
	return b.Bytes()
}

func fileOf(t testing.TB, groups ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if _, _, err := w.Add(bytes.NewReader(g)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// load reads a file as restore does.
func load(r io.Reader) (headers []Header, states []fsm.View, sum [32]byte, err error) {
	f, err := NewReader(r)
	if err != nil {
		return nil, nil, sum, err
	}
	for {
		h, m, err := f.Next()
		if errors.Is(err, io.EOF) {
			return headers, states, f.Sum(), nil
		}
		if err != nil {
			return nil, nil, sum, err
		}
		headers, states = append(headers, h), append(states, m.View())
	}
}

func TestABackupComesBackAsItWas(t *testing.T) {
	m := state(t, 7, 200)
	v := m.View()
	file := fileOf(t, groupOf(t, 0, v), groupOf(t, 7, state(t).View()), groupOf(t, 200, state(t).View()))
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(file), "by the byte": iotest.OneByteReader(bytes.NewReader(file)), "with the end beside the last byte": iotest.DataErrReader(bytes.NewReader(file)),
	} {
		headers, states, sum, err := load(r)
		if err != nil || len(headers) != 3 {
			t.Fatalf("%s: %d groups, %v", name, len(headers), err)
		}
		want := header(0)
		want.Index, want.Term, want.Digest, want.Size = v.Index(), v.Term(), v.Digest(), headers[0].Size
		if !headers[0].Taken.Equal(taken) {
			t.Errorf("%s: taken at %v", name, headers[0].Taken)
		}
		want.Taken = headers[0].Taken
		if headers[0] != want || states[0].Digest() != v.Digest() || states[0].Index() != v.Index() {
			t.Errorf("%s: %+v, want %+v", name, headers[0], want)
		}
		if headers[1].Group != 7 || headers[2].Group != 200 || states[1].Nodes() != 3 || sum != [32]byte(file[len(file)-32:]) {
			t.Errorf("%s: %+v", name, headers)
		}
	}
	seen, err := inspect(bytes.NewReader(file))
	if err != nil || fmt.Sprint(seen) != "[0 1 7 1 200 1]" {
		t.Errorf("inspect: %v, %v", seen, err)
	}
}

// inspect reads a file without holding a state, and returns for each group its number and how many values it has.
func inspect(r io.Reader) (seen []int, err error) {
	f, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	for {
		h, info, err := f.Inspect()
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return nil, err
		}
		seen = append(seen, h.Group, info.Values)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	group := groupOf(t, 0, state(t, 1).View())
	file := fileOf(t, group, groupOf(t, 1, state(t).View()))
	refused := func(err error) bool { return errors.Is(err, fsm.ErrCorrupt) || errors.Is(err, fsm.ErrNewerVersion) }
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			if _, _, _, err := load(bytes.NewReader(file)); !refused(err) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			if _, err := inspect(bytes.NewReader(file)); !refused(err) {
				t.Fatalf("byte %d, bit %d: inspect: %v", i, bit, err)
			}
			file[i] ^= 1 << bit
		}
	}
	for i := range group {
		group[i] ^= 1
		w, err := NewWriter(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Add(bytes.NewReader(group)); !refused(err) {
			t.Fatalf("byte %d of what a node sends: %v", i, err)
		}
		group[i] ^= 1
	}
}

func TestAnythingButTheWholeIsRefused(t *testing.T) {
	one, other := groupOf(t, 0, state(t, 1).View()), groupOf(t, 1, state(t).View())
	file := fileOf(t, one, other)
	for n := range file {
		if _, _, _, err := load(bytes.NewReader(file[:n])); !errors.Is(err, fsm.ErrCorrupt) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(file), err)
		}
	}
	for n := range one {
		w, err := NewWriter(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Add(bytes.NewReader(one[:n])); !errors.Is(err, fsm.ErrCorrupt) {
			t.Fatalf("the first %d bytes of what a node sends: %v", n, err)
		}
	}
	sole := groupOf(t, 0, state(t).View())
	short := fileOf(t, sole)
	missing := append(bytes.Clone(file[:len(short)-endSize-32]), file[len(file)-endSize-32:]...)
	tests := map[string][]byte{
		"a byte more":           append(bytes.Clone(file), 0),
		"twice":                 append(bytes.Clone(file), file...),
		"a group left out":      missing,
		"a group without file":  one,
		"a snapshot":            one[len(one)-200:],
		"nothing":               {},
		"the end of another":    append(bytes.Clone(short[:len(short)-32]), file[len(file)-32:]...),
		"two groups exchanged":  append(append(append(bytes.Clone(file[:fileHeaderSize]), other...), one...), file[len(file)-endSize-32:]...),
		"another group's state": swapped(t),
	}
	for name, data := range tests {
		if _, _, _, err := load(bytes.NewReader(data)); !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// swapped is a file whose sums are right, with a state that its header does not speak of.
func swapped(t *testing.T) []byte {
	v := state(t).View()
	g, err := NewGroup(header(0), v)
	if err != nil {
		t.Fatal(err)
	}
	h := header(0)
	h.Index, h.Term, h.Size = v.Index(), v.Term(), g.size
	g.header = h.encode() // without the digest
	var b bytes.Buffer
	if err := g.Write(&b); err != nil {
		t.Fatal(err)
	}
	return fileOf(t, b.Bytes())
}

func TestAFileHasTheGroupsOfItsCatalogue(t *testing.T) {
	whole := state(t, 1, 2).View()
	other := state(t).View()
	for name, groups := range map[string][][]byte{
		"none":             {},
		"without group 0":  {groupOf(t, 1, other)},
		"one is missing":   {groupOf(t, 0, whole), groupOf(t, 1, other)},
		"the other is":     {groupOf(t, 0, whole), groupOf(t, 2, other)},
		"out of order":     {groupOf(t, 0, whole), groupOf(t, 2, other), groupOf(t, 1, other)},
		"twice":            {groupOf(t, 0, whole), groupOf(t, 1, other), groupOf(t, 1, other)},
		"one too many":     {groupOf(t, 0, whole), groupOf(t, 1, other), groupOf(t, 2, other), groupOf(t, 3, other)},
		"nobody served it": {groupOf(t, 0, fsm.New().View())},
	} {
		var b bytes.Buffer
		w, err := NewWriter(&b)
		sums := []byte{}
		for _, g := range groups {
			if err == nil {
				_, _, err = w.Add(bytes.NewReader(g))
			}
			sums = append(sums, g[len(g)-32:]...)
		}
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("%s: it was written, %v", name, err)
		}
		if _, _, _, err := load(bytes.NewReader(forged(groups, sums))); !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("%s: it was read, %v", name, err)
		}
	}
}

// forged is a file of any groups, whose sums are right.
func forged(groups [][]byte, sums []byte) []byte {
	var b bytes.Buffer
	w, _ := NewWriter(&b)
	for _, g := range groups {
		b.Write(g)
	}
	w.sums.Write(sums)
	w.groups = len(groups)
	end := append([]byte(endMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint64(end[8:], uint64(len(groups)))
	w.sums.Write(end)
	return append(append(b.Bytes(), end...), w.sums.Sum(nil)...)
}

func TestNewerVersionsAreCalledSo(t *testing.T) {
	file := fileOf(t, groupOf(t, 0, state(t).View()))
	for _, at := range []int{8, fileHeaderSize + 8} {
		newer := bytes.Clone(file)
		binary.LittleEndian.PutUint32(newer[at:], 2)
		if _, _, _, err := load(bytes.NewReader(newer)); !errors.Is(err, fsm.ErrNewerVersion) {
			t.Errorf("version at %d: %v", at, err)
		}
	}
}

func TestAClaimedSizeCostsNothing(t *testing.T) {
	h := header(0)
	h.Size = math.MaxInt64
	data := append(h.encode(), "not so much"...)
	allocated := testing.AllocsPerRun(1, func() {
		w, err := NewWriter(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Add(bytes.NewReader(data)); !errors.Is(err, fsm.ErrCorrupt) {
			t.Fatalf("%v", err)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestErrorsOfReadersAndWritersComeThrough(t *testing.T) {
	broken := errors.New("broken")
	v := state(t).View()
	g, err := NewGroup(header(0), v)
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(0); n < g.Len(); n += 50 {
		if err := g.Write(&failing{n, broken}); !errors.Is(err, broken) {
			t.Fatalf("writing after %d bytes: %v", n, err)
		}
	}
	file := fileOf(t, groupOf(t, 0, v))
	for n := range file {
		r := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))
		if _, _, _, err := load(r); !errors.Is(err, broken) {
			t.Fatalf("reading after %d bytes: %v", n, err)
		}
	}
	h := header(0)
	h.Release = strings.Repeat("x", maxHeaderSize)
	if _, err := NewGroup(h, v); err == nil {
		t.Error("a header that no reader takes was made")
	}
}

// failing fails after so many bytes.
type failing struct {
	left int64
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= int64(len(p)); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// Whatever bytes come: no panic, and what is taken for a backup is one to the byte.
func FuzzReader(f *testing.F) {
	one := groupOf(f, 0, state(f).View())
	f.Add(fileOf(f, one))
	f.Add(fileOf(f, groupOf(f, 0, state(f, 1).View()), groupOf(f, 1, state(f).View())))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _, err := load(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, fsm.ErrCorrupt) && !errors.Is(err, fsm.ErrNewerVersion) {
				t.Fatal(err)
			}
			return
		}
		var groups [][]byte
		file, err := NewReader(bytes.NewReader(data))
		for at := fileHeaderSize; err == nil; {
			var h Header
			if h, _, err = file.Inspect(); err != nil {
				break
			}
			size := len(h.encode()) + int(h.Size) + 32
			groups = append(groups, data[at:][:size])
			at += size
		}
		if again := fileOf(t, groups...); !bytes.Equal(again, data) {
			t.Fatalf("%x came back as %x", data, again)
		}
	})
}
