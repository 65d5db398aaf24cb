package backup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// dtkv runs a sub-command to its end and returns what it printed.
func dtkv(t *testing.T, args ...string) string {
	t.Helper()
	return harness.Output(t, "", "", harness.Binary(t), args...)
}

// refused runs a sub-command that must fail with one line, and returns that.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := harness.TryOutput("", "", harness.Binary(t), args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "dtkv: ") {
		t.Errorf("dtkv %v: %v, %q; want exit code 1 and one line", args, err, out)
	}
	return out
}

// load writes through all nodes of a cluster: each writer counts its own key up, and writes to many more.
type load struct {
	stop chan struct{}
	wg   sync.WaitGroup
	done [6]atomic.Int64 // what each writer was told last
}

func startLoad(t *testing.T, c *harness.Cluster) *load {
	t.Helper()
	l := &load{stop: make(chan struct{})}
	for i := range l.done {
		s := c.Servers[i%len(c.Servers)]
		l.wg.Go(func() { l.write(s, i) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

func (l *load) write(s *harness.Server, writer int) {
	rng := rand.New(rand.NewPCG(1, uint64(writer)))
	conn, err := harness.Connect(s.Addr)
	if err != nil {
		return
	}
	defer conn.Close()
	for n := int64(1); ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		key := fmt.Sprintf("many-%d", rng.IntN(2000))
		value := strings.Repeat("x", rng.IntN(300))
		if reply, err := conn.Do("MSET", counter(writer), strconv.FormatInt(n, 10), key, value); err != nil || reply != "+OK\r\n" {
			return
		}
		l.done[writer].Store(n)
	}
}

func counter(writer int) string { return fmt.Sprintf("counter-%d", writer) }

// acknowledged is what all writers were told so far.
func (l *load) acknowledged() (all [6]int64) {
	for i := range all {
		all[i] = l.done[i].Load()
	}
	return all
}

// more waits until every writer was told of so many more writes.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	before := l.acknowledged()
	harness.Eventually(t, "more writes", func() bool {
		for i, now := range l.acknowledged() {
			if now < before[i]+n {
				return false
			}
		}
		return true
	})
}

// number reads an integer reply of one command.
func number(t *testing.T, s *harness.Server, args ...string) uint64 {
	t.Helper()
	reply := harness.Dial(t, s.Addr).Must(t, args...)
	n, err := strconv.ParseUint(strings.Trim(reply, ":\r\n"), 10, 64)
	if err != nil {
		t.Fatalf("%q: %q", args, reply)
	}
	return n
}

// state is group 0 of a backup file as restore sees it.
func state(t *testing.T, file string) (backup.Header, fsm.View) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := backup.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	h, m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return h, m.View()
}

// tree is a hash of all nodes with all that belongs to them. Unlike the digest it leaves out clock, term and tokens, which
// move when a cluster starts.
func tree(v fsm.View) string {
	sum := sha256.New()
	v.Ascend(func(n *fsm.Node) bool {
		deadline, _ := n.Deadline()
		fmt.Fprintf(sum, "%q %v %q %v %v %d %s", n.Key, n.Kind, n.Value, n.Created, n.Updated, deadline, n.Owner().Digest())
		if q := n.Lock(); q != nil {
			holder, _ := q.Holder()
			fmt.Fprintf(sum, " %d %v %d", q.Token(), holder, q.Len())
		}
		fmt.Fprintln(sum)
		return true
	})
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// replay folds the log of a node that does not run, up to an index, or to its end for 0. The log must go back to its
// beginning.
func replay(t *testing.T, dataDir string, to uint64) fsm.View {
	t.Helper()
	m := fsm.New()
	err := replica.InspectLog(dataDir, 0, 0, to, func(e replica.LogEntry) error {
		switch {
		case e.Damaged:
			return fmt.Errorf("entry %d is damaged", e.Index)
		case to > 0 && e.Index > to:
			return nil
		case e.Type != "command":
			m.Advance(e.Index)
			return nil
		}
		entry, err := fsm.OpenEntry(e.Data)
		if err != nil {
			return err
		}
		entry.Index, entry.LogTerm = e.Index, e.Term
		_, err = m.Apply(&entry, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.View()
}

// restored makes three nodes from a file and starts them.
func restored(t *testing.T, file string) *harness.Cluster {
	t.Helper()
	var peers []string
	var servers []*harness.Server
	for i := range 3 {
		peers = append(peers, fmt.Sprintf("n%d=%s", i+1, harness.Loopback(harness.Port(t))))
	}
	for _, peer := range peers {
		id, address, _ := strings.Cut(peer, "=")
		dir := filepath.Join(t.TempDir(), "data")
		dtkv(t, "restore", file, "--data-dir", dir, "--node-id", id, "--peers", strings.Join(peers, ","))
		servers = append(servers, harness.Launch(t, harness.Options{DataDir: dir, PeerAddr: address}))
	}
	c := harness.ClusterOf(t, servers...)
	c.Leader()
	return c
}

// flip writes a copy of a file with one bit flipped.
func flip(t *testing.T, file string, at int64) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x20
	return written(t, data)
}

func written(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// empty reports whether a directory is missing or holds nothing.
func empty(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0 && errors.Is(err, io.EOF)
}
