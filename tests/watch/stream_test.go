package watch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

var events = flag.Int("events", 20_000, "events that a reader must see who is disconnected every 200 ms")

// A reader that goes on where it was cut off sees every change once, in the order of the log.
func TestAStreamIsReadAcrossDisconnects(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Sync: "os", SnapshotEntries: 2000})
	writers := make(chan error, 1)
	ctx := t.Context()
	go func() {
		w := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
		defer w.Close()
		const batch = 50
		for n := 0; n < *events; n += batch {
			if n%5000 == 0 {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // so that the reader waits at times
			}
			_, err := w.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := n; i < n+batch; i++ {
					p.Set(ctx, fmt.Sprint("k", i%100), i, 0)
				}
				return nil
			})
			if err != nil {
				writers <- err
				return
			}
		}
		writers <- nil
	}()

	last, next, cuts := "-", 0, 0
	for next < *events {
		r := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, PoolSize: 1})
		cut := time.AfterFunc(200*time.Millisecond, func() { r.Close() })
		for next < *events {
			streams, err := r.XRead(ctx, &redis.XReadArgs{Streams: []string{"__events__", last}, Count: 1000, Block: time.Minute}).Result()
			if err != nil {
				if ctx.Err() != nil {
					t.Fatal(ctx.Err())
				}
				if _, refused := err.(redis.Error); refused {
					t.Fatalf("after %d events, at %s: %v", next, last, err)
				}
				break // cut off
			}
			for _, m := range streams[0].Messages {
				if got := m.Values["value"]; got != strconv.Itoa(next) || m.Values["key"] != fmt.Sprint("k", next%100) {
					t.Fatalf("%s: event %v, want %d", m.ID, m.Values, next)
				}
				last = m.ID
				next++
			}
		}
		cuts++
		cut.Stop()
		r.Close()
	}
	if err := <-writers; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d connections", next, cuts)
}

// After a restart the ring begins anew: what is gone is said to be gone, and what is there can be read with the same ids.
func TestAStreamNeverHasASilentGap(t *testing.T) {
	s := harness.Start(t, harness.Options{More: []string{"--event-ring-events", "10"}})
	c := harness.Dial(t, s.Addr)
	for i := range 5 {
		c.Want(t, "+OK\r\n", "SET", "k", fmt.Sprint(i))
	}
	all := c.Must(t, "XRANGE", "__events__", "-", "+")
	s.Kill()
	s = s.Restart(t)
	c = harness.Dial(t, s.Addr)
	c.Want(t, all, "XRANGE", "__events__", "-", "+")
	r := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer r.Close()
	first, err := r.XRangeN(t.Context(), "__events__", "-", "+", 1).Result()
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	for i := range 20 {
		c.Want(t, "+OK\r\n", "SET", "k", fmt.Sprint(i))
	}
	_, err = r.XRead(t.Context(), &redis.XReadArgs{Streams: []string{"__events__", first[0].ID}}).Result()
	var oldest string
	if err == nil {
		t.Fatal("it has read on after what is gone")
	}
	if _, err := fmt.Sscanf(err.Error(), "COMPACTED oldest is %s", &oldest); err != nil {
		t.Fatalf("%v: %v", err, oldest)
	}
	rest, err := r.XRead(t.Context(), &redis.XReadArgs{Streams: []string{"__events__", oldest}}).Result()
	if err != nil || len(rest) != 1 || len(rest[0].Messages) != 10 || rest[0].Messages[0].Values["value"] != "10" {
		t.Errorf("from the oldest on: %v, %v", rest, err)
	}
}
