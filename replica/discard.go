package replica

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	discardStep  = 4 << 20 // bytes that go at a time
	discardPause = 4 * time.Millisecond
	discardQueue = 256 // more than raft-wal has segments to delete at a time

	// goneSuffix marks a file that waits for its end. What a crash left of such is removed at the next start.
	goneSuffix = ".gone"
)

// discards takes large files off the disk a piece at a time. To unlink one frees all its blocks in one transaction of
// the file system's journal, and a sync of the log may have to wait for that: 28 to 209 ms were measured for the 278 MiB
// of a snapshot on ext4, 2 to 8 ms for the same in steps of 4 MiB.
//
// One goroutine shrinks and removes, from newDiscards to close.
type discards struct {
	logger  *slog.Logger
	queue   chan string
	stopped chan struct{}
	wg      sync.WaitGroup
}

func newDiscards(logger *slog.Logger) *discards {
	d := &discards{logger: logger, queue: make(chan string, discardQueue), stopped: make(chan struct{})}
	d.wg.Go(d.run)
	return d
}

// close leaves what still waits where it is.
func (d *discards) close() error {
	close(d.stopped)
	d.wg.Wait()
	return nil
}

// add removes a file, or a directory of files, some time later. The caller has given it a name by which nobody finds it
// and which the next start knows as rubbish. It never waits: what has no room in the queue is removed at once.
func (d *discards) add(path string) error {
	select {
	case d.queue <- path:
		return nil
	default:
		return os.RemoveAll(path)
	}
}

func (d *discards) run() {
	for {
		select {
		case <-d.stopped:
			return
		case path := <-d.queue:
			if err := d.remove(path); err != nil && !errors.Is(err, ErrClosed) {
				d.logger.Warn("a file that is not needed any more could not be removed", "path", path, "reason", err)
			}
		}
	}
}

// remove shrinks all files at or below path to nothing, and then removes them.
func (d *discards) remove(path string) error {
	err := filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		for size := info.Size() - discardStep; size > 0; size -= discardStep {
			if err := os.Truncate(path, size); err != nil {
				return err
			}
			select {
			case <-d.stopped:
				return ErrClosed
			case <-time.After(discardPause):
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}
