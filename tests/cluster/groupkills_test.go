package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var groupKills = flag.Int("group-kills", 4, "how often TestGroupsComeAndGoWhileNodesAreKilled kills a node")

// Databases are added and removed while kill -9 hits one node or another somewhere in the midst of it. In the end each node has
// what the catalogue says, and nothing of what was removed.
func TestGroupsComeAndGoWhileNodesAreKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := groupKiller{harness.StartCluster(t, 3, harness.Options{}), t}
	value := strings.Repeat("v", 100_000)
	for round := range *groupKills {
		ids := []string{fmt.Sprint(1 + 2*round%200), fmt.Sprint(2 + 2*round%200)}
		c.during(rng, func(by *harness.Server) {
			for _, id := range ids {
				c.changed(by, "exists already", "ADD", id)
			}
		})
		for _, s := range c.Servers {
			for _, id := range ids {
				c.written(s, id, value)
			}
		}
		want := c.directories(c.Servers[0])
		if len(want) != 1+len(ids) {
			t.Fatalf("n1 has the directories %v", want)
		}
		for _, s := range c.Servers {
			harness.Eventually(t, fmt.Sprintf("%v on all nodes", want), func() bool { return slices.Equal(c.directories(s), want) })
		}
		c.during(rng, func(by *harness.Server) {
			for _, id := range ids {
				c.changed(by, "does not exist", "REMOVE", id)
			}
		})
		for _, s := range c.Servers {
			harness.Eventually(t, "end of the data of removed databases", func() bool { return slices.Equal(c.directories(s), []string{"0"}) })
		}
	}
}

type groupKiller struct {
	*harness.Cluster
	t *testing.T
}

// during does something through one node while another one, or the same, dies and comes back.
func (c groupKiller) during(rng *rand.Rand, do func(by *harness.Server)) {
	c.t.Helper()
	c.Leader()
	victim, by := rng.IntN(3), rng.IntN(3)
	if by == victim {
		by = (victim + 1) % 3
	}
	pause := time.Duration(rng.IntN(400)) * time.Millisecond
	c.t.Logf("n%d is killed after %v, n%d is asked", victim+1, pause, by+1)
	killed := make(chan struct{})
	go func() {
		time.Sleep(pause)
		c.Servers[victim].Kill()
		close(killed)
	}()
	do(c.Servers[by])
	<-killed
	c.Relaunch(c.Servers[victim])
	c.Leader()
}

// changed makes a change of the databases, again as long as it may not have been made.
func (c groupKiller) changed(by *harness.Server, done string, args ...string) {
	c.t.Helper()
	var reply string
	harness.Eventually(c.t, strings.Join(args, " "), func() bool {
		conn, err := harness.Connect(by.Addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		reply, err = conn.Do(append([]string{"DTKV.GROUP"}, args...)...)
		if err == nil && !strings.HasPrefix(reply, "+OK") && !strings.HasPrefix(reply, "-INDOUBT") && !strings.HasPrefix(reply, "-CLUSTERDOWN") &&
			!strings.Contains(reply, done) {
			c.t.Fatalf("%v: %s", args, reply)
		}
		return err == nil && (strings.HasPrefix(reply, "+OK") || strings.Contains(reply, done))
	})
}

// written writes into a database through a node.
func (c groupKiller) written(s *harness.Server, id, value string) {
	c.t.Helper()
	var reply string
	harness.Eventually(c.t, "a write into database "+id+" at "+c.Node(s), func() bool {
		conn, err := harness.Connect(s.Addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		if reply, err = conn.Do("SELECT", id); err != nil || reply != "+OK\r\n" {
			return false
		}
		reply, err = conn.Do("SET", "key-"+c.Node(s), value)
		return err == nil && reply == "+OK\r\n"
	})
}

func (c groupKiller) directories(s *harness.Server) (names []string) {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.DataDir, "groups"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
