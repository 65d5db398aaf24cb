package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// stream sends bytes in pieces and stops when the server has closed the connection.
func stream(c *harness.Conn, data []byte, piece int) {
	for len(data) > 0 {
		n := min(piece, len(data))
		if c.Send(data[:n]) != nil {
			return
		}
		data = data[n:]
	}
}

// refusedOrDone reads the one reply to a very large command: what the command answers, or a clear error. Only a protocol
// error ends the connection.
func refusedOrDone(t *testing.T, c *harness.Conn, done string) string {
	t.Helper()
	reply, err := c.Reply()
	switch {
	case err != nil:
		t.Fatalf("no reply: %v", err)
	case reply == done:
		return "done"
	case strings.HasPrefix(reply, "-ERR Protocol error: "):
		if rest, err := c.Closed(); err != nil || rest != "" {
			t.Errorf("after %q: %q, %v, want the end", reply, rest, err)
		}
	case strings.HasPrefix(reply, "-ERR "):
		c.Want(t, "+PONG\r\n", "PING")
	default:
		t.Fatalf("reply %.200q", reply)
	}
	return strings.TrimSpace(reply)
}

func TestACommandBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})

	// One argument of 64 MiB + 1 is refused by its length alone, whatever follows.
	c := harness.Dial(t, v.Addr)
	head := "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$67108865\r\n"
	if err := c.Send([]byte(head)); err != nil {
		t.Fatal(err)
	}
	stream(c, make([]byte, 4*mib), 64<<10)
	if got, err := c.Reply(); err == nil && got != "-ERR Protocol error: invalid bulk length\r\n" {
		t.Errorf("64 MiB + 1 in one argument: %q", got)
	}
	v.unharmed(t, 32*mib)

	// 64 MiB + 1 in many arguments is refused when the limit is reached, and not kept until then twice over.
	var b strings.Builder
	b.WriteString("*141\r\n$4\r\nMSET\r\n")
	value := strings.Repeat("v", mib)
	for i := range 70 {
		fmt.Fprintf(&b, "$5\r\nbig%02d\r\n$%d\r\n%s\r\n", i, mib, value)
	}
	c = harness.Dial(t, v.Addr)
	go stream(c, []byte(b.String()), 256<<10)
	if got, err := c.Closed(); !strings.HasPrefix(got, "-ERR Protocol error: ") {
		t.Errorf("70 MiB in one command: %q, %v", got, err)
	}
	v.honest.Want(t, ":0\r\n", "EXISTS", "big00")
	v.unharmed(t, 320*mib)
}

// A value of 64 MiB is within the limit of a command, but not of a value.
func TestAValueBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	c := harness.Dial(t, v.Addr)
	size := 60 * mib
	if err := c.Send([]byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", size))); err != nil {
		t.Fatal(err)
	}
	stream(c, make([]byte, size+2), 256<<10)
	// The two bytes after the value are zeros: a server that takes the value to the end says so.
	reply, err := c.Closed()
	if err != nil || !strings.HasPrefix(reply, "-ERR ") {
		t.Errorf("a value of 60 MiB with a bad end: %q, %v", reply, err)
	}
	c = harness.Dial(t, v.Addr)
	go stream(c, harness.Command("SET", "big", string(make([]byte, size))), 256<<10)
	t.Log("a value of 60 MiB:", refusedOrDone(t, c, "+OK\r\n"))
	v.honest.Want(t, ":0\r\n", "EXISTS", "big")
	v.unharmed(t, 320*mib)
}

func TestAMillionArgumentsInSmallPieces(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	const pairs = 500_000
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n$4\r\nMSET\r\n", 1+2*pairs)
	for i := range pairs {
		fmt.Fprintf(&b, "$7\r\nm%06d\r\n$1\r\nv\r\n", i)
	}
	c := harness.Dial(t, v.Addr)
	began := time.Now()
	go stream(c, []byte(b.String()), 700)
	outcome := refusedOrDone(t, c, "+OK\r\n")
	t.Logf("a million arguments in pieces of 700 bytes: %s after %s", outcome, time.Since(began).Round(time.Millisecond))
	if outcome == "done" {
		v.honest.Want(t, fmt.Sprintf(":%d\r\n", pairs), "DBSIZE")
		v.honest.Want(t, "$1\r\nv\r\n", "GET", "m499999")
	} else {
		v.honest.Want(t, ":0\r\n", "DBSIZE")
	}
	v.unharmed(t, 768*mib)
}

// A client that asks and does not listen is made to wait, and in the end let go. What it asked for is not kept for it.
func TestASlowReaderIsLetGo(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	v.honest.Want(t, "+OK\r\n", "SET", "big", strings.Repeat("v", mib))
	const slow = 10
	for range slow {
		c := harness.Dial(t, v.Addr)
		go stream(c, []byte(strings.Repeat(string(harness.Command("GET", "big")), 500)), 64<<10)
	}
	harness.Eventually(t, "all slow readers connected", func() bool { return v.clients(t) == 1+slow })
	v.unharmed(t, 160*mib)
	harness.Eventually(t, "the end of all slow readers", func() bool { return v.clients(t) == 1 })
	v.unharmed(t, 160*mib)
}

// A command that begins and does not come to its end does not hold a connection for ever.
func TestAHalfCommandIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	for _, half := range []string{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\nabc", "PIN", "*2\r\n", "*"} {
		if err := harness.Dial(t, v.Addr).Send([]byte(half)); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, "the end of the half commands", func() bool { return v.clients(t) == 1 })
	v.unharmed(t, 32*mib)
}
