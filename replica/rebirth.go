package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// leap is how far indexes and fencing tokens jump when a state begins a life in a new cluster. The old cluster may have gone
// on after the state was taken, and clients may hold what it gave them then: a token that a resource has seen must not be
// given again, and a watcher that resumes behind an event of the old log must be told that it missed something. At a
// million entries a second, so many take twelve days.
const leap = 1 << 40

// firstConfiguration is the index of the configuration that a new life begins with; whatever comes later is newer.
const firstConfiguration = 1

// foundersOf are the members of a group's first configuration as the catalogue has them.
func foundersOf(c raft.Configuration) (list []fsm.Founder) {
	for _, s := range c.Servers {
		list = append(list, fsm.Founder{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return list
}

// list adds a group to those that the directory holds.
func (m *metadata) list(p place) {
	at, _ := slices.BinarySearch(m.Groups, p.name())
	m.Groups = slices.Insert(slices.Clone(m.Groups), at, p.name())
}

// writeGroup makes the directory of a group whose log begins behind a state. It writes what a node has that was just sent a
// snapshot: the snapshot, the term, the high-water mark, and no log. It returns when all is on disk.
func writeGroup(dir string, m *fsm.Machine, members raft.Configuration, logger raftLog) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	v := m.View()
	if err := writeSnapshot(dir, v, members, logger); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	stable, err := openBolt(filepath.Join(dir, stableFile), false)
	if err != nil {
		return err
	}
	checked := &checkedStable{StableStore: stable, watch: newWatchdog(time.Hour, nil)}                      // nobody arms it
	if err := errors.Join(checked.SetUint64([]byte("CurrentTerm"), v.Term()), stable.Close()); err != nil { // Raft's key
		return fmt.Errorf("%s: %w", dir, err)
	}
	mark, err := openMark(filepath.Join(dir, markFile))
	if err != nil {
		return err
	}
	mark.note(v.Index(), v.Term())
	if err := errors.Join(mark.write(), mark.close()); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

func writeSnapshot(dir string, v fsm.View, members raft.Configuration, logger raftLog) (err error) {
	discards := newDiscards(logger.slog)
	defer func() { err = errors.Join(err, discards.close()) }()
	snaps, err := openSnapshots(dir, discards, logger)
	if err != nil {
		return err
	}
	_, peers := raft.NewInmemTransport("") // it is asked how peers are written in a field that nobody reads
	sink, err := snaps.Create(raft.SnapshotVersionMax, v.Index(), v.Term(), members, firstConfiguration, peers)
	if err != nil {
		return err
	}
	if err := fsm.WriteSnapshot(sink, v); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
