package start

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// A node that a client shuts down ends like one that was told to by its supervisor, and has all it acknowledged.
func TestAClientShutsANodeDown(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	us, other := harness.Dial(t, s.Addr), harness.Dial(t, s.Addr)
	us.Want(t, "+OK\r\n", "SET", "k", "v")
	other.Want(t, "+PONG\r\n", "PING")
	if err := us.Send(harness.Command("SHUTDOWN", "NOSAVE")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*harness.Conn{us, other} {
		if rest, err := c.Closed(); err != nil || rest != "" {
			t.Errorf("the connection ends with %q, %v", rest, err)
		}
	}
	if code := s.Wait(t); code != 0 || !strings.Contains(s.Log(), "stopped") {
		t.Errorf("exit code %d:\n%s", code, s.Log())
	}
	s = s.Restart(t)
	harness.Dial(t, s.Addr).Want(t, "$1\r\nv\r\n", "GET", "k")
}

// BGSAVE takes a snapshot that the next start begins with.
func TestASnapshotByHand(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, "+OK\r\n", "SET", "k", "v")
	c.Want(t, "+Background saving started\r\n", "BGSAVE")
	harness.Eventually(t, "a snapshot", func() bool {
		info := c.Must(t, "INFO", "persistence")
		return strings.Contains(info, "rdb_saves:1\r\n") && strings.Contains(info, "rdb_bgsave_in_progress:0\r\n") &&
			strings.Contains(info, "rdb_last_bgsave_status:ok\r\n")
	})
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	out := harness.Output(t, "", "", harness.Binary(t), "inspect", "snapshot", "--data-dir", s.DataDir)
	if !strings.Contains(out, "k") {
		t.Errorf("the snapshot holds:\n%s", out)
	}
	harness.Dial(t, s.Restart(t).Addr).Want(t, "$1\r\nv\r\n", "GET", "k")
}
