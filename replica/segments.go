package replica

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

const (
	zeroFrom  = 64 << 10 // bytes of a segment behind which zeros go ahead of the log: a small log never pays for them
	zeroAhead = 8 << 20  // bytes of zeros ahead of the log at the most; until then as many as the segment holds
	zeroStep  = 1 << 20  // bytes of zeros between syncs: a write or sync of the log waits for one step at the most
	zeroBlock = 4 << 10  // a step begins and ends with a page
	logCached = 1 << 20  // bytes of the log that the operating system is to keep in memory
)

// segments is the file system that raft-wal sees: our permissions, our sync mode, zeros ahead of the log, and old segments
// removed a piece at a time.
//
// raft-wal reserves the blocks of a new segment, which leaves them marked as unwritten. A sync of such blocks also commits
// the file system's journal and takes up to twice as long as one of blocks that have been written before. So zeros are
// written ahead of the log, in the segment itself: whoever reads it finds there what he would have found without them.
//
// Before each step of zeros, what lies behind leaves the operating system's memory, where hardly anybody looks for it: Raft
// keeps its newest entries itself. The zeros take the pages that this frees, instead of new ones (docs/adr/0028).
//
// One goroutine writes zeros, from openSegments to close.
type segments struct {
	*fs.FS
	mode     SyncMode
	lean     bool // a segment takes its blocks as it is written
	discards *discards
	logger   *slog.Logger

	short   chan *segmentWriter // a segment that lacks zeros
	stopped chan struct{}
	wg      sync.WaitGroup
}

// openSegments prepares the directory of a raft-wal log. What an earlier process left half removed goes.
func openSegments(dir string, cfg Config, d *discards, logger *slog.Logger) (*segments, error) {
	s := &segments{
		FS: fs.New(), mode: cfg.Sync, lean: cfg.lean, discards: d, logger: logger,
		short: make(chan *segmentWriter, 1), stopped: make(chan struct{}),
	}
	names, err := s.ListDir(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, goneSuffix) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	s.wg.Go(s.zero)
	return s, nil
}

func (s *segments) close() {
	close(s.stopped)
	s.wg.Wait()
}

// Create implements types.VFS.
func (s *segments) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	reserved := size
	if s.lean {
		reserved = 0
	}
	f, err := s.FS.Create(dir, name, reserved)
	if err != nil {
		return nil, err
	}
	if reserved < size {
		if err := os.Truncate(path, int64(size)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s.wrap(f, path, int64(size)), nil
}

// Delete implements types.VFS. The segment loses its name for good, and its blocks later.
func (s *segments) Delete(dir, name string) error {
	path := filepath.Join(dir, name)
	if err := os.Rename(path, path+goneSuffix); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), s.discards.add(path+goneSuffix))
}

// OpenWriter implements types.VFS.
func (s *segments) OpenWriter(dir, name string) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f, err := s.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return s.wrap(f, path, info.Size()), nil
}

func (s *segments) wrap(f types.WritableFile, path string, size int64) types.WritableFile {
	if s.mode == SyncOS {
		return unsynced{f}
	}
	return &segmentWriter{WritableFile: f, segments: s, path: path, size: size}
}

// unsynced leaves writing back to the operating system.
type unsynced struct{ types.WritableFile }

// Sync implements types.WritableFile.
func (unsynced) Sync() error { return nil }

// segmentWriter knows where the log ends in a segment, and asks for zeros in time.
type segmentWriter struct {
	types.WritableFile
	segments *segments
	path     string
	size     int64

	mu     sync.Mutex
	end    int64 // nothing of the log lies behind it, nor is being written there
	zeroed int64 // up to here zeros have been written, or the log
}

// WriteAt implements types.WritableFile. raft-wal only ever writes behind what it wrote.
func (f *segmentWriter) WriteAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	f.end = max(f.end, offset+int64(len(p)))
	short := f.end >= zeroFrom && f.zeroed < min(f.end+f.ahead()/2, f.size)
	f.mu.Unlock()
	if short {
		select {
		case f.segments.short <- f:
		default: // the next write asks again
		}
	}
	return f.WritableFile.WriteAt(p, offset)
}

// ahead returns how many zeros there should be before the end of the log. The caller holds mu.
func (f *segmentWriter) ahead() int64 { return min(f.end, zeroAhead) }

// zero writes zeros where they are lacking.
func (s *segments) zero() {
	for {
		select {
		case <-s.stopped:
			return
		case f := <-s.short:
			err := f.fill(s.stopped)
			if err == nil {
				continue
			}
			f.forgo()
			if !errors.Is(err, os.ErrNotExist) { // raft-wal may have deleted it by now
				// The log does without: a disk that is full or broken will say so to the log itself.
				s.logger.Warn("no zeros could be written ahead of the log", "segment", f.path, "reason", err)
			}
		}
	}
}

// fill writes zeros, synced, until there are enough, each step in the room that the log behind leaves. It has its own
// descriptor: the first sync of raft-wal's also makes the file's name durable, which must be done when that one returns, not be
// left to this one.
func (f *segmentWriter) fill(stopped <-chan struct{}) error {
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		select {
		case <-stopped:
			return nil
		default:
		}
		leave(file, f.written()-logCached)
		if n, err := f.step(file); n == 0 || err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
}

// written returns where the log ends.
func (f *segmentWriter) written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.end
}

// forgo has the segment never lack zeros again.
func (f *segmentWriter) forgo() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zeroed = f.size
}

// zeros is what a step writes.
var zeros [zeroStep]byte

// step writes some zeros. It holds the lock meanwhile, so that the log does not come to be written below them.
func (f *segmentWriter) step(file *os.File) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := max(f.zeroed, (f.end+zeroBlock-1)/zeroBlock*zeroBlock)
	enough := min(f.end+f.ahead(), f.size)
	n, err := file.WriteAt(zeros[:max(0, min(enough-from, zeroStep))], from)
	f.zeroed = from + int64(n)
	return n, err
}
