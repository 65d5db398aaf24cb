package backup

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// A cluster is saved through a node that follows, while it is written to, and restored on three fresh nodes. What was
// saved is the state at one index, to the byte; it holds all that was acknowledged before; and nothing that the old cluster
// gave afterwards is given again.
func TestABackupUnderLoadBecomesAFreshCluster(t *testing.T) {
	old := harness.StartCluster(t, 3, harness.Options{SnapshotEntries: 1 << 30})
	leader, follower := old.Leader(), old.Follower()
	number(t, leader, "DTKV.LOCK", "held", "3600000")
	if reply := harness.Dial(t, leader.Addr).Must(t, "SET", "later", "gone", "PX", "3600000"); reply != "+OK\r\n" {
		t.Fatal(reply)
	}
	l := startLoad(t, old)
	l.more(t, 30)
	before := l.acknowledged()
	file := filepath.Join(t.TempDir(), "saved")
	out := dtkv(t, "backup", "--addr", follower.Addr, file)
	l.more(t, 30)
	token := number(t, leader, "DTKV.LOCK", "after", "3600000") // given after the backup
	l.end()
	newest := lastEvent(t, leader)

	h, saved := state(t, file)
	if !strings.Contains(out, fmt.Sprintf("index %d", h.Index)) || !strings.Contains(out, fmt.Sprintf("digest %x", h.Digest)) || h.Node != old.Node(follower) {
		t.Errorf("it says %q of %+v", out, h)
	}
	for i, told := range before {
		n, ok := saved.Lookup([]byte(counter(i)))
		if !ok {
			t.Fatalf("%s is not in the backup", counter(i))
		}
		if got, err := strconv.ParseInt(n.Value, 10, 64); err != nil || got < told {
			t.Errorf("%s is %q, and %d was acknowledged before", counter(i), n.Value, told)
		}
	}
	for _, s := range old.Servers {
		s.Stop(t)
	}
	if was := replay(t, leader.DataDir, h.Index); was.Digest() != h.Digest || was.Index() != h.Index {
		t.Errorf("at index %d the log makes digest %x, the backup says %x", was.Index(), was.Digest(), h.Digest)
	}

	c := restored(t, file)
	for i, s := range c.Servers {
		again := filepath.Join(t.TempDir(), "again")
		dtkv(t, "backup", "--addr", s.Addr, again)
		ah, as := state(t, again)
		if tree(as) != tree(saved) || ah.Cluster == h.Cluster || ah.Index < h.Index+1<<32 {
			t.Errorf("node %d has %+v, of %+v", i+1, ah, h)
		}
		if as.ClusterMillis() < saved.ClusterMillis() {
			t.Errorf("the clock of node %d has gone back from %d to %d", i+1, saved.ClusterMillis(), as.ClusterMillis())
		}
		conn := harness.Dial(t, s.Addr)
		for _, id := range []string{"0-1", "1-1", fmt.Sprintf("%d-0", h.Index), newest} {
			if reply := conn.Must(t, "XREAD", "STREAMS", "__events__", id); !strings.HasPrefix(reply, "-COMPACTED oldest is ") {
				t.Errorf("XREAD after %s at node %d: %q", id, i+1, reply)
			}
		}
	}
	seen := map[uint64]bool{}
	for i := range 3 {
		got := number(t, c.Servers[i], "DTKV.LOCK", fmt.Sprintf("new-%d", i), "3600000")
		if got <= token+1<<32 || seen[got] {
			t.Errorf("token %d, after %d in the old cluster", got, token)
		}
		seen[got] = true
	}
}

// All databases are saved, also through a node that does not hold them, and live everywhere in the new cluster. One survivor
// of that one goes on with all of them.
func TestAllDatabasesAreSavedAndRestored(t *testing.T) {
	old := harness.StartCluster(t, 3, harness.Options{})
	s := old.Leader()
	for _, args := range [][]string{{"ADD", "1"}, {"ADD", "2", "n1", "n2"}, {"ADD", "9", "n3"}} {
		harness.Dial(t, s.Addr).Want(t, "+OK\r\n", append([]string{"DTKV.GROUP"}, args...)...)
	}
	databases := []string{"0", "1", "2", "9"}
	for _, db := range databases {
		in(t, s, db).Want(t, "+OK\r\n", "SET", "database", db)
	}
	file := filepath.Join(t.TempDir(), "saved")
	out := dtkv(t, "backup", "--addr", old.Servers[2].Addr, file) // n3 does not hold 2
	if check := dtkv(t, "restore", "--check", file); strings.Count(check, "1 values") != 4 || strings.Count(out, "1 values") != 4 {
		t.Errorf("saved: %q, checked: %q", out, check)
	}
	for _, s := range old.Servers {
		s.Kill()
	}

	c := restored(t, file)
	for _, s := range c.Servers {
		for _, db := range databases {
			in(t, s, db).Want(t, fmt.Sprintf("$1\r\n%s\r\n", db), "GET", "database")
			in(t, s, db).Want(t, ":1\r\n", "DBSIZE")
		}
	}
	for _, s := range c.Servers {
		s.Stop(t)
	}
	survivor := c.Servers[1]
	dtkv(t, "recover", "--data-dir", survivor.DataDir, "--i-know-what-i-lose")
	survivor = survivor.Restart(t)
	for _, db := range databases {
		harness.Eventually(t, "database "+db, func() bool {
			return in(t, survivor, db).Must(t, "SET", "database", "again") == "+OK\r\n"
		})
	}
	if reply := harness.Dial(t, survivor.Addr).Must(t, "SELECT", "3"); !strings.HasPrefix(reply, "-ERR DB index is out of range") {
		t.Errorf("a database that never was: %q", reply)
	}
}

// in is a connection to a database, once it can be selected.
func in(t *testing.T, s *harness.Server, db string) *harness.Conn {
	t.Helper()
	conn := harness.Dial(t, s.Addr)
	harness.Eventually(t, "database "+db, func() bool { return conn.Must(t, "SELECT", db) == "+OK\r\n" })
	return conn
}

// lastEvent is the id of the newest event that a node knows.
func lastEvent(t *testing.T, s *harness.Server) string {
	t.Helper()
	reply := harness.Dial(t, s.Addr).Must(t, "XREVRANGE", "__events__", "+", "-", "COUNT", "1")
	lines := strings.Split(reply, "\r\n")
	if len(lines) < 4 || !strings.Contains(lines[3], "-") {
		t.Fatalf("the last event: %q", reply)
	}
	return lines[3]
}

// small is a backup of a node with some data.
func small(t *testing.T, megabytes int) (s *harness.Server, file string) {
	t.Helper()
	s = harness.Start(t, harness.Options{})
	conn := harness.Dial(t, s.Addr)
	for i := range megabytes * 10 {
		conn.Want(t, "+OK\r\n", "SET", fmt.Sprint("k", i), strings.Repeat("v", 100_000))
	}
	conn.Want(t, "+OK\r\n", "SET", "last", "one")
	file = filepath.Join(t.TempDir(), "saved")
	dtkv(t, "backup", file, "--addr", s.Addr)
	return s, file
}

func TestADamagedBackupIsRefusedInOneLine(t *testing.T) {
	_, file := small(t, 0)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out := dtkv(t, "restore", "--check", file); !strings.Contains(out, "group 0: 1 values") || !strings.Contains(out, "whole") {
		t.Errorf("a check of a whole one: %q", out)
	}
	size := int64(len(data))
	bad := map[string]string{"a byte more": written(t, append(data[:size:size], 0)), "no backup": written(t, []byte("#!/bin/sh\necho hello, this is not what you want\n"))}
	for _, n := range []int64{0, 1, 15, 16, 17, 40, 110, 150, size / 2, size - 49, size - 48, size - 33, size - 1} {
		bad[fmt.Sprintf("the first %d bytes", n)] = written(t, data[:n])
	}
	for _, at := range []int64{0, 9, 13, 20, 30, 60, 90, 130, size / 2, size - 60, size - 40, size - 1} {
		bad[fmt.Sprintf("byte %d", at)] = flip(t, file, at)
	}
	for name, broken := range bad {
		dir := filepath.Join(t.TempDir(), "data")
		if out := refused(t, "restore", broken, "--data-dir", dir); !strings.Contains(out, broken) || !empty(t, dir) {
			t.Errorf("%s: %q", name, out)
		}
	}
	for _, name := range []string{"the first 16 bytes", "byte 60"} {
		refused(t, "restore", "--check", bad[name])
	}
}

func TestBackupsNeedTheirPassword(t *testing.T) {
	s := harness.Start(t, harness.Options{Password: "open sesame"})
	file := filepath.Join(t.TempDir(), "saved")
	if out := refused(t, "backup", file, "--addr", s.Addr); !strings.Contains(out, "NOAUTH") {
		t.Errorf("without a password: %q", out)
	}
	t.Setenv("DTKV_PASSWORD", "open sesame")
	dtkv(t, "backup", file, "--addr", s.Addr)
	dtkv(t, "restore", file, "--check")
}

// rounds is how often a command is killed; more, by hand, find more.
var rounds = flag.Int("rounds", 6, "how often backup and restore are killed")

// Killed at any moment, a backup leaves no file of its name but a whole one, and a restore leaves no directory that a node
// serves from but a whole one. Run again, both finish.
func TestKilledBackupsAndRestoresLeaveNothingThatLooksWhole(t *testing.T) {
	s, file := small(t, 10)
	began := time.Now()
	target := filepath.Join(t.TempDir(), "data")
	dtkv(t, "restore", file, "--data-dir", target)
	took := time.Since(began)
	died := 0
	for range *rounds {
		name, dir := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "data")
		killed(t, took, "backup", name, "--addr", s.Addr)
		if _, err := os.Stat(name); err == nil {
			dtkv(t, "restore", "--check", name)
		}
		dtkv(t, "backup", name, "--addr", s.Addr)
		dtkv(t, "restore", "--check", name)

		killed(t, took, "restore", file, "--data-dir", dir)
		meta, err := os.ReadFile(filepath.Join(dir, "dtkv.json"))
		whole := err == nil && !strings.Contains(string(meta), "unfinished")
		if err == nil && !whole {
			died++
			if out := refused(t, "serve", "--data-dir", dir, "--addr", harness.Loopback(harness.Port(t)), "--peer-addr", harness.Loopback(harness.Port(t)), "--http-addr", ""); !strings.Contains(out, "dtkv restore did not finish; run it again") {
				t.Errorf("it starts with %q", out)
			}
		}
		if !whole {
			dtkv(t, "restore", file, "--data-dir", dir)
		}
		node := harness.Start(t, harness.Options{DataDir: dir})
		harness.Dial(t, node.Addr).Want(t, "$3\r\none\r\n", "GET", "last")
		harness.Dial(t, node.Addr).Want(t, ":101\r\n", "DBSIZE")
		node.Kill()
	}
	t.Logf("%d of %d restores died while they wrote; one takes %v", died, *rounds, took)
}

// killed runs a sub-command and kills it after a while.
func killed(t *testing.T, most time.Duration, args ...string) {
	t.Helper()
	p := harness.Run(t, "", nil, harness.Binary(t), args...)
	select {
	case <-p.Done():
	case <-time.After(time.Duration(rand.Int64N(int64(most)))):
	}
	p.Kill()
}
