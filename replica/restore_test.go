package replica

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/fsm"
)

// backupOf is a file with the states of groups as of now.
func backupOf(t *testing.T, groups ...*Group) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		v, err := g.Frozen(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		one, err := backup.NewGroup(backup.Header{Cluster: g.node.ClusterID(), Node: g.node.ID(), Group: g.id, Taken: time.UnixMilli(1)}, v)
		if err != nil {
			t.Fatal(err)
		}
		var sent bytes.Buffer
		if err := one.Write(&sent); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Add(&sent); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// lockToken takes a lock and returns the token.
func lockToken(t *testing.T, g *Group, key string) uint64 {
	t.Helper()
	p := proposal(&fsm.AcquireLock{Key: []byte(key), Owner: fsm.Owner{9}, Lease: 1 << 30})
	if err := g.Propose(testContext(t), p); err != nil || !p.Results[0].Found {
		t.Fatalf("lock %s: %v, %+v", key, err, p.Results)
	}
	return uint64(p.Results[0].Int)
}

// sample is a backup of a small cluster of one, its state as text, and its newest token.
func sample(t *testing.T) (file []byte, state string, token uint64) {
	t.Helper()
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	for i := range 100 {
		mustSet(t, g, fmt.Sprint("k", i), strings.Repeat("v", i))
	}
	token = lockToken(t, g, "lock")
	state, file = contents(g), backupOf(t, g)
	return file, state, token
}

func TestABackupBecomesANewCluster(t *testing.T) {
	file, state, token := sample(t)
	bothStores(t, func(t *testing.T, store LogStore) {
		c := restoreCluster(t, file, store, "n")
		c.leader(-1)
		eventually(t, "state of the backup on all nodes", func() bool {
			return contents(c.group(0)) == state && contents(c.group(1)) == state && contents(c.group(2)) == state
		})
		ids := c.nodes[0].ClusterID() + c.nodes[1].ClusterID() + c.nodes[2].ClusterID()
		if ids != strings.Repeat(c.nodes[0].ClusterID(), 3) {
			t.Errorf("the nodes are of clusters %s", ids)
		}
		g := c.group(c.leader(-1))
		if next := lockToken(t, g, "another"); next <= token+1<<32 {
			t.Errorf("the token after the restore is %d, the newest in the backup %d", next, token)
		}
		c.set(-1, "new", "life")
		for i := range c.nodes { // and it survives a restart and a snapshot, like any other
			if err := c.group(i).Snapshot(); err != nil {
				t.Error(err)
			}
			c.stop(i)
		}
		for i := range c.nodes {
			c.start(i)
		}
		c.set(-1, "newer", "life")
		c.agree()
	})
}

// restoreCluster makes three nodes from a file and starts them.
func restoreCluster(t *testing.T, file []byte, store LogStore, ids string) *cluster {
	t.Helper()
	var peers []Peer
	for i := range 3 {
		peers = append(peers, Peer{ID: fmt.Sprint(ids, i+1), Address: freeAddress(t)})
	}
	c := &cluster{
		t:       t,
		network: &testNetwork{nodes: map[string]int{}, cut: map[[2]int]error{}, conns: map[[2]int][]net.Conn{}},
		nodes:   make([]*Node, 3),
	}
	for i, p := range peers {
		c.network.nodes[p.Address] = i // before anybody dials
	}
	for i, p := range peers {
		dir := filepath.Join(t.TempDir(), "made", "by-restore")
		if _, _, err := Restore(bytes.NewReader(file), Restoration{
			DataDir: dir, NodeID: p.ID, Peers: []Peer{peers[i], peers[(i+1)%3], peers[(i+2)%3]}, LogStore: store, Logger: quietLogger(),
		}); err != nil {
			t.Fatal(err)
		}
		c.configs = append(c.configs, Config{
			DataDir: dir, PeerAddr: p.Address, LogStore: store, Logger: quietLogger(), heartbeat: 300 * time.Millisecond, dial: c.network.dialer(i),
		})
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

// spreadOut is a cluster of three with group 1 everywhere, 2 on n1 and n2, 3 on n2 and n3.
func spreadOut(t *testing.T) *cluster {
	t.Helper()
	c := startCluster(t, 3, nil)
	c.set(-1, "k", "0")
	c.addGroup(0, 1)
	c.addGroup(0, 2, "n1", "n2")
	c.addGroup(0, 3, "n2", "n3")
	for id := 1; id <= 3; id++ {
		for i := range 10 {
			c.setIn(1, id, fmt.Sprint("k", i), fmt.Sprint(id))
		}
	}
	return c
}

func TestGroupsLiveEverywhereAfterARestore(t *testing.T) {
	old := spreadOut(t)
	lockToken(t, old.holds(1, 3), "lock")
	file := backupOf(t, old.group(1), old.holds(1, 1), old.holds(1, 2), old.holds(1, 3))
	var want [4]string
	for id := range want {
		want[id] = contents(old.holds(1, id))
	}
	generations := old.nodes[1].Groups()
	old.stopAll()

	c := restoreCluster(t, file, StoreBolt, "m")
	for id := 1; id <= 3; id++ {
		c.groupIs(id, "m1v m2v m3v")
		for i := range c.nodes {
			eventually(t, "state of the backup", func() bool { return contents(c.holds(i, id)) == want[id] })
		}
		c.setIn(id-1, id, "new", "life")
	}
	for i, info := range c.nodes[2].Groups() {
		if !info.Everywhere || !info.Open || info.Generation != generations[i].Generation {
			t.Errorf("%+v, which was %+v", info, generations[i])
		}
	}
	c.stop(0)
	c.start(0) // its groups are listed
	c.groupIs(3, "m1v m2v m3v")
	c.removeGroup(0, 2)
	c.groupIs(2, "")
	c.addGroup(0, 2)
	c.groupIs(2, "m1v m2v m3v")
}

func TestClustersMadeOfOneFileDoNotShareTokens(t *testing.T) {
	file, _, _ := sample(t)
	seen := map[uint64]bool{}
	for attempt := 1; attempt <= 3; attempt++ {
		dir := t.TempDir()
		if _, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: dir, Attempt: attempt, Logger: quietLogger()}); err != nil {
			t.Fatal(err)
		}
		n, g := openSingle(t, Config{DataDir: dir})
		for i := range 3 {
			token := lockToken(t, g, fmt.Sprint("l", i))
			if seen[token] {
				t.Errorf("attempt %d: token %d was given before", attempt, token)
			}
			seen[token] = true
		}
		closeNode(t, n)
	}
	if _, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: t.TempDir(), Attempt: MaxAttempt + 1, Logger: quietLogger()}); err == nil {
		t.Error("an attempt that numbers cannot take was made")
	}
}

func TestTheClusterIDTellsClustersApart(t *testing.T) {
	peers := []Peer{{"n1", "a:1"}, {"n2", "a:2"}}
	base := Restoration{Peers: peers, Attempt: 1}
	again := Restoration{Peers: []Peer{peers[1], peers[0]}, Attempt: 1, NodeID: "n2", DataDir: "x"}
	second := Restoration{Peers: peers, Attempt: 2}
	elsewhere := Restoration{Peers: []Peer{{"n1", "a:1"}, {"n2", "a:3"}}, Attempt: 1}
	alone := Restoration{Attempt: 1}
	sum, other := [32]byte{1}, [32]byte{2}
	id := base.clusterID(sum)
	if again.clusterID(sum) != id {
		t.Error("nodes of one cluster disagree")
	}
	for name, differs := range map[string]string{
		"another file": base.clusterID(other), "a second attempt": second.clusterID(sum), "other peers": elsewhere.clusterID(sum),
		"a node alone": alone.clusterID(sum), "formed without a backup": newClusterID(peers),
	} {
		if differs == id {
			t.Errorf("%s makes the same cluster", name)
		}
	}
	if first := alone.clusterID(sum); first == alone.clusterID(sum) {
		t.Error("two nodes alone are one cluster")
	}
}

func TestADamagedBackupLeavesNothing(t *testing.T) {
	file, _, _ := sample(t)
	try := func(name string, data []byte) {
		t.Helper()
		missing, empty := filepath.Join(t.TempDir(), "missing"), t.TempDir()
		for _, dir := range []string{missing, empty} {
			_, _, err := Restore(bytes.NewReader(data), Restoration{DataDir: dir, Logger: quietLogger()})
			if !errors.Is(err, fsm.ErrCorrupt) && !errors.Is(err, fsm.ErrNewerVersion) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Lstat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a directory is left: %v", name, err)
		}
		if left, err := os.ReadDir(empty); len(left) > 0 || err != nil {
			t.Errorf("%s: it leaves %v, %v", name, left, err)
		}
	}
	step := len(file)/15 + 1
	for at := 0; at < len(file); at += step {
		try(fmt.Sprintf("the first %d bytes", at), file[:at])
		flipped := bytes.Clone(file)
		flipped[at] ^= 0x10
		try(fmt.Sprintf("byte %d", at), flipped)
	}
	try("the end flipped", append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]^1))
	try("all but the last byte", file[:len(file)-1])
	try("a byte more", append(bytes.Clone(file), 0))
}

func TestARestoreTouchesNobodysData(t *testing.T) {
	file, _, _ := sample(t)
	n, g := openSingle(t, Config{DataDir: t.TempDir()})
	mustSet(t, g, "k", "mine")
	dir := n.cfg.DataDir
	refused := func(dir, why string) {
		t.Helper()
		before := listing(t, dir)
		_, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: dir, Logger: quietLogger()})
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("want %q: %v", why, err)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("%s was\n%s and is\n%s", dir, before, after)
		}
	}
	_, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: dir, Logger: quietLogger()})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a node that runs: %v", err)
	}
	closeNode(t, n)
	refused(dir, "holds the data of node 'n1' already")
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(foreign, "is not a dtkv data directory")
	if _, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: t.TempDir(), NodeID: "n4", Peers: []Peer{{"n1", "a:1"}}, Logger: quietLogger()}); err == nil {
		t.Error("a node that is not among its peers was made")
	}
}

// listing is the names and sizes of all files below a directory.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			fmt.Fprintln(&b, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dying is a reader in whose middle the process dies.
type dying struct {
	r    *bytes.Reader
	left int
}

func (d *dying) Read(p []byte) (int, error) {
	if d.left == 0 {
		panic("killed")
	}
	n, err := d.r.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, err
}

func TestARestoreThatDiedIsNoDataDirectory(t *testing.T) {
	file, state, _ := sample(t)
	for _, after := range []int{0, 100, len(file) / 2, len(file) - 40} {
		r := Restoration{DataDir: t.TempDir(), Logger: quietLogger()}
		if err := r.complete(); err != nil {
			t.Fatal(err)
		}
		lock, meta, err := r.claim()
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			_, _, err := r.groups(&dying{bytes.NewReader(file), after}, &meta)
			t.Errorf("it lives, %v", err)
		}()
		if _, err := Open(Config{DataDir: r.DataDir, PeerAddr: "127.0.0.1:0", Logger: quietLogger()}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a start beside it: %v", err)
		}
		lock.Close() // as the kernel does
		if _, err := Open(Config{DataDir: r.DataDir, PeerAddr: "127.0.0.1:0", Logger: quietLogger()}); err == nil || !strings.Contains(err.Error(), "did not finish") {
			t.Errorf("a start after %d bytes: %v", after, err)
		}
		if _, err := (Recovery{DataDir: r.DataDir, Logger: quietLogger()}).Recover(); err == nil {
			t.Error("it was recovered")
		}
		if _, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: r.DataDir, Logger: quietLogger()}); err != nil {
			t.Fatalf("once more: %v", err)
		}
		n, g := openSingle(t, Config{DataDir: r.DataDir})
		if contents(g) != state {
			t.Error("the second restore made another state")
		}
		closeNode(t, n)
	}
}
