package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/client"
	"github.com/dtkv/dtkv/tests/harness"
)

func TestAWatchSurvivesKill9AndMissesNoLastState(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	c := open(t, &redis.Options{Addr: server.Addr})
	ctx := t.Context()
	must(c.MakeDir(ctx, "d"))
	w := c.Watch(ctx, "d")
	seen := func(key, want string) {
		t.Helper()
		patience := time.After(harness.Patience)
		for {
			select {
			case ev, ok := <-w.Events():
				if !ok {
					t.Fatalf("the watch has ended: %v", w.Err())
				}
				if ev.Key == key && string(ev.Value) == want {
					return
				}
			case <-patience:
				t.Fatalf("%s is never %q", key, want)
			}
		}
	}
	for round := range 4 {
		want := fmt.Sprint(round)
		check(c.Set(ctx, "d.before", []byte(want), 0))
		seen("d.before", want)
		check(c.Set(ctx, "d.last", []byte(want), 0)) // nobody has read it when the server dies
		server.Kill()
		server = server.Restart(t)
		seen("d.last", want)
	}
}

// Every number once, in order, whatever breaks: through connections that are cut all the time.
func TestAHistoryIsExactThroughBrokenConnections(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	proxy := newCutter(t, server.Addr, 0.02)
	reader, writer := open(t, &redis.Options{Addr: proxy.Addr().String()}), open(t, &redis.Options{Addr: server.Addr})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	const n = 10_000
	var wg sync.WaitGroup
	wg.Go(func() {
		var last *client.Future[client.Reply]
		for range n {
			last = writer.Async().Do(ctx, "INCR", "n")
		}
		must(last.Wait(ctx))
	})
	h := reader.History(ctx, "n", "0-0")
	for i := 1; i <= n; i++ {
		ev, ok := <-h.Events()
		if !ok {
			t.Fatalf("the history has ended at %d: %v", i, h.Err())
		}
		if ev.Gap || string(ev.Value) != fmt.Sprint(i) {
			t.Fatalf("event %d is %+v", i, ev)
		}
	}
	wg.Wait()
}

func TestAHistoryThatLiesTooFarBackBeginsWithAGap(t *testing.T) {
	server := harness.Start(t, harness.Options{More: []string{"--event-ring-events", "100"}})
	c := open(t, &redis.Options{Addr: server.Addr})
	ctx := t.Context()
	for i := range 500 {
		check(c.Set(ctx, "k", fmt.Append(nil, i), 0))
	}
	h := c.History(ctx, "", "1-0")
	if ev := <-h.Events(); !ev.Gap {
		t.Fatalf("got %+v", ev)
	}
	first := <-h.Events()
	for ev := first; string(ev.Value) != "499"; ev = <-h.Events() {
		if ev.Gap || ev.ID == "" {
			t.Fatalf("got %+v", ev)
		}
	}
	if got := string(first.Value); got != "400" {
		t.Errorf("it goes on with %s, although 400 is kept", got)
	}
}

func TestWaitersAreServedInOrder(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	ctx := t.Context()
	holder := open(t, &redis.Options{Addr: server.Addr})
	first := holder.Lock("k")
	must(first.TryLock(ctx, time.Minute, 0))
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	for i := range 20 {
		c := open(t, &redis.Options{Addr: server.Addr})
		wg.Go(func() {
			l := c.Lock("k")
			if !must(l.TryLock(ctx, time.Minute, time.Minute)) {
				t.Error("not granted")
			}
			mu.Lock()
			order = append(order, fmt.Sprint(i))
			mu.Unlock()
			check(l.Unlock(ctx))
		})
		harness.Eventually(t, "it waits", func() bool {
			info := must(holder.Do(ctx, "DTKV.LOCKINFO", "k")).Map()
			return info["waiters"].Int() == int64(i+1)
		})
	}
	check(first.Unlock(ctx))
	wg.Wait()
	for i, name := range order {
		if name != fmt.Sprint(i) {
			t.Fatalf("the order is %s", strings.Join(order, " "))
		}
	}
}

func TestAContextThatEndsLeavesTheQueueOfTheServer(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	c := open(t, &redis.Options{Addr: server.Addr})
	must(c.Lock("k").TryLock(t.Context(), time.Minute, 0))
	waiters := func() int64 { return must(c.Do(t.Context(), "DTKV.LOCKINFO", "k")).Map()["waiters"].Int() }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- errOf(c.Lock("k").TryLock(ctx, time.Minute, time.Hour)) }()
	harness.Eventually(t, "it waits", func() bool { return waiters() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	harness.Eventually(t, "it has left", func() bool { return waiters() == 0 })
}
