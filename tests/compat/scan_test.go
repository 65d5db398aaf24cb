package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// A key that is there from the first step of a scan to its last is returned, whatever comes and goes meanwhile, and even
// when the server is killed and restarted in the middle: the cursor is all there is to know.
func TestAScanReturnsWhatStaysThroughout(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	const stay = 400
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "dir")
	for i := range stay {
		c.Want(t, "+OK\r\n", "MSET", fmt.Sprintf("stay:%d", i), "v", fmt.Sprintf("go:%d", i), "v", fmt.Sprintf("dir.%d", i), "v")
	}
	seen := map[string]int{}
	cursor := "0"
	for step := 0; step == 0 || cursor != "0"; step++ {
		var keys []string
		cursor, keys = scan(t, c, cursor, "COUNT", "10")
		for _, k := range keys {
			seen[k]++
		}
		c.Must(t, "DEL", fmt.Sprintf("go:%d", step*7%stay))
		c.Want(t, "+OK\r\n", "SET", fmt.Sprintf("come:%d", step), "v")
		c.Want(t, "+OK\r\n", "SET", fmt.Sprintf("stay:%d", step*3%stay), "changed")
		if step == 40 {
			s.Kill()
			s = s.Restart(t)
			c = harness.Dial(t, s.Addr)
		}
		if step > 10*stay {
			t.Fatal("the scan does not end")
		}
	}
	for i := range stay {
		for _, k := range []string{fmt.Sprintf("stay:%d", i), fmt.Sprintf("dir.%d", i)} {
			if seen[k] != 1 {
				t.Errorf("%s was returned %d times", k, seen[k])
			}
		}
	}
	if seen["dir"] != 0 {
		t.Error("a directory was returned as a key")
	}
}

func scan(t *testing.T, c *harness.Conn, cursor string, options ...string) (next string, keys []string) {
	t.Helper()
	reply := c.Must(t, append([]string{"SCAN", cursor}, options...)...)
	lines := strings.Split(reply, "\r\n") // *2, $n, cursor, *m, then for each key its length and the key
	if len(lines) < 4 || lines[0] != "*2" {
		t.Fatalf("SCAN %s: %q", cursor, reply)
	}
	for i := 5; i < len(lines); i += 2 {
		keys = append(keys, lines[i])
	}
	return lines[2], keys
}
