package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// field is a number of INFO at a node.
func field(t *testing.T, s *harness.Server, section, name string) (n int) {
	t.Helper()
	info := harness.Dial(t, s.Addr).Must(t, "INFO", section)
	_, after, ok := strings.Cut(info, "\r\n"+name+":")
	if _, err := fmt.Sscan(after, &n); !ok || err != nil {
		t.Fatalf("no %s in %q", name, info)
	}
	return n
}

// outrun writes through the leader until the log does not reach back to where it was: a node that has not heard of it
// meanwhile can only be helped with a snapshot.
func outrun(t *testing.T, leader *harness.Server) (last int) {
	t.Helper()
	const least = 1000 // entries of the log that stay behind a snapshot
	goal := field(t, leader, "raft", "raft_applied_index") + least + 100
	conn := harness.Dial(t, leader.Addr)
	filler := strings.Repeat("x", 40_000) // or more of them would stay
	for field(t, leader, "raft", "raft_snapshot_index") < goal {
		for range 50 {
			last++
			conn.Want(t, "+OK\r\n", "SET", fmt.Sprint("k", last%20), fmt.Sprint(last, " ", filler))
		}
	}
	return last
}

// A node that was stopped or held for so long that the log does not reach back to what it has comes back by snapshot, while
// writes go on. Who was connected to it all the time is told what happened, or that something was missed.
func TestANodeBehindTheLogComesBackBySnapshot(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{
		Sync: "os", SnapshotEntries: 300,
		LogStore: "bolt", // raft-wal keeps what was cut off until a whole segment is
	})
	leader, late := c.Leader(), c.Follower()
	want(t, leader, "+OK\r\n", "SET", "k1", "old")
	want(t, leader, ":1\r\n", "DTKV.LOCK", "l", "600000", "OWNER", "first")

	begin := func(words ...string) *harness.Conn {
		conn := harness.Dial(t, late.Addr)
		if err := conn.Send(harness.Command(words...)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	watcher := begin("SUBSCRIBE", "__watch@0__:k1")
	for range 2 { // that it has subscribed, and the state
		if _, err := watcher.Reply(); err != nil {
			t.Fatal(err)
		}
	}
	events := begin("SUBSCRIBE", "__keyevent@0__:set")
	if _, err := events.Reply(); err != nil {
		t.Fatal(err)
	}
	waiter := begin("DTKV.LOCK", "l", "600000", "WAIT", "600000", "OWNER", "second")
	stream := begin("XREAD", "BLOCK", "0", "STREAMS", "__events__:none", "$")
	harness.Eventually(t, "both to wait", func() bool {
		// The place in the queue must be applied here: in a snapshot, nobody finds the answer to who asked for it.
		queued := strings.Contains(harness.Dial(t, late.Addr).Must(t, "DTKV.LOCKINFO", "l"), "waiters\r\n:1\r\n")
		return queued && field(t, late, "clients", "blocked_clients") == 2
	})

	w := write(t, c)
	late.Pause(t)
	read := begin("GET", "k1")
	last := outrun(t, leader)
	want(t, leader, ":1\r\n", "DTKV.UNLOCK", "l", "OWNER", "first")
	conn := harness.Dial(t, leader.Addr)
	conn.Want(t, "+OK\r\n", "SET", "k1", "new")
	late.Resume(t)

	if reply, err := waiter.Reply(); reply != ":2\r\n" {
		t.Errorf("the waiter is told %q, %v; want its token", reply, err)
	}
	for index, value := uint64(0), ""; value != "new"; {
		reply, err := watcher.Reply()
		if err != nil {
			t.Fatalf("the watcher last heard of %.20q: %v", value, err)
		}
		var message struct {
			Index uint64
			Event string
			Value string
		}
		if _, body, ok := strings.Cut(reply, "{"); !ok || json.Unmarshal([]byte("{"+strings.TrimSpace(body)), &message) != nil {
			t.Fatalf("the watcher is told %.200q", reply)
		}
		if message.Event != "lost" && message.Event != "state" && message.Index <= index {
			t.Errorf("the watcher hears of index %d after %d", message.Index, index)
		}
		index, value = max(index, message.Index), message.Value
	}
	// A few changes may have come through before the node was held.
	if rest, err := events.Closed(); !strings.Contains(rest, "-ERR keyspace notifications were missed") {
		t.Errorf("the subscriber of notifications is told %q, %v", rest[max(0, len(rest)-200):], err)
	}
	if reply, err := stream.Reply(); !strings.HasPrefix(reply, "-COMPACTED") {
		t.Errorf("the reader of the stream is told %.200q, %v", reply, err)
	}
	if reply, err := read.Reply(); err != nil || reply == "$3\r\nold\r\n" {
		t.Errorf("who asked during the pause reads %.200q, %v", reply, err)
	}
	if gaps := field(t, late, "watch", "watch_gaps"); gaps == 0 {
		t.Errorf("after %d writes the node was fed from the log; the test proves nothing", last)
	}
	harness.Dial(t, late.Addr).Want(t, "$3\r\nnew\r\n", "GET", "k1")

	late.Kill()
	outrun(t, c.Leader())
	again := harness.Start(t, late.Options)
	for i := range c.Servers {
		if c.Servers[i] == late {
			c.Servers[i] = again
		}
	}
	w.end(t)
	c.Same()
}
