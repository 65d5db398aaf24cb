package cluster

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

// A node that has lost the others answers those who have said READONLY, from what it has, and refuses all else.
func TestAMinorityAnswersReadOnly(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	left := c.Follower()
	want(t, left, "+OK\r\n", "SET", "k", "v") // applied here before it was acknowledged
	stale, plain := harness.Dial(t, left.Addr), harness.Dial(t, left.Addr)
	stale.Want(t, "+OK\r\n", "READONLY")
	stale.Want(t, "$1\r\nv\r\n", "GET", "k")
	plain.Want(t, "$1\r\nv\r\n", "GET", "k")
	for _, s := range c.Running() {
		if s != left {
			s.Kill()
		}
	}
	const down = "-CLUSTERDOWN"
	for _, test := range []struct {
		conn  *harness.Conn
		reply string
		args  []string
	}{
		{plain, down, []string{"GET", "k"}},
		{stale, "$1\r\nv\r\n", []string{"GET", "k"}},
		{stale, "*1\r\n$1\r\nk\r\n", []string{"KEYS", "*"}},
		{stale, down, []string{"SET", "k", "w"}},
		{stale, down, []string{"WATCH", "k"}},
		{stale, "+OK\r\n", []string{"MULTI"}},
		{stale, "+QUEUED\r\n", []string{"GET", "k"}},
		{stale, down, []string{"EXEC"}},
		{stale, "+OK\r\n", []string{"READWRITE"}},
		{stale, down, []string{"GET", "k"}},
	} {
		if got := test.conn.Must(t, test.args...); !strings.HasPrefix(got, test.reply) {
			t.Errorf("%v: %q, want %q", test.args, got, test.reply)
		}
	}

	client := redis.NewClient(&redis.Options{
		Addr:      left.Addr,
		OnConnect: func(ctx context.Context, cn *redis.Conn) error { return cn.ReadOnly(ctx).Err() },
	})
	defer client.Close()
	if got, err := client.Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("go-redis reads %q, %v", got, err)
	}
}
