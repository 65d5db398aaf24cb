package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// knownFile keeps whom this node has met.
const knownFile = "peers.json"

// maxKnown bounds the nodes that are remembered.
const maxKnown = 1024

// identity tells a data directory from another one of the same node id.
type identity struct {
	Incarnation string `json:"incarnation"`      // drawn when the directory was made
	Joined      uint64 `json:"joined,omitempty"` // index of the configuration that took the node in; 0: it formed the cluster
}

// acquaintances remembers the data directory behind each node id. A node that lost its directory has forgotten its votes
// and the entries that it had promised to keep; if it came back under its old id, it could help to elect a leader that
// lacks acknowledged writes. So whoever met the old directory keeps out the new one, until the cluster has taken the node
// in anew.
type acquaintances struct {
	path string

	mu   sync.Mutex
	seen map[string]identity
}

func openAcquaintances(dir string) (*acquaintances, error) {
	a := &acquaintances{path: filepath.Join(dir, knownFile), seen: map[string]identity{}}
	data, err := os.ReadFile(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := json.Unmarshal(data, &a.seen); err != nil {
		return nil, fmt.Errorf("%s is %w: %w", a.path, errDamaged, err)
	}
	return a, nil
}

// errStranger means that a node lost its data directory and has come back under its old id.
var errStranger = errors.New("is not the node that had this id before")

// meet checks whether a node is the one that was met before, and remembers a new one before anything is made of its words.
func (a *acquaintances) meet(id string, who identity) error {
	if who.Incarnation == "" {
		return nil // it claims nothing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch before, met := a.seen[id]; {
	case met && before == who:
		return nil
	case met && who.Joined <= before.Joined:
		return fmt.Errorf("node '%s' %w: it has lost its data. Remove it (DTKV.CLUSTER REMOVE %s) and let it join under a new id", id, errStranger, id)
	case !met && len(a.seen) >= maxKnown:
		return fmt.Errorf("more than %d nodes have been here; no more are remembered", maxKnown)
	}
	before, met := a.seen[id]
	a.seen[id] = who
	data, err := json.MarshalIndent(a.seen, "", "  ")
	if err == nil {
		err = writeFileSynced(a.path, append(data, '\n'))
	}
	if err != nil {
		if delete(a.seen, id); met {
			a.seen[id] = before
		}
		return fmt.Errorf("remember node '%s': %w", id, err)
	}
	return nil
}

// find returns the node that was met last under that id.
func (a *acquaintances) find(id string) (identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	who, met := a.seen[id]
	return who, met
}
