package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// What is published at one node reaches the subscribers of all, in order, also after a node was away. A node that hangs holds
// nobody up.
func TestPublishReachesAllNodes(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	subscribe := func(s *harness.Server) *harness.Conn {
		conn := harness.Dial(t, s.Addr)
		conn.Want(t, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n", "SUBSCRIBE", "news")
		conn.Want(t, "*3\r\n$10\r\nssubscribe\r\n$5\r\nshard\r\n:1\r\n", "SSUBSCRIBE", "shard")
		return conn
	}
	var subscribers []*harness.Conn
	for _, s := range c.Servers {
		subscribers = append(subscribers, subscribe(s))
	}
	hears := func(conn *harness.Conn, want string) {
		t.Helper()
		if reply, err := conn.Reply(); !strings.HasSuffix(reply, "\r\n"+want+"\r\n") {
			t.Fatalf("a subscriber hears %q, %v; want %q", reply, err, want)
		}
	}
	for i := range 30 {
		message := fmt.Sprint("message ", i)
		want(t, c.Servers[i%3], ":1\r\n", "PUBLISH", "news", message) // this node's subscribers count
		for _, conn := range subscribers {
			hears(conn, message)
		}
	}
	publisher := harness.Dial(t, c.Servers[0].Addr)
	for i := range 100 {
		publisher.Want(t, ":1\r\n", "SPUBLISH", "shard", digits(i))
	}
	for _, conn := range subscribers {
		for i := range 100 {
			hears(conn, digits(i))
		}
	}

	hung := c.Servers[1]
	hung.Pause(t)
	for i := range 100 {
		publisher.Want(t, ":1\r\n", "PUBLISH", "news", digits(i))
		hears(subscribers[2], digits(i))
	}
	hung.Resume(t)

	gone := c.Servers[2]
	gone.Kill()
	c.Servers[2] = harness.Start(t, gone.Options)
	back := subscribe(c.Servers[2])
	heard := make(chan error, 1)
	go func() {
		_, err := back.Reply()
		heard <- err
	}()
	c.Eventually("a message at the node that came back", func() bool {
		publisher.Want(t, ":1\r\n", "PUBLISH", "news", "again")
		select {
		case err := <-heard:
			return err == nil
		default:
			return false
		}
	})
}
