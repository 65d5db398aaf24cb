package replica

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Names inside a data directory. Everything of group 0 lies below groups/0, of others below groups/<id>-<generation>.
const (
	metaFile = "dtkv.json"
	lockFile = "LOCK"
	groupDir = "groups"

	dataDirVersion = 1
)

// metadata is the content of dtkv.json, which marks a directory as ours and says whose it is.
type metadata struct {
	Version   int    `json:"version"`
	ClusterID string `json:"cluster_id"`
	NodeID    string `json:"node_id"`
	LogStore  string `json:"log_store"`
	identity

	Joining   bool `json:"joining,omitempty"`    // no cluster has taken the node in yet, and cluster_id is empty
	WantsVote bool `json:"wants_vote,omitempty"` // it came to vote, and has not got its vote yet
	Removed   bool `json:"removed,omitempty"`    // the cluster removed it

	Unfinished string `json:"unfinished,omitempty"` // the command that is making the directory, or was when it died

	// Groups are the directories of the groups beside group 0 that this node has held and not been told to remove. In one
	// that is not listed nothing was promised to anybody.
	Groups []string `json:"groups,omitempty"`
}

// write replaces dtkv.json.
func (m metadata) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = writeFileSynced(filepath.Join(dir, metaFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// openDataDir creates or checks the data directory and locks it until the returned file is closed.
func openDataDir(cfg Config) (*os.File, metadata, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, metadata{}, fmt.Errorf("data directory: %w", err)
	}
	if err := checkForeign(cfg.DataDir); err != nil { // before leaving a file in somebody else's directory
		return nil, metadata{}, err
	}
	lock, err := lockDataDir(cfg.DataDir)
	if err != nil {
		return nil, metadata{}, err
	}
	meta, err := loadOrCreateMetadata(cfg)
	if err != nil {
		lock.Close()
		return nil, metadata{}, err
	}
	return lock, meta, nil
}

// lockDataDir keeps other processes out until the returned file is closed.
func lockDataDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another process", dir)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return lock, nil
}

// readMetadata reads dtkv.json. The error wraps os.ErrNotExist if there is none.
func readMetadata(dir string) (metadata, error) {
	path := filepath.Join(dir, metaFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return metadata{}, fmt.Errorf("data directory: %w", err)
	}
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return metadata{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	switch {
	case m.Version > dataDirVersion:
		return metadata{}, fmt.Errorf("%s was written by a newer release (version %d, this one reads %d)", path, m.Version, dataDirVersion)
	case m.Version < 1 || m.NodeID == "" || m.ClusterID == "" && !m.Joining && m.Unfinished == "":
		return metadata{}, fmt.Errorf("%s is damaged: fields are missing", path)
	}
	return m, nil
}

func loadOrCreateMetadata(cfg Config) (metadata, error) {
	m, err := readMetadata(cfg.DataDir)
	if errors.Is(err, os.ErrNotExist) {
		return createMetadata(cfg)
	}
	if err != nil {
		return metadata{}, err
	}
	switch {
	case m.Unfinished != "":
		return metadata{}, fmt.Errorf("data directory %s: dtkv %s did not finish; run it again", cfg.DataDir, m.Unfinished)
	case cfg.NodeID != "" && cfg.NodeID != m.NodeID:
		return metadata{}, fmt.Errorf("data directory %s belongs to node %q, not to %q", cfg.DataDir, m.NodeID, cfg.NodeID)
	case m.LogStore != string(cfg.LogStore):
		return metadata{}, fmt.Errorf("data directory %s keeps its log in %q; start with --log-store %s", cfg.DataDir, m.LogStore, m.LogStore)
	case m.Removed:
		return metadata{}, fmt.Errorf("data directory %s: node '%s' %w", cfg.DataDir, m.NodeID, errRemoved)
	case m.Joining && len(cfg.Join) == 0:
		return metadata{}, fmt.Errorf("data directory %s: no cluster has taken node '%s' in yet; start it with --join", cfg.DataDir, m.NodeID)
	}
	if m.Incarnation == "" { // a release before clusters
		m.Incarnation = randomID()
		return m, m.write(cfg.DataDir)
	}
	return m, nil
}

// checkForeign refuses a directory with files in it but without our mark. It is somebody else's, or ours and harmed, and
// in both cases a fresh start would bury data.
func checkForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	other := ""
	for _, e := range entries {
		switch {
		case e.Name() == metaFile:
			return nil
		case e.Name() != lockFile && e.Name() != metaFile+".tmp":
			other = e.Name()
		}
	}
	if other != "" {
		return fmt.Errorf("%s is not a dtkv data directory: it holds %q but no %s", dir, other, metaFile)
	}
	return nil
}

// createMetadata claims an empty directory.
func createMetadata(cfg Config) (metadata, error) {
	m := metadata{
		Version: dataDirVersion, NodeID: cfg.NodeID, LogStore: string(cfg.LogStore),
		identity: identity{Incarnation: randomID()},
	}
	if m.NodeID == "" {
		m.NodeID = "n1"
	}
	if len(cfg.Join) > 0 {
		m.Joining, m.WantsVote = true, !cfg.Learner
	} else {
		m.ClusterID = newClusterID(cfg.Peers)
	}
	return m, m.write(cfg.DataDir)
}

// newClusterID is the same on all nodes that were given the same peers, and random for a node alone.
func newClusterID(peers []Peer) string {
	if len(peers) == 0 {
		return randomID()
	}
	lines := make([]string, len(peers))
	for i, p := range peers {
		lines[i] = p.ID + "=" + p.Address
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

func randomID() string {
	var id [8]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// writeFileSynced replaces a file so that a crash leaves the old or the new content, never a mixture.
func writeFileSynced(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
