package server

import "golang.org/x/sys/unix"

// diskSpace is how many bytes are left for a directory, and how many its file system has. ok is false where the system does not
// tell.
func diskSpace(dir string) (free, size uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	block := uint64(s.Bsize)
	return s.Bavail * block, s.Blocks * block, true
}

// openFiles is how many files the process may have open, 0 where the system does not tell or sets no limit.
func openFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int64(limit.Cur)
}
