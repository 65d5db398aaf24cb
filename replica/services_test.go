package replica

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestNodesServeEachOther(t *testing.T) {
	c := startCluster(t, 2, nil)
	c.leader(-1)
	c.nodes[1].Serve("echo", func(conn net.Conn, from string, group int) {
		defer conn.Close()
		line, err := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprintf(conn, "%s to %d: %s%v\n", from, group, line, err)
	})
	conn, err := c.nodes[0].Dial(testContext(t), "n2", "echo", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if got, err := bufio.NewReader(conn).ReadString('\n'); got != "n1 to 0: hello\n" {
		t.Errorf("the other end says %q, %v", got, err)
	}

	for _, bad := range []struct {
		name, node, use string
		group           int
		want            string
	}{
		{"a node that is no member", "n9", "echo", 0, "not a member"},
		{"a use that nobody serves", "n2", "other", 0, "unknown use"},
		{"a group that is not there", "n2", "echo", 7, "no group 7"},
	} {
		if conn, err := c.nodes[0].Dial(testContext(t), bad.node, bad.use, bad.group); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("a stream to %s: %v, %v, want %q", bad.name, conn, err, bad.want)
		}
	}
}
