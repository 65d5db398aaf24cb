package replica

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// checkBoot compares what snapshot, log and mark say about each other before Raft sees any of them. Raft panics on
// some of these states, and lives with others that it should not.
func checkBoot(s *stores, logger raftLog) error {
	snap, err := s.snaps.newest()
	if err != nil {
		return err
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	if last != 0 && last < snap.Index && s.log.IsMonotonic() {
		// The node died between saving a snapshot that it was sent and dropping the log before it. Nothing of that log
		// is needed, and a store that appends only in order would refuse all that follows the snapshot.
		logger.slog.Info("dropping a log that ends before the snapshot", "last", last, "snapshot", snap.Index)
		first, err := s.log.FirstIndex()
		if err != nil {
			return err
		}
		if err := s.log.LogStore.DeleteRange(first, last); err != nil {
			return err
		}
		last = 0
	}
	if known := s.mark.stored; max(last, snap.Index) < known {
		return fmt.Errorf("%s has lost committed entries: log and snapshot end at %d, but %d was committed here; "+
			"restore a backup, or rejoin the cluster as a new node", s.dir, max(last, snap.Index), known)
	}
	if err := checkLog(s, snap.Index, last); err != nil {
		return err
	}
	return checkTerm(s, snap, last)
}

// checkTerm compares the newest entry's term with the stored one, which is never older: a node that forgot its term and
// vote could vote twice.
func checkTerm(s *stores, snap raft.SnapshotMeta, last uint64) error {
	newest := raft.Log{Term: snap.Term}
	if last > snap.Index {
		if err := s.log.read(last, &newest); err != nil {
			return err
		}
	}
	if newest.Term == 0 {
		return nil
	}
	term, err := s.stable.GetUint64([]byte("CurrentTerm")) // Raft's key
	if err != nil {
		return fmt.Errorf("%s: the term is missing: %w", s.dir, err)
	}
	if term < newest.Term {
		return fmt.Errorf("%s is %w: the stored term is %d, but the log is in term %d", s.dir, errDamaged, term, newest.Term)
	}
	return nil
}

// checkLog reads all entries that will be replayed.
func checkLog(s *stores, after, last uint64) error {
	if last == 0 {
		return nil
	}
	if last <= after {
		return s.readForReplay(last) // Raft starts by reading it
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return err
	}
	if first > after+1 {
		return fmt.Errorf("%s: entries %d to %d are missing between snapshot and log", s.dir, after+1, first-1)
	}
	for i := after + 1; i <= last; i++ {
		if err := s.readForReplay(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *stores) readForReplay(index uint64) error {
	var l raft.Log
	err := s.log.read(index, &l)
	if errors.Is(err, raft.ErrLogNotFound) {
		err = fmt.Errorf("log entry %d is %w: it is missing", index, errDamaged)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.dir, err)
	}
	return nil
}
