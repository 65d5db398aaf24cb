package replica

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// largeFile makes a file of several steps that takes no room on the disk.
func largeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 5*discardStep+1); err != nil {
		t.Fatal(err)
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

func TestWhatIsDiscardedGoesWithAllThatIsInIt(t *testing.T) {
	dir := t.TempDir()
	d := newDiscards(slog.New(slog.DiscardHandler))
	defer d.close()
	folder := filepath.Join(dir, "snapshot"+unfinishedInDir)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	largeFile(t, filepath.Join(folder, "state.bin"))
	largeFile(t, filepath.Join(dir, "segment"+goneSuffix))
	for _, path := range []string{folder, filepath.Join(dir, "segment"+goneSuffix)} {
		if err := d.add(path); err != nil {
			t.Fatal(err)
		}
		eventually(t, "end of "+path, func() bool { return gone(path) })
	}
}

func TestAFullQueueOfDiscardsRemovesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment"+goneSuffix)
	largeFile(t, path)
	d := &discards{queue: make(chan string)} // nobody takes from it
	if err := d.add(path); err != nil || !gone(path) {
		t.Errorf("%v; gone: %v", err, gone(path))
	}
}

func TestClosingDoesNotWaitForDiscards(t *testing.T) {
	dir := t.TempDir()
	d := newDiscards(slog.New(slog.DiscardHandler))
	for range discardQueue / 2 {
		if err := d.add(filepath.Join(dir, "none")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "segment"+goneSuffix)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // a quarter of a million steps
		t.Fatal(err)
	}
	if err := d.add(path); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil || gone(path) {
		t.Errorf("%v; gone: %v", err, gone(path))
	}

	s := openTestSegments(t, dir) // the next start
	defer s.close()
	if !gone(path) {
		t.Error("the next start left it")
	}
}
