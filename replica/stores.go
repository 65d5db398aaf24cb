package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"go.etcd.io/bbolt"
)

// Names inside a group's directory.
const (
	stableFile  = "stable.db"
	walDir      = "wal"
	boltLogFile = "log.db"
	markFile    = "mark"
)

// cachedEntries of at most entryTarget bytes each are kept in memory for followers that are up to date.
const cachedEntries = 64

// boltLockWait bounds the wait for bolt's own file lock; ours on the data directory makes it free.
const boltLockWait = time.Second

// stores is what one group keeps on disk.
type stores struct {
	dir    string
	log    *checkedLog
	stable *checkedStable
	snaps  *snapshotStore
	mark   *mark

	discards *discards

	closers []func() error
}

// openStores opens and checks everything a group left on disk. It refuses what is damaged: see checkBoot.
func openStores(dir string, cfg Config, watch *watchdog, logger raftLog) (s *stores, err error) {
	s = &stores{dir: dir}
	// Bolt panics on a damaged page, or faults in the file that it has mapped; it still holds its locks then, so closing
	// it would hang. The process is about to end.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%s is %w: %v", dir, errDamaged, p)
		} else if err != nil {
			s, err = nil, errors.Join(err, s.close())
		}
	}()
	for _, path := range []string{stableFile, boltLogFile, filepath.Join(walDir, metadb.FileName)} {
		if err := checkBolt(filepath.Join(dir, path)); err != nil {
			return s, err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, walDir), 0o700); err != nil {
		return s, err
	}
	s.discards = newDiscards(logger.slog)
	s.closers = append(s.closers, s.discards.close)
	if s.snaps, err = openSnapshots(dir, s.discards, logger); err != nil {
		return s, err
	}
	stable, err := openBolt(filepath.Join(dir, stableFile), false)
	if err != nil {
		return s, err
	}
	s.closers = append(s.closers, stable.Close)
	s.stable = &checkedStable{StableStore: stable, watch: watch}
	if cfg.stable != nil {
		s.stable.StableStore = cfg.stable(stable)
	}

	log, closeLog, err := openLog(dir, cfg, s.discards, logger)
	if err != nil {
		return s, err
	}
	s.closers = append(s.closers, closeLog)
	cache, err := raft.NewLogCache(cachedEntries, log)
	if err != nil {
		return s, err
	}
	s.log = &checkedLog{LogStore: cache, watch: watch, stall: cfg.stall, self: raft.ServerID(cfg.NodeID), stored: cfg.Stored}
	if s.mark, err = openMark(filepath.Join(dir, markFile)); err != nil {
		return s, err
	}
	s.closers = append(s.closers, s.mark.close)
	return s, checkBoot(s, logger)
}

func (s *stores) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func openBolt(path string, noSync bool) (*raftboltdb.BoltStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path:   path,
		NoSync: noSync,
		// The free list is kept on disk: to rebuild it, bolt would walk all pages on a goroutine of its own, where the
		// panic that a damaged page causes ends the process without a word.
		BoltOptions: &bbolt.Options{Timeout: boltLockWait, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return store, nil
}

func openLog(dir string, cfg Config, d *discards, logger raftLog) (raft.LogStore, func() error, error) {
	if cfg.LogStore == StoreBolt {
		store, err := openBolt(filepath.Join(dir, boltLogFile), cfg.Sync == SyncOS)
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	dir = filepath.Join(dir, walDir)
	if err := checkTail(dir, logger.slog); err != nil {
		return nil, nil, err
	}
	files, err := openSegments(dir, cfg, d, logger.slog)
	if err != nil {
		return nil, nil, err
	}
	log, err := wal.Open(dir, wal.WithLogger(logger.hclog), wal.WithSegmentFiler(segment.NewFiler(dir, files)))
	if err != nil {
		files.close()
		return nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	return log, func() error { defer files.close(); return log.Close() }, nil
}
