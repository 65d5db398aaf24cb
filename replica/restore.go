package replica

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/fsm"
)

// Restoration says what data directory Restore makes.
type Restoration struct {
	DataDir  string
	NodeID   string       // default n1
	Peers    []Peer       // the voters of the new cluster, this node among them; empty: this node alone
	LogStore LogStore     // default StoreWAL
	Attempt  int          // the how-manieth cluster this is that is made of the file; default 1
	Logger   *slog.Logger // default slog.Default()
}

// MaxAttempt bounds the clusters that are made of one backup.
const MaxAttempt = 1000

// RestoredGroup is a group as Restore made it.
type RestoredGroup struct {
	backup.Header
	Values int    // number of values
	Begins uint64 // the index that the new log begins behind
}

// unfinishedRestore marks a data directory that Restore is making.
const unfinishedRestore = "restore"

// Restore makes a data directory from a backup: of a node of a new cluster, whose log begins behind the states in the
// backup. All nodes of that cluster are made from the same file with the same Peers and the same Attempt, and so agree on
// everything. The directory must be empty or missing, or one that Restore did not finish. With an error, nothing is left of
// it; a process that dies leaves a directory that Open refuses. It returns the id of the new cluster and its groups.
func Restore(file io.Reader, r Restoration) (cluster string, groups []RestoredGroup, err error) {
	if err := r.complete(); err != nil {
		return "", nil, err
	}
	_, err = os.Stat(r.DataDir)
	made := errors.Is(err, os.ErrNotExist)
	lock, meta, err := r.claim()
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.clear(made))
		}
		err = errors.Join(err, lock.Close())
	}()
	sum, groups, err := r.groups(file, &meta)
	if err != nil {
		return "", nil, err
	}
	meta.ClusterID, meta.Unfinished = r.clusterID(sum), ""
	return meta.ClusterID, groups, meta.write(r.DataDir)
}

// complete fills in what was left out, and refuses what cannot be.
func (r *Restoration) complete() error {
	if r.NodeID == "" {
		r.NodeID = "n1"
	}
	if r.LogStore == "" {
		r.LogStore = StoreWAL
	}
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	r.Attempt = max(r.Attempt, 1)
	switch {
	case r.Attempt > MaxAttempt:
		return fmt.Errorf("no more than %d clusters can be made of one backup", MaxAttempt)
	case len(r.Peers) > 0 && !slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.ID == r.NodeID }):
		return fmt.Errorf("node '%s' is not among the peers", r.NodeID)
	}
	return nil
}

// claim takes possession of an empty directory, or of what an earlier run left, and marks it as unfinished.
func (r *Restoration) claim() (*os.File, metadata, error) {
	if err := os.MkdirAll(r.DataDir, 0o700); err != nil {
		return nil, metadata{}, fmt.Errorf("data directory: %w", err)
	}
	if err := checkForeign(r.DataDir); err != nil {
		return nil, metadata{}, err
	}
	lock, err := lockDataDir(r.DataDir)
	if err != nil {
		return nil, metadata{}, err
	}
	old, err := readMetadata(r.DataDir)
	switch {
	case err == nil && old.Unfinished != unfinishedRestore:
		err = fmt.Errorf("%s holds the data of node '%s' already; name an empty directory", r.DataDir, old.NodeID)
	case err == nil:
		err = os.RemoveAll(filepath.Join(r.DataDir, groupDir))
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	meta := metadata{
		Version: dataDirVersion, NodeID: r.NodeID, LogStore: string(r.LogStore), Unfinished: unfinishedRestore,
		identity: identity{Incarnation: randomID()},
	}
	if err == nil {
		err = meta.write(r.DataDir)
	}
	if err != nil {
		return nil, metadata{}, errors.Join(err, lock.Close())
	}
	return lock, meta, nil
}

// clear takes away what was made; made says that the directory itself was.
func (r *Restoration) clear(made bool) error {
	var errs []error
	for _, name := range []string{groupDir, metaFile + ".tmp", metaFile, lockFile} { // the mark goes after what it marks
		errs = append(errs, os.RemoveAll(filepath.Join(r.DataDir, name)))
	}
	if made {
		errs = append(errs, os.Remove(r.DataDir))
	}
	return errors.Join(errs...)
}

// groups writes all groups of the file, reading it to its end, and returns its sum.
func (r *Restoration) groups(file io.Reader, meta *metadata) (sum [sha256.Size]byte, groups []RestoredGroup, err error) {
	f, err := backup.NewReader(file)
	if err != nil {
		return sum, nil, err
	}
	generations := map[int]uint64{}
	for {
		h, m, err := f.Next()
		if errors.Is(err, io.EOF) {
			return f.Sum(), groups, nil
		}
		if err != nil {
			return sum, nil, err
		}
		p := place{id: h.Group, generation: generations[h.Group]}
		if p.id == 0 {
			for _, g := range m.View().Groups() {
				generations[g.ID] = g.Generation
			}
			if err := m.Resettle(func(fsm.GroupRecord) bool { return true }, foundersOf(r.members())); err != nil {
				return sum, nil, err
			}
		} else {
			meta.list(p)
		}
		g := RestoredGroup{Header: h, Values: m.View().Len()}
		if g.Begins, err = r.group(p, m); err != nil {
			return sum, nil, err
		}
		groups = append(groups, g)
	}
}

// group writes one group, and returns the index that its log begins behind.
func (r *Restoration) group(p place, m *fsm.Machine) (begins uint64, err error) {
	if err := m.Leap(uint64(r.Attempt) * leap); err != nil {
		return 0, err
	}
	logger := raftLog{slog: r.Logger, hclog: raftLogger(r.Logger)}
	return m.View().Index(), writeGroup(filepath.Join(r.DataDir, groupDir, p.name()), m, r.members(), logger)
}

// members are the voters of the new cluster. The address of a node alone is set right when it starts.
func (r *Restoration) members() raft.Configuration {
	peers := slices.SortedFunc(slices.Values(r.Peers), func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	if len(peers) == 0 {
		peers = []Peer{{ID: r.NodeID, Address: unknownAddress}}
	}
	var c raft.Configuration
	for _, p := range peers {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	return c
}

// unknownAddress stands for the address of the only member until it starts and says its own.
const unknownAddress = "127.0.0.1:16379"

// clusterID is the same on all nodes that are made of the same file for the same peers, and random for a node alone.
func (r *Restoration) clusterID(sum [sha256.Size]byte) string {
	if len(r.Peers) == 0 {
		return randomID()
	}
	of := fmt.Sprintf("%x\n%d\n%s", sum, r.Attempt, newClusterID(r.Peers))
	id := sha256.Sum256([]byte(of))
	return hex.EncodeToString(id[:8])
}
