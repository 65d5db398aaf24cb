package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

const (
	snapshotDir     = "snapshots" // the name is raft's
	snapshotsKept   = 2
	unfinishedInDir = ".tmp"
	stateFile       = "state.bin" // likewise
)

// raftLog is one logger in the two shapes that we and the Raft libraries use.
type raftLog struct {
	slog  *slog.Logger
	hclog hclog.Logger
}

// snapshotStore shows Raft the newest snapshot only. Raft falls back to an older one when the newest does not open,
// and then meets a log that has been cut for the newest (hashicorp/raft issue 85): better to stop.
type snapshotStore struct {
	*raft.FileSnapshotStore
	dir      string
	discards *discards
}

// openSnapshots opens the store, clears what crashes left unfinished, and verifies the newest snapshot.
func openSnapshots(dir string, d *discards, logger raftLog) (*snapshotStore, error) {
	// One more than is kept: Raft would unlink the one too many in one go, see discards.
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept+1, logger.hclog)
	if err != nil {
		return nil, err
	}
	s := &snapshotStore{FileSnapshotStore: store, dir: filepath.Join(dir, snapshotDir), discards: d}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	whole := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), unfinishedInDir) {
			if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		whole++
	}
	metas, err := s.FileSnapshotStore.List()
	if err != nil {
		return nil, err
	}
	if len(metas) < min(whole, snapshotsKept) { // List skips what it cannot read
		return nil, fmt.Errorf("%s: a snapshot is %w: its meta.json cannot be read", s.dir, errDamaged)
	}
	return s, s.verifyNewest()
}

// verifyNewest reads the newest snapshot to its end.
func (s *snapshotStore) verifyNewest() error {
	metas, err := s.List()
	if err != nil || len(metas) == 0 {
		return err
	}
	path := filepath.Join(s.dir, metas[0].ID)
	_, r, err := s.Open(metas[0].ID)
	if err != nil {
		return fmt.Errorf("snapshot %s is %w: %w", path, errDamaged, err)
	}
	_, err = fsm.InspectSnapshot(r, func(*fsm.Node) error { return nil })
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("snapshot %s is %w: %w", path, errDamaged, err)
	}
	return nil
}

// A snapshot's meta.json holds the group's configuration and has no checksum. So the state file begins with a seal:
//
//	offset  size  field
//	0       4     "dtks"
//	4       4     CRC32C of index, term, configuration index and configuration, little-endian
//
// Open verifies and hides it, so that a follower which is sent the snapshot makes its own.
const (
	sealSize  = 8
	sealMagic = "dtks"
)

func sealOf(m *raft.SnapshotMeta) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint64(b, m.Index)
	b = binary.LittleEndian.AppendUint64(b, m.Term)
	b = binary.LittleEndian.AppendUint64(b, m.ConfigurationIndex)
	b = append(b, raft.EncodeConfiguration(m.Configuration)...)
	return binary.LittleEndian.AppendUint32([]byte(sealMagic), crc32.Checksum(b, castagnoli))
}

// Create implements raft.SnapshotStore.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, c, cIndex, trans)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(s.dir, sink.ID()+unfinishedInDir, stateFile), os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	paced := &pacedSink{SnapshotSink: sink, store: s, file: file}
	seal := sealOf(&raft.SnapshotMeta{Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex})
	if _, err := paced.Write(seal); err != nil {
		return nil, errors.Join(err, paced.Cancel())
	}
	return paced, nil
}

// pacedSink puts what it was given on disk half a megabyte at a time. Raft's sink would do so once, at the end, and the log's
// fsyncs would wait behind all of it.
type pacedSink struct {
	raft.SnapshotSink
	store    *snapshotStore
	file     *os.File
	unsynced int
}

const paceBytes = 512 << 10

// Write implements io.Writer.
func (s *pacedSink) Write(b []byte) (int, error) {
	n, err := s.SnapshotSink.Write(b)
	s.unsynced += n
	if err == nil && s.unsynced >= paceBytes {
		s.unsynced = 0
		err = s.file.Sync()
	}
	return n, err
}

// Close implements io.Closer.
func (s *pacedSink) Close() error {
	if err := errors.Join(s.SnapshotSink.Close(), s.file.Close()); err != nil {
		return err
	}
	return s.store.discardOld()
}

// Cancel implements raft.SnapshotSink.
func (s *pacedSink) Cancel() error { return errors.Join(s.SnapshotSink.Cancel(), s.file.Close()) }

// Open implements raft.SnapshotStore. It has read and checked the whole file once when it returns.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	var seal [sealSize]byte
	if _, err := io.ReadFull(r, seal[:]); err != nil || !bytes.Equal(seal[:], sealOf(meta)) {
		return nil, nil, errors.Join(fmt.Errorf("snapshot %s is %w: its meta.json is not what was written", id, errDamaged), r.Close())
	}
	shown := *meta
	shown.Size -= sealSize
	return &shown, r, nil
}

// List implements raft.SnapshotStore.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	metas, err := s.FileSnapshotStore.List()
	return metas[:min(len(metas), 1)], err
}

// newest returns the index, term and size of the newest snapshot, or zeros.
func (s *snapshotStore) newest() (raft.SnapshotMeta, error) {
	metas, err := s.List()
	if err != nil || len(metas) == 0 {
		return raft.SnapshotMeta{}, err
	}
	return *metas[0], nil
}

// discardOld lets go of the snapshots that are not kept any more. Their names become those of unfinished ones, which
// Raft does not see and the next start clears away.
func (s *snapshotStore) discardOld() error {
	metas, err := s.FileSnapshotStore.List()
	if err != nil {
		return err
	}
	for _, old := range metas[min(snapshotsKept, len(metas)):] {
		path := filepath.Join(s.dir, old.ID)
		if err := os.Rename(path, path+unfinishedInDir); err != nil {
			return err
		}
		if err := s.discards.add(path + unfinishedInDir); err != nil {
			return err
		}
	}
	return nil
}

// frozenState is one immutable state on its way to disk.
type frozenState struct{ view fsm.View }

// Persist implements raft.FSMSnapshot.
func (s frozenState) Persist(sink raft.SnapshotSink) error {
	return fsm.WriteSnapshot(sink, s.view)
}

// Release implements raft.FSMSnapshot.
func (frozenState) Release() {}
