package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// Two of three nodes are lost for good, under load. The third goes on with every entry of its log, as the page on operating
// says, and two new ones join. What turns up of the old cluster does no harm.
func TestAClusterGoesOnAfterItsMajorityIsLost(t *testing.T) {
	old := harness.StartCluster(t, 3, harness.Options{SnapshotEntries: 1 << 30})
	token := number(t, old.Leader(), "DTKV.LOCK", "held", "3600000")
	l := startLoad(t, old)
	l.more(t, 30)
	survivor := old.Follower()
	for _, s := range old.Running() {
		if s != survivor {
			s.Kill()
		}
	}
	l.end()
	newest := lastEvent(t, survivor)
	if reply := harness.Dial(t, survivor.Addr).Must(t, "SET", "k", "v"); !strings.HasPrefix(reply, "-CLUSTERDOWN") {
		t.Fatalf("without a majority: %q", reply)
	}

	refused(t, "recover", "--data-dir", survivor.DataDir) // it runs
	survivor.Stop(t)
	had := replay(t, survivor.DataDir, 0)
	out := dtkv(t, "recover", "--data-dir", survivor.DataDir)
	if !strings.Contains(out, fmt.Sprintf("index %d", had.Index())) || !strings.Contains(out, "Nothing was changed") {
		t.Errorf("the survey says %q, the log ends at %d", out, had.Index())
	}
	out = dtkv(t, "recover", "--data-dir", survivor.DataDir, "--i-know-what-i-lose")
	copied := survivor.DataDir + ".before-recover-1"
	if !strings.Contains(out, "LOST") || !strings.Contains(out, copied) {
		t.Errorf("it says %q", out)
	}
	if was := replay(t, copied, 0); was.Digest() != had.Digest() || was.Index() != had.Index() {
		t.Error("the copy is not what was there")
	}
	if err := os.RemoveAll(filepath.Clean(copied)); err != nil { // it is beside a directory that the test cleans up
		t.Error(err)
	}

	survivor = survivor.Restart(t)
	file := filepath.Join(t.TempDir(), "saved")
	dtkv(t, "backup", "--addr", survivor.Addr, file)
	if _, has := state(t, file); tree(has) != tree(had) {
		t.Error("an entry of the log is not in the state")
	}
	if next := number(t, survivor, "DTKV.LOCK", "new", "3600000"); next <= token+1<<32 {
		t.Errorf("token %d, after %d", next, token)
	}
	if reply := harness.Dial(t, survivor.Addr).Must(t, "XREAD", "STREAMS", "__events__", newest); !strings.HasPrefix(reply, "-COMPACTED ") {
		t.Errorf("XREAD after %s: %q", newest, reply)
	}

	var joined []*harness.Server
	for i, s := range old.Servers {
		if s.DataDir == survivor.DataDir {
			continue
		}
		ghost := harness.Launch(t, s.Options) // with its old data
		defer ghost.Kill()
		joined = append(joined, harness.Launch(t, harness.Options{More: []string{"--node-id", fmt.Sprintf("m%d", i+1), "--join", survivor.PeerAddr}}))
	}
	harness.Eventually(t, "three voters", func() bool {
		status, err := survivor.Status()
		return err == nil && status["voters"] == "3" && status["state"] == "ok"
	})
	harness.Dial(t, joined[0].Addr).Want(t, "+OK\r\n", "SET", "k", "v")
	survivor.Kill() // the new ones have it all
	harness.Eventually(t, "the new nodes to go on", func() bool {
		reply, err := ask(joined[1].Addr, "GET", "k")
		return err == nil && reply == "$1\r\nv\r\n"
	})
	for i := range l.done {
		n, _ := had.Lookup([]byte(counter(i)))
		harness.Dial(t, joined[1].Addr).Want(t, fmt.Sprintf("$%d\r\n%s\r\n", len(n.Value), n.Value), "GET", counter(i))
	}
}

func ask(addr string, args ...string) (string, error) {
	conn, err := harness.Connect(addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.Do(args...)
}
