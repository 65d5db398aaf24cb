package clients

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/client"
	"github.com/dtkv/dtkv/tests/harness"
)

const password = "correct horse battery staple"

// go-redis, and package client over it, log in and encrypt when they are told to; a lock that is waited for and a watch
// are no exceptions.
func TestGoRedisOverTLS(t *testing.T) {
	ca := harness.NewCA(t)
	s := harness.Start(t, harness.Options{CA: ca, Password: password})
	how := &redis.Options{Addr: s.Addr, Password: password, TLSConfig: ca.Client(t, "go-redis")}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	open := func() *client.Client {
		t.Helper()
		rdb := redis.NewClient(how)
		c, err := client.New(rdb, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(); _ = rdb.Close() })
		return c
	}
	c, other := open(), open()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	watch := c.Watch(ctx, "k")
	check(c.Set(ctx, "k", []byte(strings.Repeat("v", 1<<20)), 0))
	for ev := range watch.Events() {
		if len(ev.Value) == 1<<20 {
			break
		}
	}
	mine, theirs := c.Lock("l"), other.Lock("l")
	if ok, err := mine.TryLock(ctx, 20*time.Second, 0); err != nil || !ok {
		t.Fatal(ok, err)
	}
	done := make(chan error, 1)
	go func() {
		ok, err := theirs.TryLock(ctx, 20*time.Second, 10*time.Second)
		if err == nil && !ok {
			err = fmt.Errorf("not granted")
		}
		done <- err
	}()
	harness.Eventually(t, "somebody waits", func() bool {
		return strings.Contains(harness.Dial(t, s.Addr).Must(t, "DTKV.LOCKINFO", "l"), "waiters\r\n:1")
	})
	check(mine.Unlock(ctx))
	check(<-done)

	for name, wrong := range map[string]redis.Options{
		"WRONGPASS":   {Addr: s.Addr, Password: "x", TLSConfig: how.TLSConfig},
		"NOAUTH":      {Addr: s.Addr, TLSConfig: how.TLSConfig},
		"certificate": {Addr: s.Addr, Password: password, TLSConfig: ca.Config(t, "", "")},
	} {
		wrong.MaxRetries = -1
		rdb := redis.NewClient(&wrong)
		if err := rdb.Get(ctx, "k").Err(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
		_ = rdb.Close()
	}
}

func TestRedisCliOverTLS(t *testing.T) {
	harness.NeedRedis(t)
	ca := harness.NewCA(t)
	s := harness.Start(t, harness.Options{CA: ca, Password: password})
	cert, key := ca.Node(t, "cli")
	t.Setenv("REDISCLI_AUTH", password)
	args := []string{"-p", harness.SplitPort(t, s.Addr), "--tls", "--cacert", ca.File, "--cert", cert, "--key", key}
	out, err := harness.TryOutput("", session, "redis-cli", args...)
	if err != nil && strings.Contains(out, "--tls") {
		harness.NotRun(t, "needs a redis-cli that was built with TLS")
	}
	if err != nil || out != printed {
		t.Errorf("got %q, %v, want %q", out, err, printed)
	}
}
