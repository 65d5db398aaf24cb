package hostile

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestFiveThousandIdleConnections(t *testing.T) {
	t.Parallel()
	const crowd = 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < crowd+500 {
		harness.NotRun(t, fmt.Sprintf("needs %d open files, the system allows %d", crowd+500, limit.Max))
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	v := newVictim(t, harness.Options{})
	conns := make([]*harness.Conn, crowd)
	for i := range conns {
		conns[i] = harness.Dial(t, v.Addr)
		if i%2 == 0 { // One that was used leaves more behind than one that never was.
			conns[i].Want(t, "+OK\r\n", "SET", "used", strings.Repeat("v", 1000))
		}
	}
	harness.Eventually(t, "all connections counted", func() bool { return v.clients(t) == 1+crowd })
	v.unharmed(t, 96*mib) // about 10 KiB each here, with room for machines of more cores
	for i := 0; i < crowd; i += 100 {
		conns[i].Want(t, "+PONG\r\n", "PING")
	}
	for i, c := range conns {
		if i%2 == 0 {
			reset(c)
		} else {
			c.Close()
		}
	}
	harness.Eventually(t, "all connections gone", func() bool { return v.clients(t) == 1 })
	v.unharmed(t, 128*mib)
}

func TestChurnLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	before, known := v.Descriptors()
	for i := range 3000 {
		c := harness.Dial(t, v.Addr)
		switch i % 5 {
		case 1: // leaves in the middle of a command
			_ = c.Send([]byte("*3\r\n$3\r\nSET\r\n$5\r\nchu"))
		case 2: // leaves without its replies
			_ = c.Send([]byte(strings.Repeat(string(harness.Command("SET", "churn", "v")), 20)))
		case 3: // leaves a transaction
			c.Want(t, "+OK\r\n", "WATCH", "churn")
			c.Want(t, "+OK\r\n", "MULTI")
			c.Want(t, "+QUEUED\r\n", "SET", "churn", "w")
		case 4:
			c.Want(t, "+PONG\r\n", "PING")
		}
		if i%2 == 0 {
			reset(c)
		} else {
			c.Close()
		}
	}
	harness.Eventually(t, "the end of all connections", func() bool { return v.clients(t) == 1 })
	if known {
		harness.Eventually(t, "all descriptors closed", func() bool {
			now, _ := v.Descriptors()
			return now <= before+20 // Nodes make streams to each other as they are needed; a leak would leave hundreds.
		})
	}
	v.honest.Want(t, "$1\r\nv\r\n", "GET", "churn")
	v.unharmed(t, 64*mib)
}

func TestOneClientTooManyIsToldSo(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{More: []string{"--max-clients", "10"}})
	var guests []*harness.Conn
	for range 9 {
		c := harness.Dial(t, v.Addr)
		c.Want(t, "+PONG\r\n", "PING")
		guests = append(guests, c)
	}
	for range 20 {
		c := harness.Dial(t, v.Addr)
		if got, err := c.Closed(); err != nil || got != "-ERR max number of clients reached\r\n" {
			t.Fatalf("one client too many: %q, %v", got, err)
		}
	}
	guests[0].Close()
	harness.Eventually(t, "a free place", func() bool { return v.clients(t) == 9 })
	v.unharmed(t, 32*mib)
}
