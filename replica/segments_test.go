package replica

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func openTestSegments(t *testing.T, dir string) *segments {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	d := newDiscards(logger)
	t.Cleanup(func() { d.close() })
	s, err := openSegments(dir, Config{Sync: SyncAlways}, d, logger)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// create makes a segment.
func (s *segments) create(t *testing.T, dir, name string, size uint64) *segmentWriter {
	t.Helper()
	f, err := s.Create(dir, name, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.(*segmentWriter)
}

// write writes n bytes that are not zero.
func (f *segmentWriter) write(t *testing.T, n int, offset int64) {
	t.Helper()
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, n), offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func (f *segmentWriter) ground() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.zeroed
}

// holds fails unless the segment has its size, and nothing but what was written.
func (f *segmentWriter) holds(t *testing.T, from, to int) {
	t.Helper()
	data, err := os.ReadFile(f.path)
	if err != nil || int64(len(data)) != f.size {
		t.Fatalf("the segment has %d bytes, %v", len(data), err)
	}
	if !isZero(data[:from]) || bytes.IndexByte(data[from:to], 0) >= 0 || !isZero(data[to:]) {
		t.Fatalf("the segment does not hold what was written from %d to %d, and only that", from, to)
	}
}

func TestZerosAreWrittenAheadOfTheLog(t *testing.T) {
	const size = 3<<20 + 5
	for _, lean := range []bool{false, true} {
		dir := t.TempDir()
		s := openTestSegments(t, dir)
		s.lean = lean
		f := s.create(t, dir, "one", size)
		f.write(t, zeroFrom-1, 0)
		if len(s.short) != 0 || f.ground() != 0 {
			t.Error("a small log has zeros ahead of it")
		}
		f.write(t, 10, zeroFrom-1)
		eventually(t, "as many zeros as there is log", func() bool { return f.ground() == 2*f.end })
		f.write(t, size-3-int(f.end), f.end)
		eventually(t, "zeros up to the end", func() bool { return f.ground() >= size })
		f.write(t, 3, size-3)
		s.close()
		f.holds(t, 0, size)
		info, err := os.Stat(f.path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the segment: %v, %v", info, err)
		}
	}
}

// A restart finds the log somewhere in a segment: the first write tells where, and what lies before it stays.
func TestZerosGoBehindTheFirstWriteOfAnOpenedSegment(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	s.create(t, dir, "one", 1<<20).write(t, 1000, 0)
	opened, err := s.OpenWriter(dir, "one")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	f := opened.(*segmentWriter)
	f.write(t, zeroFrom, 1000)
	eventually(t, "zeros", func() bool { return f.ground() == 2*f.end })
	s.close()
	f.holds(t, 0, 1000+zeroFrom)
}

// The log is written while zeros are: none may land on it, however close they come.
func TestZerosNeverCoverTheLog(t *testing.T) {
	const size = 8 << 20
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	f := s.create(t, dir, "one", size)
	var zeroing sync.WaitGroup
	zeroing.Go(func() {
		file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		for f.ground() < size {
			if _, err := f.step(file); err != nil {
				t.Error(err)
				return
			}
		}
	})
	random := rand.New(rand.NewPCG(1, 2))
	end := 0
	for end < size {
		n := min(1+random.IntN(3*zeroBlock), size-end)
		if _, err := f.WriteAt(bytes.Repeat([]byte{7}, n), int64(end)); err != nil {
			t.Fatal(err)
		}
		end += n
	}
	zeroing.Wait()
	s.close()
	f.holds(t, 0, size)
}

func TestALogGoesOnWithoutZeros(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	f := s.create(t, dir, "one", 1<<20)
	moved := filepath.Join(dir, "moved")
	if err := errors.Join(os.Rename(f.path, moved), os.Mkdir(f.path, 0o700)); err != nil { // which cannot be written
		t.Fatal(err)
	}
	f.write(t, zeroFrom, 0)
	eventually(t, "giving up", func() bool { return f.ground() == f.size })
	f.write(t, zeroFrom, zeroFrom)
	if len(s.short) != 0 {
		t.Error("it is tried again at every write")
	}
	s.close()
	f.path = moved
	f.holds(t, 0, 2*zeroFrom)
}

func TestALogThatIsNotSyncedNeedsNoZeros(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	defer s.close()
	s.mode = SyncOS
	f, err := s.Create(dir, "one", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.(unsynced); !ok {
		t.Errorf("it is written through %T", f)
	}
}

func TestADeletedSegmentIsGoneAtOnceAndItsBlocksSoon(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	defer s.close()
	s.create(t, dir, "one", 10).write(t, 10, 0)
	if err := s.Delete(dir, "one"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "one")
	if !gone(path) {
		t.Error("it still has its name")
	}
	eventually(t, "end of the file", func() bool { return gone(path + goneSuffix) })
	if err := s.Delete(dir, "one"); !os.IsNotExist(err) {
		t.Errorf("deleting it twice: %v", err)
	}
}
