package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// A cluster with certificates and a password does all that one without does, and its ports are closed to others.
func TestAnEncryptedCluster(t *testing.T) {
	ca := harness.NewCA(t)
	c := harness.StartCluster(t, 3, harness.Options{CA: ca, Password: "correct horse"})
	w := write(t, c)
	w.hear(t, 50)
	joined := c.Join()
	has(c, joined, "voter")
	follower := c.Follower()
	want(t, follower, "+OK\r\n", "SET", "k", "v")
	for _, s := range c.Running() {
		want(t, s, "$1\r\nv\r\n", "GET", "k")
	}
	want(t, follower, "+OK\r\n", "DTKV.CLUSTER", "TRANSFER", c.Node(follower))
	c.Eventually("the transfer", func() bool { return c.Agreed() == c.Node(follower) })
	if code := follower.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	w.hear(t, 50)
	follower.Restart(t)
	has(c, follower, "voter")
	w.hear(t, 50)

	// A database that only one node holds, through another one.
	holder, other := c.Running()[0], c.Running()[1]
	want(t, other, "+OK\r\n", "DTKV.GROUP", "ADD", "3", c.Node(holder))
	relayed := harness.Dial(t, other.Addr)
	c.Eventually("the database to be served", func() bool { return relayed.Must(t, "SELECT", "3") == "+OK\r\n" })
	relayed.Want(t, "+OK\r\n", "SET", "far", strings.Repeat("v", 100_000))
	relayed.Want(t, ":100000\r\n", "STRLEN", "far")
	relayed.Want(t, "+RESET\r\n", "RESET")
	relayed.Want(t, "-NOAUTH Authentication required.\r\n", "STRLEN", "far")
	relayed.Want(t, "+OK\r\n", "AUTH", "correct horse")
	relayed.Want(t, ":0\r\n", "STRLEN", "far")

	stranger := harness.NewCA(t)
	peer := joined.PeerAddr
	node, key := ca.Node(t, "other")
	for _, test := range []struct {
		name string
		how  *tls.Config // nil: plaintext
		want string      // what the hello is answered with; empty: nothing
	}{
		{"plaintext", nil, ""},
		{"no certificate", ca.Config(t, "", ""), ""},
		{"a client's certificate", ca.Client(t, "client"), ""},
		{"a node's certificate of another CA", foreign(t, ca, stranger), ""},
		{"a node's certificate", ca.Config(t, node, key), "refused: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := greetPeer(t, peer, test.how); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("a stream is answered %q, want %q", got, test.want)
			}
		})
	}

	outsider := harness.Launch(t, harness.Options{CA: stranger, Password: "x", More: []string{"--node-id", "n9", "--join", peer}})
	harness.Eventually(t, "a word about the node that may not join", func() bool { return strings.Contains(joined.Log(), "unknown authority") })
	outsider.Kill()
}

// foreign is what a node of another CA has that would believe this one.
func foreign(t *testing.T, ca, other *harness.CA) *tls.Config {
	cert, key := other.Node(t, "node")
	how := ca.Config(t, "", "")
	how.Certificates = other.Config(t, cert, key).Certificates
	return how
}

// greetPeer says hello at a peer port and returns the answer. An error of TLS is none.
func greetPeer(t *testing.T, addr string, how *tls.Config) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if how != nil {
		conn = tls.Client(conn, how)
	}
	_, _ = fmt.Fprintln(conn, `{"dtkv":1,"cluster":"another","from":"n9","to":"n4","group":0,"use":"raft"}`)
	answer, err := io.ReadAll(conn)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Errorf("no answer at all: %v", err)
	}
	if how == nil && len(answer) > 0 && answer[0] == 21 { // an alert of TLS
		return ""
	}
	return string(answer)
}
