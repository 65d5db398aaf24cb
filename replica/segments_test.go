package replica

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
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

// write makes a segment and writes one byte at offset.
func (s *segments) write(t *testing.T, dir, name string, size uint64, offset int64) {
	t.Helper()
	f, err := s.Create(dir, name, size)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1}, offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestTheNextSegmentIsWrittenAheadOfTime(t *testing.T) {
	const size = 3<<20 + 5
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	s.write(t, dir, "one", size, 0)
	if s.asked.Load() {
		t.Error("a spare was made for a log of one byte")
	}
	s.write(t, dir, "two", size, spareAfter)
	eventually(t, "spare", func() bool { return len(s.ready) == 1 })

	f, err := s.Create(dir, "three", size)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := os.Stat(s.spare); !os.IsNotExist(err) {
		t.Errorf("the spare is still there: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "three"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the segment: %v, %v", info, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "three"))
	if err != nil || len(data) != size || !isZero(data) {
		t.Errorf("the segment has %d bytes, zero: %v, %v", len(data), isZero(data), err)
	}
	if _, err := f.WriteAt([]byte("x"), spareAfter); err != nil {
		t.Fatal(err)
	}
	eventually(t, "second spare", func() bool { return len(s.ready) == 1 })
	s.close()
}

func TestASpareNeverReplacesASegment(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	defer s.close()
	s.write(t, dir, "one", 10, spareAfter)
	eventually(t, "spare", func() bool { return len(s.ready) == 1 })
	before, _ := os.ReadFile(filepath.Join(dir, "one"))
	if _, err := s.Create(dir, "one", 10); !os.IsExist(err) {
		t.Errorf("creating a segment that exists: %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "one")); !bytes.Equal(before, after) {
		t.Error("it was overwritten")
	}
}

func TestASpareOfAnEarlierProcessIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, spareFile), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openTestSegments(t, dir)
	defer s.close()
	if _, err := os.Stat(s.spare); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestALogGoesOnWithoutASpare(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	defer s.close()
	if err := os.Mkdir(s.spare, 0o700); err != nil { // so that it cannot be made
		t.Fatal(err)
	}
	if err := s.fill(10); err == nil {
		t.Error("a spare was made where a directory stands")
	}
	s.write(t, dir, "one", 10, spareAfter)
	s.write(t, dir, "two", 10, 0)
}

func TestALogThatIsNotSyncedNeedsNoSpare(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	s.mode = SyncOS
	defer s.close()
	s.write(t, dir, "one", 10, spareAfter)
	if s.asked.Load() {
		t.Error("a spare was asked for")
	}
}

func TestADeletedSegmentIsGoneAtOnceAndItsBlocksSoon(t *testing.T) {
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	defer s.close()
	s.write(t, dir, "one", 10, 0)
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
