package hostile

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// victim is a server under attack, and the honest client that must not notice.
type victim struct {
	*harness.Server
	honest *harness.Conn
	base   int64 // resident memory before the attack
	count  int
}

func newVictim(t *testing.T, o harness.Options) *victim {
	t.Helper()
	v := &victim{Server: harness.Start(t, o)}
	v.honest = harness.Dial(t, v.Addr)
	v.base, _, _ = v.Memory()
	return v
}

// unharmed checks that the honest client is served, on its old connection and on a new one, and that the attack cost no
// more memory at any time than the given bytes.
func (v *victim) unharmed(t *testing.T, cost int64) {
	t.Helper()
	if !v.Alive() {
		t.Fatal("the server has ended")
	}
	v.count++
	value := strconv.Itoa(v.count)
	v.honest.Want(t, "+OK\r\n", "SET", "honest", value)
	fresh := harness.Dial(t, v.Addr)
	defer fresh.Close()
	fresh.Want(t, "$"+strconv.Itoa(len(value))+"\r\n"+value+"\r\n", "GET", "honest")
	_, peak, ok := v.Memory()
	if !ok {
		return
	}
	t.Logf("memory: %d MiB before, %d MiB at most", v.base>>20, peak>>20)
	if peak-v.base > cost {
		t.Errorf("memory grew by %d MiB, the bound is %d MiB", (peak-v.base)>>20, cost>>20)
	}
	if strings.Contains(v.Log(), "panic") {
		t.Errorf("a panic shows in the log:\n%s", v.Log())
	}
}

// clients is how many connections the server counts, the honest one among them.
func (v *victim) clients(t *testing.T) int {
	t.Helper()
	info := v.honest.Must(t, "INFO", "clients")
	_, after, ok := strings.Cut(info, "connected_clients:")
	number, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		t.Fatalf("INFO clients: %q", info)
	}
	return n
}

// reset closes a connection the hard way: the server gets RST instead of an orderly end.
func reset(c *harness.Conn) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Fails only on a connection that is gone already.
	}
	c.Close()
}

const mib = 1 << 20
