package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// T6: whoever looks at a temporary directory sees all that is in it, or nothing.
func TestATemporaryDirectoryGoesAtOneMoment(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c, reader := harness.Dial(t, s.Addr), harness.Dial(t, s.Addr)
	keys := []string{"d", "d.a", "d.b", "d.c", "d.c.d", "d.c.e"}
	for round := range 20 {
		for _, args := range [][]string{
			{"MULTI"},
			{"DTKV.MKDIR", "d", "PX", fmt.Sprint(10 + round)},
			{"DTKV.MKDIR", "d.c"},
			{"MSET", "d.a", "1", "d.b", "2", "d.c.d", "3", "d.c.e", "4"},
			{"EXEC"},
		} {
			if reply := c.Must(t, args...); reply[0] == '-' {
				t.Fatalf("%v: %s", args, reply)
			}
		}
		harness.Eventually(t, "the directory is gone", func() bool {
			reply := reader.Must(t, append([]string{"EXISTS"}, keys...)...)
			if reply != ":0\r\n" && reply != fmt.Sprintf(":%d\r\n", len(keys)) {
				t.Fatalf("round %d: of %d keys there are %q", round, len(keys), reply)
			}
			return reply == ":0\r\n"
		})
	}
}

// What has a time to live, or an owner, or is a lock, is after a restart what it was before.
func TestLivesOwnersAndLocksSurviveARestart(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	number := func(args ...string) (n int64) {
		t.Helper()
		reply := c.Must(t, args...)
		if _, err := fmt.Sscanf(reply, ":%d", &n); err != nil {
			t.Fatalf("%v: %q", args, reply)
		}
		return n
	}
	c.Want(t, "+OK\r\n", "SET", "k", "v", "EX", "1000000")
	c.Want(t, "+OK\r\n", "DTKV.PUTTEMP", "t", "1000000", "v", "OWNER", "me")
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "d", "PX", "1000000", "OWNER", "me")
	token := number("DTKV.LOCK", "l", "1000000", "OWNER", "me")
	c.Want(t, "+OK\r\n", "DTKV.PUTTEMP", "own", "1000000", "v")
	keys := []string{"k", "t", "d", "l", "own"}
	before := make(map[string]int64)
	for _, k := range keys {
		before[k] = number("PTTL", k)
	}

	s.Stop(t)
	s = s.Restart(t)
	c = harness.Dial(t, s.Addr)
	for _, k := range keys {
		if left := number("PTTL", k); left <= 0 || left > before[k] {
			t.Errorf("%s had %d ms left before the restart, and %d after", k, before[k], left)
		}
	}
	for _, args := range [][]string{{"DEL", "t"}, {"DTKV.REMOVE", "d", "OWNER", "you"}, {"DEL", "own"}, {"DTKV.RENEW", "l", "5"}} {
		if reply := c.Must(t, args...); !strings.HasPrefix(reply, "-NOTOWNER") {
			t.Errorf("after a restart %v answers %q", args, reply)
		}
	}
	c.Want(t, "$-1\r\n", "DTKV.LOCK", "l", "1000000", "OWNER", "you")
	if again := number("DTKV.LOCK", "l", "1000000", "OWNER", "me"); again != token {
		t.Errorf("the holder had token %d, and has %d", token, again)
	}
	c.Want(t, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "me")
	if next := number("DTKV.LOCK", "l", "1000000", "OWNER", "you"); next <= token {
		t.Errorf("token %d is followed by %d", token, next)
	}
	c.Want(t, ":1\r\n", "DTKV.REMOVE", "t", "OWNER", "me")
	c.Want(t, ":1\r\n", "DEL", "k")
}
