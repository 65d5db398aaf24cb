package replica

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A log of 6 MiB has at most its last one in memory, and the zeros ahead of it: what else it had has made room for them.
func TestTheLogLeavesTheMemoryOfTheOperatingSystem(t *testing.T) {
	const piece, end, size = 64 << 10, 6 << 20, 16 << 20
	dir := t.TempDir()
	s := openTestSegments(t, dir)
	f := s.create(t, dir, "one", size)
	for offset := 0; offset < end; offset += piece {
		f.write(t, piece, int64(offset))
	}
	eventually(t, "zeros", func() bool { return f.ground() >= end+end/2 })
	s.close()
	// The last step may have been taken when half of the zeros before it were used.
	if pages := cachedPages(t, f.path, end-logCached-end/2); pages != 0 {
		t.Errorf("%d pages of the log are in memory", pages)
	}
	f.holds(t, 0, end)
}

// cachedPages returns how many pages of the first bytes of a file the operating system has in memory: none, if that is all the
// file system has, or if the kernel, before Linux 6.5, does not tell.
func cachedPages(t *testing.T, path string, bytes uint64) uint64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var system unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &system); err != nil {
		t.Fatal(err)
	}
	if system.Type == unix.TMPFS_MAGIC {
		return 0
	}
	var stat unix.Cachestat_t
	err = unix.Cachestat(uint(file.Fd()), &unix.CachestatRange{Len: bytes}, &stat, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return stat.Cache
}
