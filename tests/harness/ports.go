package harness

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Test ports come from below the range that systems give to outgoing connections. A server that is restarted on its old
// port would else find it taken by somebody's client now and then.
const (
	portsFirst  = 20_000
	portsBlocks = 100
	portsBlock  = 100 // ports a test process owns; the first of them is held to say so
)

var ports struct {
	mu    sync.Mutex
	claim net.Listener // open for the life of the process: the block is ours
	base  int
	next  int
}

// Port returns a loopback port that nothing listens on and that no other test process will be given.
func Port(t testing.TB) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.claim == nil && !claimBlock() {
		t.Fatal("harness: every block of test ports is taken")
	}
	for range portsBlock {
		ports.next = ports.next%(portsBlock-1) + 1
		port := ports.base + ports.next
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("harness: every test port of this process is busy")
	return 0
}

func claimBlock() bool {
	for i := range portsBlocks {
		base := portsFirst + i*portsBlock
		l, err := net.Listen("tcp", Loopback(base))
		if err == nil {
			ports.claim, ports.base = l, base
			return true
		}
	}
	return false
}

// Loopback is the address of a port on this machine.
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// SplitPort is the port of an address, as programs want it in a flag of its own.
func SplitPort(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(fmt.Errorf("harness: %w", err))
	}
	return port
}
