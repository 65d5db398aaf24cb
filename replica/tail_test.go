package replica

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

const testSegment = 32 << 10

// segmentWith writes batches of entries into a new log and returns its directory, its segment file and where the last
// batch begins and ends in it.
func segmentWith(t *testing.T, batches ...[]string) (dir, path string, begin, end int) {
	t.Helper()
	dir = t.TempDir()
	w := openTestWAL(t, dir)
	path = segmentFile(t, dir)
	index := uint64(0)
	for _, batch := range batches {
		var logs []*raft.Log
		for _, data := range batch {
			index++
			l := &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: []byte(data), AppendedAt: time.Unix(1_700_000_000, 0)}
			logs = append(logs, l)
		}
		begin = end
		if err := w.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
		end = len(bytes.TrimRight(read(t, path), "\x00"))
		end = (end + frameHeaderSize - 1) &^ (frameHeaderSize - 1)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, path, begin, end
}

func openTestWAL(t *testing.T, dir string) *wal.WAL {
	t.Helper()
	w, err := wal.Open(dir, wal.WithSegmentSize(testSegment), wal.WithLogger(raftLogger(quietLogger())))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func segmentFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments: %v %v", files, err)
	}
	return files[len(files)-1]
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func text(n int) string { return string(bytes.Repeat([]byte("abcdefg."), n/8+1)[:n]) }

func TestTailRefusesAnyFlippedByte(t *testing.T) {
	dir, path, _, end := segmentWith(t, []string{text(100), text(37)}, []string{text(700)}, []string{text(60), text(1), text(300)})
	good := read(t, path)
	for offset := range end {
		// Bytes 1 to 3 of a header are reserved, bytes of padding are zero: a flip there is damage like any other.
		bad := bytes.Clone(good)
		bad[offset] ^= 0x41
		write(t, path, bad)
		if err := checkTail(dir, quietLogger()); !errors.Is(err, errDamaged) {
			t.Fatalf("a flipped byte at offset %d of %d: got %v, want a refusal", offset, end, err)
		}
	}
	write(t, path, good)
	if err := checkTail(dir, quietLogger()); err != nil {
		t.Fatalf("the untouched segment: %v", err)
	}
}

func TestTailRefusesFlipsBetweenValuesOfZeros(t *testing.T) {
	zeros := string(make([]byte, 3*sectorSize))
	dir, path, begin, _ := segmentWith(t, []string{zeros}, []string{zeros}, []string{text(900)})
	good := read(t, path)
	for offset := 0; offset < begin; offset += 7 {
		bad := bytes.Clone(good)
		bad[offset] ^= 0xff
		write(t, path, bad)
		if err := checkTail(dir, quietLogger()); !errors.Is(err, errDamaged) {
			t.Fatalf("a flipped byte at offset %d: got %v, want a refusal", offset, err)
		}
	}
}

func TestTailWipesTornBatches(t *testing.T) {
	first := []string{text(3000)}
	torn := []string{text(2500), text(900), text(1700)}
	dir, path, begin, end := segmentWith(t, first, torn)
	good := read(t, path)
	zero := func(data []byte, from, to int) []byte {
		data = bytes.Clone(data)
		clear(data[from:to])
		return data
	}
	var cases []struct {
		name string
		data []byte
	}
	add := func(name string, data []byte) {
		cases = append(cases, struct {
			name string
			data []byte
		}{name, data})
	}
	for cut := (begin/sectorSize + 1) * sectorSize; cut < end; cut += sectorSize {
		add(fmt.Sprintf("the process died when the write had reached %d", cut), zero(good, cut, end))
		if cut+sectorSize < end {
			add(fmt.Sprintf("the sector at %d never reached the disk", cut), zero(good, cut, cut+sectorSize))
		}
	}
	add("the first, shared sector never reached the disk", zero(good, begin, (begin/sectorSize+1)*sectorSize))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			write(t, path, c.data)
			if err := checkTail(dir, quietLogger()); err != nil {
				t.Fatal(err)
			}
			if rest := bytes.TrimRight(read(t, path)[begin:], "\x00"); len(rest) > 0 {
				t.Fatalf("%d bytes of the torn batch are left", len(rest))
			}
			w := openTestWAL(t, dir)
			defer w.Close()
			if last, err := w.LastIndex(); last != 1 || err != nil {
				t.Fatalf("last index %d, %v; want 1", last, err)
			}
		})
	}
}

// What a torn batch leaves behind must not be taken for data after the next crash: raft-wal alone accepts an entry full
// of garbage here.
func TestTailLeavesNoRemnants(t *testing.T) {
	dir, path, begin, end := segmentWith(t, []string{text(1000)}, []string{text(2000), text(2000)})
	torn := read(t, path)
	cut := (begin/sectorSize + 2) * sectorSize
	clear(torn[cut : cut+sectorSize])
	write(t, path, torn)
	if err := checkTail(dir, quietLogger()); err != nil {
		t.Fatal(err)
	}
	if rest := bytes.Trim(read(t, path)[begin:end], "\x00"); len(rest) != 0 {
		t.Fatalf("%d bytes are left", len(rest))
	}
}

func TestTailRefusesAShortFile(t *testing.T) {
	dir, path, begin, _ := segmentWith(t, []string{text(100)}, []string{text(100)})
	write(t, path, read(t, path)[:begin])
	if err := checkTail(dir, quietLogger()); !errors.Is(err, errDamaged) {
		t.Fatalf("got %v, want a refusal", err)
	}
}

func TestTailAcceptsNewLogs(t *testing.T) {
	if err := checkTail(t.TempDir(), quietLogger()); err != nil {
		t.Fatalf("an empty directory: %v", err)
	}
	dir := t.TempDir()
	if err := openTestWAL(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkTail(dir, quietLogger()); err != nil {
		t.Fatalf("a log without entries: %v", err)
	}
}

func FuzzTail(f *testing.F) {
	f.Add(uint16(40), byte(0xff), uint16(500), false)
	f.Add(uint16(1600), byte(3), uint16(0), true)
	f.Fuzz(func(t *testing.T, offset uint16, flip byte, cut uint16, zero bool) {
		dir, path, _, end := segmentWith(t, []string{text(200)}, []string{text(600), text(600)}, []string{text(50)})
		data := read(t, path)
		data[int(offset)%len(data)] ^= flip
		if zero {
			at := int(cut) % end
			clear(data[at : at+min(sectorSize, end-at)])
		}
		write(t, path, data)
		// Whatever the file holds, it is either refused or opens as a log that ends where a batch ended.
		if checkTail(dir, quietLogger()) != nil {
			return
		}
		w, err := wal.Open(dir, wal.WithSegmentSize(testSegment), wal.WithLogger(raftLogger(quietLogger())))
		if err != nil {
			return
		}
		defer w.Close()
		last, err := w.LastIndex()
		if err != nil || last != 0 && last != 1 && last != 3 && last != 4 {
			t.Fatalf("last index %d, %v", last, err)
		}
	})
}
