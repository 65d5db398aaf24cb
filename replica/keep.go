package replica

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// Bounds on the log that stays behind a snapshot, for followers that are a little late: as many entries as make up
// trailingBytes, but at least minTrailing.
const (
	minTrailing   = 1000
	trailingBytes = 32 << 20
)

// keepMark writes the high-water mark every markInterval.
func (g *Group) keepMark() {
	tick := time.NewTicker(markInterval)
	defer tick.Stop()
	for {
		select {
		case <-g.stopped:
			return
		case <-tick.C:
			if g.watch.check(g.stores.mark.write()) != nil {
				return
			}
		}
	}
}

// snapshotPoll is how often the rules for a snapshot are looked at.
const snapshotPoll = 250 * time.Millisecond

// keepSnapshots takes a snapshot when one was asked for, and when the log since the last one is long in entries, bytes or time.
// The bytes must also exceed the size of the last snapshot, so that a large state is not written more often than its log.
func (g *Group) keepSnapshots() {
	tick := time.NewTicker(snapshotPoll)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-g.stopped:
			return
		case <-g.saves:
		case <-tick.C:
			entries, newest := g.unsnapped()
			switch {
			case entries == 0:
				last = time.Now()
				continue
			case entries >= g.cfg.SnapshotEntries:
			case g.logged.Load() >= max(g.cfg.SnapshotBytes, newest.Size):
			case time.Since(last) >= g.cfg.SnapshotInterval:
			default:
				continue
			}
			g.saving.Store(true)
		}
		err := g.Snapshot()
		if err != nil {
			g.cfg.Logger.Error("taking a snapshot failed", "group", g.id, "error", err)
		}
		g.unsaved.Store(err != nil)
		g.saving.Store(false)
		last = time.Now()
	}
}

// Save has a snapshot be taken at once, whether the rules call for one or not, and does not wait for it. It reports false when
// one is being taken.
func (g *Group) Save() bool {
	if !g.saving.CompareAndSwap(false, true) {
		return false
	}
	select {
	case g.saves <- struct{}{}:
	default: // it was asked for while another one began
	}
	return true
}

// Snapshot takes a snapshot now and drops the log that it makes unnecessary. It returns when the snapshot is durable;
// nothing new to write is not an error.
func (g *Group) Snapshot() error {
	if entries, _ := g.unsnapped(); entries > 0 {
		rc := g.raft.ReloadableConfig()
		average := max(g.logged.Load()/int64(entries), 1)
		rc.TrailingLogs = uint64(max(trailingBytes/average, minTrailing))
		if err := g.raft.ReloadConfig(rc); err != nil {
			return err
		}
	}
	result := make(chan error, 1)
	began := time.Now()
	future := g.raft.Snapshot()
	go func() { result <- future.Error() }() // Raft may lose a future at shutdown; then this stays behind
	select {
	case err := <-result:
		if errors.Is(err, raft.ErrNothingNewToSnapshot) {
			return nil
		}
		if err != nil {
			return err
		}
		g.snapshots.Add(1)
		g.timings.snapshot.Observe(time.Since(began), 1)
		return g.refreshNewest()
	case <-g.stopped:
		return ErrClosed
	}
}

// unsnapped returns how many entries the newest snapshot lacks, and that snapshot.
func (g *Group) unsnapped() (uint64, *raft.SnapshotMeta) {
	newest, applied := g.newest.Load(), g.applied.Load()
	return applied - min(newest.Index, applied), newest
}

// refreshNewest reads from disk which snapshot is the newest.
func (g *Group) refreshNewest() error {
	newest, err := g.stores.snaps.newest()
	if err != nil {
		return err
	}
	g.newest.Store(&newest)
	return nil
}
