package watch

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var parked = flag.Int("parked", 1000, "clients that wait for one lock")

// waiters is how many wait for a lock behind its holder.
func waiters(t *testing.T, c *harness.Conn, key string) int {
	t.Helper()
	var n int
	_, after, _ := strings.Cut(c.Must(t, "DTKV.LOCKINFO", key), "waiters\r\n:")
	if _, err := fmt.Sscan(after, &n); err != nil {
		return -1 // it is free
	}
	return n
}

func wait(t *testing.T, c *harness.Conn, owner string) {
	t.Helper()
	if err := c.Send(harness.Command("DTKV.LOCK", "l", "600000", "WAIT", "600000", "OWNER", owner)); err != nil {
		t.Fatal(err)
	}
}

func TestManyWaitersAreGrantedInTheOrderOfTheirArrival(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Sync: "os"})
	c := harness.Dial(t, s.Addr)
	c.Want(t, ":1\r\n", "DTKV.LOCK", "l", "600000", "OWNER", "first")
	conns := make([]*harness.Conn, *parked)
	for i := range conns {
		conns[i] = harness.Dial(t, s.Addr)
		wait(t, conns[i], fmt.Sprint(i))
		harness.Eventually(t, "the client waits", func() bool { return waiters(t, c, "l") == i+1 })
	}
	info := c.Must(t, "INFO", "clients")
	if want := fmt.Sprintf("blocked_clients:%d\r\n", *parked); !strings.Contains(info, want) {
		t.Errorf("INFO lacks %q:\n%s", want, info)
	}
	if now, _, ok := s.Memory(); ok {
		t.Logf("memory with %d waiting clients: %d MiB", *parked, now>>20)
	}
	c.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "first")
	begun := time.Now()
	for i, waiting := range conns {
		reply, err := waiting.Reply()
		if want := fmt.Sprintf(":%d\r\n", i+2); err != nil || reply != want {
			t.Fatalf("client %d was granted %q, %v; want %q", i, reply, err, want)
		}
		waiting.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", fmt.Sprint(i))
	}
	t.Logf("%d grants one after the other: %s each", *parked, time.Since(begun)/time.Duration(*parked))
	c.Want(t, ":0\r\n", "EXISTS", "l")
}

// A client that dies gives up its place, whether its process is killed or its socket closed.
func TestADeadWaiterLeavesTheQueue(t *testing.T) {
	harness.NeedRedis(t)
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, ":1\r\n", "DTKV.LOCK", "l", "600000", "OWNER", "first")
	gone := func(how string) {
		t.Helper()
		begun := time.Now()
		harness.Eventually(t, "the place is free after "+how, func() bool { return waiters(t, c, "l") == 0 })
		t.Logf("%s: free after %s", how, time.Since(begun))
	}
	process := harness.Run(t, "", nil, "redis-cli", "-p", harness.SplitPort(t, s.Addr), "DTKV.LOCK", "l", "600000", "WAIT", "600000")
	harness.Eventually(t, "the process waits", func() bool { return waiters(t, c, "l") == 1 })
	process.Kill()
	gone("kill -9")

	conn := harness.Dial(t, s.Addr)
	wait(t, conn, "closes")
	harness.Eventually(t, "the connection waits", func() bool { return waiters(t, c, "l") == 1 })
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	gone("close")

	conn = harness.Dial(t, s.Addr)
	wait(t, conn, "killed")
	harness.Eventually(t, "the connection waits", func() bool { return waiters(t, c, "l") == 1 })
	c.Want(t, ":1\r\n", "CLIENT", "KILL", "LADDR", s.Addr)
	if rest, err := conn.Closed(); err != nil || rest != "" {
		t.Errorf("CLIENT KILL: %q, %v", rest, err)
	}
	gone("CLIENT KILL")
	c.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "first")
	c.Want(t, ":0\r\n", "EXISTS", "l")
}

// What a waiter is told when the node stops, and that it finds its place when it asks again.
func TestAWaiterKeepsItsPlaceThroughARestart(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, ":1\r\n", "DTKV.LOCK", "l", "600000", "OWNER", "first")
	for i := range 3 {
		conn := harness.Dial(t, s.Addr)
		wait(t, conn, fmt.Sprint(i))
		harness.Eventually(t, "the client waits", func() bool { return waiters(t, c, "l") == i+1 })
		defer func() {
			if rest, err := conn.Closed(); err != nil || !strings.HasPrefix(rest, "-INDOUBT this node is stopping") {
				t.Errorf("the waiter was told %q, %v", rest, err)
			}
		}()
	}
	s.Stop(t)
	begun := time.Now()
	s = s.Restart(t)
	c = harness.Dial(t, s.Addr)
	var conns []*harness.Conn
	for _, i := range []int{2, 1} { // 0 does not come back
		conn := harness.Dial(t, s.Addr)
		wait(t, conn, fmt.Sprint(i))
		conns = append(conns, conn)
		harness.Eventually(t, "it waits again", func() bool {
			return strings.Contains(c.Must(t, "INFO", "clients"), fmt.Sprintf("blocked_clients:%d\r\n", len(conns)))
		})
	}
	inTime := time.Since(begun) < 2*time.Second // else their places may have been gone already
	harness.Eventually(t, "who did not come back is gone", func() bool { return waiters(t, c, "l") == 2 })
	if !inTime {
		t.Log("this machine is too slow today to come back in time")
		return
	}
	c.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "first")
	if reply, err := conns[1].Reply(); reply != ":2\r\n" {
		t.Errorf("1 came first, and got %q, %v", reply, err)
	}
	c.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "1")
	if reply, err := conns[0].Reply(); reply != ":3\r\n" {
		t.Errorf("2 is next, and got %q, %v", reply, err)
	}
}
