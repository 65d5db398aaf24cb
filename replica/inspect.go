package replica

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
)

// LogEntry is one entry of a log on disk, as inspect shows it.
type LogEntry struct {
	Index, Term uint64
	Type        string    // command, noop, configuration, barrier
	Appended    time.Time // by the leader's clock
	Damaged     bool      // the checksum does not match
	Data        []byte    // of a command: for fsm.OpenEntry; valid until fn returns
	Text        string    // of a configuration
}

// groupPath finds the directory of a group, of its newest generation.
func groupPath(dataDir string, group int) (string, error) {
	dir := filepath.Join(dataDir, groupDir)
	if group == 0 {
		return filepath.Join(dir, place{}.name()), nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	newest := place{}
	for _, e := range entries {
		var p place
		_, err := fmt.Sscanf(e.Name(), "%d-%d", &p.id, &p.generation)
		if err == nil && p.id == group && p.name() == e.Name() && p.generation >= newest.generation {
			newest = p
		}
	}
	if newest.id == 0 {
		return "", fmt.Errorf("no group %d in %s", group, dir)
	}
	return filepath.Join(dir, newest.name()), nil
}

// InspectLog calls fn for each entry from index from (0: the first) to index to (0: the last), without changing a byte.
// It may be called while a node runs on the directory, except with the bolt store, whose file is locked.
func InspectLog(dataDir string, group int, from, to uint64, fn func(LogEntry) error) error {
	dir, err := groupPath(dataDir, group)
	if err != nil {
		return err
	}
	boltLog := filepath.Join(dir, boltLogFile)
	if _, err := os.Stat(boltLog); err == nil {
		return inspectBolt(boltLog, from, to, fn)
	}
	if _, err := os.Stat(filepath.Join(dir, walDir)); err != nil {
		return fmt.Errorf("no log of group %d: %w", group, err)
	}
	return inspectWAL(filepath.Join(dir, walDir), from, to, fn)
}

func inspectWAL(dir string, from, to uint64, fn func(LogEntry) error) error {
	var codec wal.BinaryCodec
	after, before := uint64(0), uint64(0)
	if from > 0 {
		after = from - 1
	}
	if to > 0 {
		before = to + 1
	}
	var failed error
	err := segment.NewFiler(dir, fs.New()).DumpLogs(after, before, func(_ types.SegmentInfo, e types.LogEntry) (bool, error) {
		var l raft.Log
		if err := codec.Decode(e.Data, &l); err != nil {
			l = raft.Log{Index: e.Index}
		}
		failed = fn(describe(&l))
		return failed == nil, nil
	})
	return errors.Join(failed, err)
}

func inspectBolt(path string, from, to uint64, fn func(LogEntry) error) (err error) {
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: boltLockWait}})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := checkBolt(path); err != nil { // now that bolt has locked it
		return err
	}
	first, err := store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := store.LastIndex()
	if err != nil {
		return err
	}
	if to > 0 {
		last = min(last, to)
	}
	for i := max(first, from, 1); i <= last; i++ {
		var l raft.Log
		if err := store.GetLog(i, &l); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if err := fn(describe(&l)); err != nil {
			return err
		}
	}
	return nil
}

var logTypes = map[raft.LogType]string{
	raft.LogCommand:       "command",
	raft.LogNoop:          "noop",
	raft.LogBarrier:       "barrier",
	raft.LogConfiguration: "configuration",
}

func describe(l *raft.Log) LogEntry {
	e := LogEntry{Index: l.Index, Term: l.Term, Type: logTypes[l.Type], Appended: l.AppendedAt, Damaged: !intact(l)}
	switch {
	case l.Type == raft.LogCommand:
		e.Data = l.Data
	case l.Type == raft.LogConfiguration && !e.Damaged:
		e.Text = fmt.Sprintf("%+v", raft.DecodeConfiguration(l.Data).Servers)
	}
	return e
}

// OpenNewestSnapshot opens the state of a group's newest snapshot for fsm.InspectSnapshot.
func OpenNewestSnapshot(dataDir string, group int) (io.ReadCloser, error) {
	dir, err := groupPath(dataDir, group)
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, snapshotDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("no snapshots of group %d: %w", group, err)
	}
	var newest string
	var highest uint64
	for _, e := range entries {
		if filepath.Ext(e.Name()) == unfinishedInDir {
			continue
		}
		// Names are <term>-<index>-<milliseconds>; of two snapshots the one with the higher index is newer.
		var term, index uint64
		if _, err := fmt.Sscanf(e.Name(), "%d-%d-", &term, &index); err == nil && (newest == "" || index >= highest) {
			newest, highest = filepath.Join(dir, e.Name(), stateFile), index
		}
	}
	if newest == "" {
		return nil, fmt.Errorf("no snapshot in %s", dir)
	}
	f, err := os.Open(newest)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(sealSize, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
