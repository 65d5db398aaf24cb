package cluster

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// release builds the program as another release.
func release(t *testing.T, version string) (binary string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(t.TempDir(), "dtkv")
	build := exec.Command("go", "build", "-ldflags", "-X github.com/dtkv/dtkv/server.Version="+version, "-o", binary, "./cmd/dtkv")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// The steps of docs/operating.md, one after the other: the doctor finds nothing; learners first, then the voters, then the one
// that leads, which hands over before; after each, the cluster is well again; at the end all run the new release.
func TestARollingUpgrade(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	c.Join("--learner", "yes")
	newer := release(t, "9.9.9")
	writes := 0
	use := func() { // clients go on meanwhile
		for _, s := range c.Running() {
			writes++
			want(t, s, "+OK\r\n", "SET", "k"+strconv.Itoa(writes), "v")
		}
	}
	healed := func() {
		c.Eventually("dtkv status to say ok, and the doctor no more than that releases differ", func() bool {
			out, err := harness.TryOutput("", "", newer, "status", "--addr", c.Leader().Addr)
			text, well := doctor(t, c.Leader())
			return err == nil && strings.Contains(out, ": ok\n") && (well || strings.Contains(text, "1. nodes run different releases") && !strings.Contains(text, "\n2. "))
		})
	}
	upgrade := func(s *harness.Server) {
		id := c.Node(s)
		if code := s.Stop(t); code != 0 {
			t.Fatalf("%s ended with %d", id, code)
		}
		p := harness.Run(t, "", nil, newer, "--addr", s.Addr, "--peer-addr", s.PeerAddr, "--http-addr", "", "--data-dir", s.DataDir)
		c.Servers[slices.Index(c.Servers, s)] = &harness.Server{Process: p, Options: s.Options}
		healed()
		use()
	}
	healed()
	use()
	harness.Output(t, t.TempDir(), "", newer, "backup", "--addr", c.Leader().Addr, "before")
	upgrade(c.Servers[3]) // the learner
	next := regexp.MustCompile(`in this order, each when dtkv status says ok again: (n\d) \((voter|leader),`)
	for range 2 {
		text, _ := doctor(t, c.Leader())
		m := next.FindStringSubmatch(text)
		if m == nil || m[2] != "voter" {
			t.Fatalf("which node comes next?\n%s", text)
		}
		n, _ := strconv.Atoi(m[1][1:])
		upgrade(c.Servers[n-1])
	}
	text, _ := doctor(t, c.Leader())
	m := next.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("which node comes last?\n%s", text)
	}
	n, _ := strconv.Atoi(m[1][1:])
	last := c.Servers[n-1]
	if c.Leader() == last {
		for _, s := range c.Servers[:3] {
			if s != last {
				lead(t, c, last, s)
				break
			}
		}
	}
	upgrade(last)
	if text, well := doctor(t, c.Leader()); !well {
		t.Errorf("after all:\n%s", text)
	}
	for i := 1; i <= writes; i++ {
		want(t, c.Follower(), "$1\r\nv\r\n", "GET", "k"+strconv.Itoa(i))
	}
}
