package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Network is a switch with nodes at it, each in a network namespace of its own. What goes from one node to another can be
// dropped, each way on its own; what goes between the test and a node can not.
//
// All of it belongs to a process that nobody else shares a network with, see [Isolated], and goes with it.
type Network struct {
	t testing.TB
}

const (
	switchAddr = "10.77.0.254" // of the test
	peerPort   = "7001"
	clientPort = "6379"
	dropTable  = "faults"
	// envIsolated names the test that the process was started for.
	envIsolated = "DTKV_TEST_ISOLATED"
)

// Isolated reports whether this process has a network of its own. If it has none, the test is run in a process that has
// one, with the flags of this one; the result is the test's, which must do nothing else then.
//
// Where such a process cannot be had, the test is not run: see [NotRun].
func Isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envIsolated) == t.Name() {
		return true
	}
	Need(t, "ip", "nft")
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	args := append(slices.Clone(os.Args[1:]), "-test.run="+strings.Join(pattern, "/"), "-test.count=1", "-test.v=true", "-test.testlogfile=")
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), envIsolated+"="+t.Name())
	isolate(cmd)
	out := &log{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := start(cmd); err != nil {
		NotRun(t, "needs network namespaces: "+err.Error())
	}
	err := cmd.Wait()
	switch said := out.String(); {
	case err != nil:
		t.Errorf("in a network of its own: %v\n%s", err, said)
	case strings.Contains(said, "--- SKIP: "+t.Name()):
		_, why, _ := strings.Cut(said, "not run: ")
		why, _, _ = strings.Cut(why, "\n")
		NotRun(t, why)
	default:
		t.Log(said)
	}
	return false
}

// NewNetwork makes the network of an isolated process. There is one in a process.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	n := &Network{t: t}
	if err := ownMounts(); err != nil {
		NotRun(t, "needs mounts of its own: "+err.Error())
	}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "switch", "type", "bridge"},
		{"ip", "addr", "add", switchAddr + "/24", "dev", "switch"},
		{"ip", "link", "set", "switch", "up"},
		{"nft", "add", "table", "bridge", dropTable},
		{"nft", "add", "chain", "bridge", dropTable, "drops", "{ type filter hook forward priority 0; }"},
	} {
		if err := run(args...); err != nil {
			NotRun(t, "needs network namespaces: "+err.Error())
		}
	}
	return n
}

func run(args ...string) error {
	if out, err := TryOutput("", "", args[0], args[1:]...); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out))
	}
	return nil
}

func host(number int) string { return fmt.Sprintf("10.77.0.%d", number) }

func namespace(number int) string { return fmt.Sprintf("node%d", number) }

// connect makes the place of a node and returns its peer address.
func (n *Network) connect(number int) string {
	n.t.Helper()
	space, port := namespace(number), fmt.Sprintf("port%d", number)
	for _, args := range [][]string{
		{"ip", "netns", "add", space},
		{"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space},
		{"ip", "link", "set", port, "master", "switch", "up"},
		{"ip", "-n", space, "addr", "add", host(number) + "/24", "dev", "eth0"},
		{"ip", "-n", space, "link", "set", "lo", "up"},
		{"ip", "-n", space, "link", "set", "eth0", "up"},
	} {
		if err := run(args...); err != nil {
			n.t.Fatal(err)
		}
	}
	return net.JoinHostPort(host(number), peerPort)
}

func clientAddr(peerAddr string) string {
	host, _, _ := net.SplitHostPort(peerAddr)
	return net.JoinHostPort(host, clientPort)
}

// inside is the command that runs a command at the place of a node.
func (n *Network) inside(peerAddr string, command []string) []string {
	var number int
	if _, err := fmt.Sscanf(peerAddr, "10.77.0.%d:", &number); err != nil {
		n.t.Fatal(err)
	}
	return append([]string{"ip", "netns", "exec", namespace(number)}, command...)
}

// Drop drops what one node sends to another, until [Network.Heal].
func (n *Network) Drop(from, to *Server) {
	n.t.Helper()
	a, _, err1 := net.SplitHostPort(from.PeerAddr)
	b, _, err2 := net.SplitHostPort(to.PeerAddr)
	if err := errors.Join(err1, err2, run("nft", "add", "rule", "bridge", dropTable, "drops", "ip", "saddr", a, "ip", "daddr", b, "drop")); err != nil {
		n.t.Fatal(err)
	}
}

// Cut drops what two nodes send to each other.
func (n *Network) Cut(a, b *Server) {
	n.t.Helper()
	n.Drop(a, b)
	n.Drop(b, a)
}

// Heal lets everything pass again.
func (n *Network) Heal() {
	n.t.Helper()
	if err := run("nft", "flush", "chain", "bridge", dropTable, "drops"); err != nil {
		n.t.Fatal(err)
	}
}
