package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var (
	cycles = flag.Int("cycles", 16, "kill -9 cycles for each combination of log store and sync mode")
	seed   = flag.Uint64("seed", 0, "decides when each kill comes and which bytes are harmed; 0: kills by the clock, harm always alike")
)

func TestMain(m *testing.M) { harness.Main(m) }

// Killing the process loses nothing, not even with sync os: what the operating system has survives the process. Half of the
// kills come while a snapshot is being written.
func TestEveryAcknowledgedWriteSurvivesKill9(t *testing.T) {
	for _, store := range []string{"wal", "bolt"} {
		for _, sync := range []string{"always", "os"} {
			t.Run(store+" "+sync, func(t *testing.T) {
				t.Parallel()
				killCycles(t, harness.Options{LogStore: store, Sync: sync, SnapshotEntries: 300})
			})
		}
	}
}

func killCycles(t *testing.T, o harness.Options) {
	kills := *seed
	if kills == 0 {
		kills = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", kills)
	random := rand.New(rand.NewPCG(kills, 0))
	s := harness.Start(t, o)
	fill(t, s.Addr)
	l := newLedger()
	var during int
	var slowest time.Duration
	for cycle := range *cycles {
		load := begin(t, s.Addr, l, cycle)
		target := l.total() + 50 + random.IntN(1500)
		harness.Eventually(t, "enough acknowledged writes", func() bool { return l.total() >= target || !s.Alive() })
		if cycle%2 == 1 {
			harness.Eventually(t, "a snapshot being written", func() bool { return writingSnapshot(t, s.DataDir) || !s.Alive() })
		}
		if !s.Alive() {
			t.Fatalf("the server ended by itself in cycle %d", cycle)
		}
		s.Kill()
		load.end(t)
		if writingSnapshot(t, s.DataDir) {
			during++
		}
		s = s.Restart(t)
		slowest = max(slowest, s.Took)
		l.audit(t, s.Addr)
		l.pairs(t, s.Addr, twins())
		if t.Failed() {
			t.Fatalf("cycle %d", cycle)
		}
	}
	t.Logf("%d writes acknowledged in %d cycles, %d of them ended within a snapshot; slowest start %s", l.total(), *cycles, during, slowest)
	if during == 0 && *cycles > 1 {
		t.Error("no kill hit a snapshot while it was written")
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// fill gives the state some weight, so that a snapshot takes a while.
func fill(t *testing.T, addr string) {
	t.Helper()
	c := harness.Dial(t, addr)
	defer c.Close()
	value := strings.Repeat("x", 512)
	for i := range 200 {
		args := []string{"MSET"}
		for k := range 100 {
			args = append(args, fmt.Sprintf("fill:%d:%d", i, k), value)
		}
		c.Want(t, "+OK\r\n", args...)
	}
}

// writingSnapshot reports whether a snapshot is begun and not finished, seen from the disk.
func writingSnapshot(t *testing.T, dataDir string) bool {
	t.Helper()
	begun, err := filepath.Glob(filepath.Join(dataDir, "groups", "*", "snapshots", "*.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return len(begun) > 0
}
