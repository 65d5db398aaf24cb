package replica

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	idleGroups = flag.Int("idle-groups", 4, "how many groups TestIdleGroupsAreCheap adds")
	idleTime   = flag.Duration("idle-time", time.Second, "for how long TestIdleGroupsAreCheap measures")
)

// emptyGroup is what a group that nobody writes to may take of a disk, in bytes: snapshot, metadata and a little log.
const emptyGroup = 1 << 20

func cpuTime(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The figures in docs/adr/0016-groups.md: go test ./replica -run Idle -v -idle-groups 16 -idle-time 30s
func TestIdleGroupsAreCheap(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.heartbeat = 500 * time.Millisecond })
	c.leader(-1)
	measure := func(groups int) {
		time.Sleep(*idleTime / 4)
		before := cpuTime(t)
		began := time.Now()
		time.Sleep(*idleTime)
		took := time.Since(began)
		t.Logf("%d groups beside group 0, nobody writes: %.1f %% of a processor for all three nodes", groups, 100*float64(cpuTime(t)-before)/float64(took))
	}
	measure(0)
	for id := 1; id <= *idleGroups; id++ {
		c.addGroup(0, id)
	}
	for id := 1; id <= *idleGroups; id++ {
		c.groupIs(id, "n1v n2v n3v")
	}
	measure(*idleGroups)
	for i := range c.nodes {
		bytes := int64(0)
		err := filepath.WalkDir(filepath.Join(c.configs[i].DataDir, groupDir, c.holds(i, 1).name()), func(path string, _ os.DirEntry, err error) error {
			var s unix.Stat_t
			if err == nil {
				err = unix.Stat(path, &s)
			}
			bytes += s.Blocks * 512
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if bytes > emptyGroup {
			t.Errorf("n%d: an empty group takes %d KiB of disk", i+1, bytes>>10)
		}
		t.Logf("n%d: group 1 takes %d KiB of disk", i+1, bytes>>10)
	}
}
