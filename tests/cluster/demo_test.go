package cluster

import (
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// row returns the first of so many consecutive ports.
func row(t *testing.T, n int) int {
	t.Helper()
	first, got := harness.Port(t), 1
	for got < n {
		if next := harness.Port(t); next == first+got {
			got++
		} else {
			first, got = next, 1
		}
	}
	return first
}

var tries = regexp.MustCompile(`redis-cli -p (\d+) (.+)`)

// One command gives a cluster, what it tells to try works, a node that is killed comes back, and the end is the end of all.
func TestTheDemonstration(t *testing.T) {
	const nodes = 3
	port := row(t, nodes)
	dir := t.TempDir()
	binary := harness.Binary(t)
	p := harness.Run(t, dir, nil, binary, "demo", "--addr", harness.Loopback(port))
	harness.Eventually(t, "the welcome", func() bool { return strings.Contains(p.Log(), "Ctrl-C") || !p.Alive() })
	tried := tries.FindAllStringSubmatch(p.Log(), -1)
	if len(tried) != 4 {
		t.Fatalf("it says to try %d things:\n%s", len(tried), p.Log())
	}
	for _, try := range tried {
		words := strings.Fields(try[2])
		reply := harness.Dial(t, net.JoinHostPort("127.0.0.1", try[1])).Must(t, words...)
		if reply[0] == '-' || words[0] == "GET" && reply != "$5\r\nworld\r\n" {
			t.Errorf("%s answers %q", try[0], reply)
		}
	}
	victim := regexp.MustCompile(`n1 .* process (\d+)`).FindStringSubmatch(p.Log())
	pid, err := strconv.Atoi(victim[1])
	if err != nil || pid < 2 {
		t.Fatalf("no process in %q", victim)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "word of the end of a node", func() bool { return strings.Contains(p.Log(), "n1 has ended (signal: killed)") })
	if err := harness.Ready(harness.Loopback(port), p); err != nil {
		t.Fatal(err)
	}
	p.Signal(t, syscall.SIGINT)
	if code := p.Wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.Log())
	}
	for i := range nodes {
		if c, err := net.Dial("tcp", harness.Loopback(port+i)); err == nil {
			c.Close()
			t.Errorf("n%d outlived the demonstration", i+1)
		}
	}
}

// A demonstration that was given a password asks for it.
func TestTheDemonstrationWithAPassword(t *testing.T) {
	addr := harness.Loopback(harness.Port(t))
	p := harness.Run(t, t.TempDir(), []string{"DTKV_PASSWORD=secret"}, harness.Binary(t), "demo", "--nodes", "1", "--addr", addr)
	harness.Eventually(t, "the welcome", func() bool { return strings.Contains(p.Log(), "Ctrl-C") || !p.Alive() })
	c := harness.Dial(t, addr)
	c.Want(t, "-NOAUTH Authentication required.\r\n", "GET", "k")
	c.Want(t, "+OK\r\n", "AUTH", "secret")
	c.Want(t, "$-1\r\n", "GET", "k")
}
