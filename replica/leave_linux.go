package replica

import (
	"os"

	"golang.org/x/sys/unix"
)

// leave asks the operating system to keep the first bytes of a file on the disk only. It is advice: one that is not taken costs
// memory, and pages that were not written back yet stay.
func leave(file *os.File, bytes int64) {
	if bytes > 0 {
		_ = unix.Fadvise(int(file.Fd()), 0, bytes, unix.FADV_DONTNEED)
	}
}
