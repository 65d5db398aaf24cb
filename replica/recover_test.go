package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stopAll stops the nodes of a cluster and returns their data directories.
func (c *cluster) stopAll() (dirs []string) {
	for i := range c.nodes {
		c.stop(i)
		dirs = append(dirs, c.configs[i].DataDir)
	}
	return dirs
}

func recovery(dir string) Recovery { return Recovery{DataDir: dir, Logger: quietLogger()} }

func TestTheLastSurvivorGoesOn(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.SnapshotEntries = 30 })
	for i := range 50 {
		c.set(-1, fmt.Sprint("k", i%20), fmt.Sprint(i))
	}
	token := lockToken(t, c.group(c.leader(-1)), "lock")
	c.agree()
	want, cluster := contents(c.group(2)), c.nodes[2].ClusterID()
	c.stopAll()

	r := recovery(c.configs[2].DataDir)
	survey, err := r.Survey()
	if err != nil || len(survey.Groups) != 1 || survey.Groups[0].Last < 50 || len(survey.Groups[0].Members) != 3 || survey.Copy != "" {
		t.Fatalf("survey: %+v, %v", survey, err)
	}
	found, err := r.Recover()
	if err != nil {
		t.Fatal(err)
	}
	if g := found.Groups[0]; g.Last != survey.Groups[0].Last || g.Begins < g.Last+1<<32 || g.Values != 20 {
		t.Errorf("recovered: %+v", g)
	}
	c.configs[2].Peers = nil // it knows
	c.start(2)
	g := c.group(2)
	if err := g.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if contents(g) != want {
		t.Error("it has another state than before")
	}
	if n := c.nodes[2]; n.ID() != "n3" || n.ClusterID() == cluster || n.ClusterID() != found.Cluster {
		t.Errorf("it is node %s of cluster %s, which was %s", n.ID(), n.ClusterID(), cluster)
	}
	if next := lockToken(t, g, "another"); next <= token+1<<32 {
		t.Errorf("the next token is %d, the last was %d", next, token)
	}
	mustSet(t, g, "after", "all")

	// A node of the old cluster turns up. Nobody listens to it, and it hears nothing.
	c.start(0)
	// Another one comes anew, under its old id.
	address := c.configs[1].PeerAddr
	c.configs[1] = Config{
		DataDir: t.TempDir(), NodeID: "n2", PeerAddr: address, Join: []string{g.node.address},
		Logger: quietLogger(), heartbeat: 300 * time.Millisecond, dial: c.network.dialer(1),
	}
	c.start(1)
	eventually(t, "the vote of the node that joined", func() bool {
		m := g.Status().Members
		return len(m) == 2 && m[0].Voter && m[1].Voter
	})
	eventually(t, "the state on the node that joined", func() bool { return contents(c.group(1)) == contents(g) })
	mustSet(t, g, "both", "of us")
	if s := c.group(0).Status(); s.Ready || strings.Contains(contents(c.group(0)), "after") {
		t.Error("a node of the old cluster takes part")
	}
}

// The survivor goes on with all groups that it held. Those that it did not hold are gone, and it says so.
func TestASurvivorGoesOnWithItsGroups(t *testing.T) {
	c := spreadOut(t)
	for id := 1; id <= 2; id++ {
		eventually(t, "the last write at the survivor", func() bool { return strings.Contains(contents(c.holds(0, id)), "k9") })
	}
	want := [3]string{contents(c.group(0)), contents(c.holds(0, 1)), contents(c.holds(0, 2))}
	c.stopAll()
	found, err := recovery(c.configs[0].DataDir).Recover()
	if err != nil || len(found.Groups) != 3 || fmt.Sprint(found.Lost) != "[3]" || found.Groups[2].Values != 10 {
		t.Fatalf("%+v, %v", found, err)
	}
	c.configs[0].Peers = nil
	c.start(0)
	c.groupIs(1, "n1v")
	c.groupIs(2, "n1v")
	for id := range want {
		if contents(c.holds(0, id)) != want[id] {
			t.Errorf("group %d has another state than before", id)
		}
		c.setIn(0, id, "after", "all")
	}
	if groups := c.nodes[0].Groups(); len(groups) != 3 {
		t.Errorf("the groups are %+v", groups)
	}
	c.configs[1] = Config{
		DataDir: t.TempDir(), NodeID: "n2", PeerAddr: c.configs[1].PeerAddr, Join: []string{c.nodes[0].address},
		Logger: quietLogger(), heartbeat: 300 * time.Millisecond, dial: c.network.dialer(1),
	}
	c.start(1)
	c.groupIs(1, "n1v n2v")
	c.groupIs(2, "n1v n2v")
	c.setIn(1, 2, "both", "of us")
}

// What the old leader had in its log, and could not commit any more, is kept: somebody may have been told that it happened,
// by a leader whose majority is lost.
func TestRecoverKeepsEntriesThatWereNotCommitted(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.set(-1, "k", "committed")
	leader := c.leader(-1)
	c.isolate(leader, true)
	p := proposal(setTo("k", "in the log"))
	if err := c.group(leader).Propose(testContext(t), p); err == nil {
		t.Fatal("it was committed")
	}
	c.stopAll()
	if _, err := recovery(c.configs[leader].DataDir).Recover(); err != nil {
		t.Fatal(err)
	}
	n, g := openSingle(t, Config{DataDir: c.configs[leader].DataDir})
	defer closeNode(t, n)
	if got := get(t, g, "k"); got != "in the log" {
		t.Errorf("the value is %q", got)
	}
}

// The directory is copied first, and the copy is a node like the one before.
func TestRecoverCopiesFirst(t *testing.T) {
	n, g := openSingle(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})
	mustSet(t, g, "k", "v")
	want, cluster, dir := contents(g), n.ClusterID(), n.cfg.DataDir
	if _, err := recovery(dir).Survey(); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a node that runs: %v", err)
	}
	closeNode(t, n)
	r := recovery(dir)
	var copies []string
	for range 2 {
		found, err := r.Recover()
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, found.Copy)
	}
	if copies[0] != dir+".before-recover-1" || copies[1] != dir+".before-recover-2" {
		t.Errorf("the copies are %v", copies)
	}
	for _, to := range []string{copies[0], filepath.Join(dir, "inside")} {
		if _, err := (Recovery{DataDir: dir, CopyTo: to, Logger: quietLogger()}).Recover(); err == nil {
			t.Errorf("it was copied to %s", to)
		}
	}
	n, g = openSingle(t, Config{DataDir: copies[0]})
	defer closeNode(t, n)
	if contents(g) != want || n.ClusterID() != cluster {
		t.Error("the copy is another node")
	}
}

// Wherever recover dies, the directory is as before, or refuses to serve until recover has run again.
func TestRecoverMayDieAnywhere(t *testing.T) {
	for step, name := range []string{"copied", "prepared in part", "prepared", "marked", "old groups gone", "exchanged", "acquaintances forgotten"} {
		t.Run(name, func(t *testing.T) {
			n, g := openSingle(t, Config{DataDir: filepath.Join(t.TempDir(), "data"), LogStore: StoreBolt}) // whose files are small
			mustSet(t, g, "k", "v")
			dir := n.cfg.DataDir
			closeNode(t, n)
			r := recovery(dir)
			lock, meta, err := r.open()
			if err != nil {
				t.Fatal(err)
			}
			dieAt(t, r, meta, step)
			lock.Close()
			n, err = Open(Config{DataDir: dir, LogStore: StoreBolt, PeerAddr: "127.0.0.1:0", Logger: quietLogger()})
			switch {
			case step < 3 && err != nil:
				t.Errorf("nothing was changed, and it does not start: %v", err)
			case step >= 3 && (err == nil || !strings.Contains(err.Error(), "dtkv recover did not finish")):
				t.Errorf("it starts, or says nothing of recover: %v", err)
			}
			if err == nil {
				closeNode(t, n)
			}
			if _, err := r.Survey(); step >= 3 && err == nil {
				t.Error("a survey says nothing of the run before")
			}
			if _, err := r.Recover(); err != nil {
				t.Fatal(err)
			}
			n, g = openSingle(t, Config{DataDir: dir, LogStore: StoreBolt})
			defer closeNode(t, n)
			if got := get(t, g, "k"); got != "v" || g.Status().Applied < leap {
				t.Errorf("the value is %q at index %d", got, g.Status().Applied)
			}
			if _, err := os.Stat(filepath.Join(dir, newGroupDir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something is left: %v", err)
			}
		})
	}
}

// dieAt does what Recover does, up to a step.
func dieAt(t *testing.T, r Recovery, meta metadata, step int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.copy()
	must(err)
	if step == 0 {
		return
	}
	found, err := r.survey(meta)
	must(err)
	must(r.prepare(&meta, &found))
	prepared, place := filepath.Join(r.DataDir, newGroupDir), filepath.Join(r.DataDir, groupDir)
	if step == 1 {
		must(os.Remove(filepath.Join(prepared, "0", markFile)))
	}
	if step < 3 {
		return
	}
	meta.ClusterID, meta.Unfinished = randomID(), unfinishedRecover
	must(meta.write(r.DataDir))
	if step >= 4 {
		must(os.RemoveAll(place))
	}
	if step >= 5 {
		must(os.Rename(prepared, place))
	}
	if step >= 6 {
		must(os.RemoveAll(filepath.Join(r.DataDir, knownFile)))
	}
}

func TestRecoverRefusesWhatItCannotMend(t *testing.T) {
	n, g := openSingle(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})
	mustSet(t, g, "k", "v")
	dir := n.cfg.DataDir
	closeNode(t, n)
	refused := func(dir, why string) {
		t.Helper()
		_, err := recovery(dir).Recover()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("want %q: %v", why, err)
		}
		if _, err := os.Lstat(dir + ".before-recover-1"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a copy is left of what was not changed: %v", err)
		}
	}
	refused(t.TempDir(), "is not a dtkv data directory")
	if err := os.WriteFile(filepath.Join(dir, groupDir, "0", markFile), make([]byte, 48), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(dir, "damaged")

	joining := t.TempDir()
	m := metadata{Version: 1, NodeID: "n4", LogStore: string(StoreWAL), Joining: true}
	if err := m.write(joining); err != nil {
		t.Fatal(err)
	}
	refused(joining, "has no data")
	m.Joining, m.Removed, m.ClusterID = false, true, "c"
	if err := m.write(joining); err != nil {
		t.Fatal(err)
	}
	refused(joining, "was removed")
}
