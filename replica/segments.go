package replica

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

const (
	spareFile  = "spare" // no segment's name, so raft-wal leaves it alone
	spareAfter = 8 << 20 // bytes of a segment behind which the next is prepared: most logs never come so far
	spareStep  = 1 << 20 // bytes of zeros between syncs, so that those of the log need not wait for long
)

// segments is the file system that raft-wal sees: our permissions, our sync mode, new segments made ahead of time, and old
// ones removed a piece at a time.
//
// raft-wal reserves the blocks of a new segment, which leaves them marked as unwritten. A sync of such blocks also writes
// the file system's journal and takes twice as long as one of blocks that have been written before. So while one segment
// is being written, a spare is filled with zeros to become the next, as etcd's filePipeline prepares its files. When it
// is not ready in time, a segment is made as raft-wal has it.
//
// One goroutine fills spares, from openSegments to close. It alone writes the spare; Create takes it when it is ready.
type segments struct {
	*fs.FS
	spare    string // its path
	mode     SyncMode
	lean     bool // a segment that is not made ahead of time takes its blocks as it is written
	discards *discards
	logger   *slog.Logger

	asked atomic.Bool   // a spare is ready or on its way
	want  chan int64    // the size of the spare to make, in bytes
	ready chan struct{} // holds a token while a spare is ready

	stopped chan struct{}
	wg      sync.WaitGroup
}

// openSegments prepares the directory of a raft-wal log. What an earlier process left half removed goes, and the spare
// too, which may not be whole.
func openSegments(dir string, cfg Config, d *discards, logger *slog.Logger) (*segments, error) {
	s := &segments{
		FS: fs.New(), spare: filepath.Join(dir, spareFile), mode: cfg.Sync, lean: cfg.lean, discards: d, logger: logger,
		want: make(chan int64, 1), ready: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	names, err := s.ListDir(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == spareFile || strings.HasSuffix(name, goneSuffix) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	s.wg.Go(s.fillSpares)
	return s, nil
}

func (s *segments) close() {
	close(s.stopped)
	s.wg.Wait()
}

// Create implements types.VFS.
func (s *segments) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	select {
	case <-s.ready:
		f, err := s.takeSpare(path)
		s.asked.Store(false)
		if err != nil {
			return nil, err
		}
		return s.wrap(f, int64(size)), nil
	default:
	}
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
	return s.wrap(f, int64(size)), nil
}

// takeSpare gives the spare its name as a segment, for good. A link fails where a rename would replace a file.
func (s *segments) takeSpare(path string) (*os.File, error) {
	if err := os.Link(s.spare, path); err != nil {
		return nil, err
	}
	if err := os.Remove(s.spare); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
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
	return s.wrap(f, info.Size()), nil
}

func (s *segments) wrap(f types.WritableFile, size int64) types.WritableFile {
	if s.mode == SyncOS {
		return unsynced{f}
	}
	return &segmentWriter{f, s, size}
}

// unsynced leaves writing back to the operating system.
type unsynced struct{ types.WritableFile }

// Sync implements types.WritableFile.
func (unsynced) Sync() error { return nil }

// segmentWriter notices when it is time for a spare.
type segmentWriter struct {
	types.WritableFile
	segments *segments
	size     int64
}

// WriteAt implements types.WritableFile.
func (f *segmentWriter) WriteAt(p []byte, offset int64) (int, error) {
	if s := f.segments; offset >= spareAfter && !s.asked.Load() && s.asked.CompareAndSwap(false, true) {
		s.want <- f.size
	}
	return f.WritableFile.WriteAt(p, offset)
}

func (s *segments) fillSpares() {
	for {
		select {
		case <-s.stopped:
			return
		case size := <-s.want:
			switch err := s.fill(size); {
			case err == nil:
				s.ready <- struct{}{}
			case !errors.Is(err, ErrClosed):
				// The log does without: a disk that has no room for it will say so to the log itself.
				s.logger.Warn("no log segment could be prepared ahead of time", "reason", err)
			}
		}
	}
}

// fill makes the spare, synced.
func (s *segments) fill(size int64) (err error) {
	f, err := os.OpenFile(s.spare, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(s.spare))
		}
	}()
	zeros := make([]byte, spareStep)
	for at := int64(0); at < size; at += spareStep {
		select {
		case <-s.stopped:
			return ErrClosed
		default:
		}
		if _, err := f.WriteAt(zeros[:min(spareStep, size-at)], at); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}
