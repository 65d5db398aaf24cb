package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/client"
	"github.com/dtkv/dtkv/tests/harness"
)

func open(t *testing.T, o *redis.Options) *client.Client {
	t.Helper()
	rdb := redis.NewClient(o)
	c, err := client.New(rdb, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = rdb.Close() })
	return c
}

func TestNodesReadTheSameInBothProtocols(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	ctx := t.Context()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			c := open(t, &redis.Options{Addr: server.Addr, Protocol: protocol})
			dir := fmt.Sprint("dir", protocol)
			must(c.MakeDir(ctx, dir+".sub"))
			check(c.Set(ctx, dir+".v", []byte("bytes \xff"), 0))
			check(c.PutTemp(ctx, dir+".t", []byte{}, time.Hour))
			nodes := must(c.List(ctx, dir, client.ListOptions{}))
			if len(nodes) != 3 {
				t.Fatalf("got %+v", nodes)
			}
			sub, temp, value := nodes[0], nodes[1], nodes[2]
			if sub.Name != "sub" || sub.Kind != client.KindDir || sub.TTL != -1 {
				t.Errorf("got %+v", sub)
			}
			if temp.Name != "t" || temp.Kind != client.KindValue || temp.TTL < 59*time.Minute || temp.TTL > time.Hour {
				t.Errorf("got %+v", temp)
			}
			if string(value.Value) != "bytes \xff" || value.CreateIndex == 0 || value.UpdateIndex != value.CreateIndex ||
				time.Since(value.Created).Abs() > time.Hour || value.TTL != -1 {
				t.Errorf("got %+v", value)
			}
			stat := must(c.Stat(ctx, dir+".t"))
			if len(stat.Owner) != 8 || stat.TTL < 59*time.Minute {
				t.Errorf("got %+v", stat)
			}
			if d := must(c.Stat(ctx, dir)); d.Children != 3 || d.Kind != client.KindDir {
				t.Errorf("got %+v", d)
			}
			for _, missing := range []error{errOf(c.Stat(ctx, "none")), errOf(c.List(ctx, "none", client.ListOptions{})), errOf(c.Get(ctx, "none"))} {
				if !errors.Is(missing, client.ErrNotFound) {
					t.Errorf("of what is missing: %v", missing)
				}
			}
			if got := must(c.List(ctx, dir, client.ListOptions{After: "sub", Limit: 1, NoValues: true})); len(got) != 1 || got[0].Name != "t" || got[0].Value != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestTemporaryNodesBelongToTheirClient(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	ctx := t.Context()
	mine, theirs := open(t, &redis.Options{Addr: server.Addr}), open(t, &redis.Options{Addr: server.Addr})
	check(mine.PutTemp(ctx, "t", []byte("1"), time.Hour))
	must(mine.MakeTempDir(ctx, "d", time.Hour))
	check(mine.Set(ctx, "d.x", nil, 0))
	for _, test := range []struct {
		name string
		err  error
		word string
	}{
		{"another client overwrites it", theirs.PutTemp(ctx, "t", nil, time.Hour), "NOTOWNER"},
		{"another client gives it more time", errOf(theirs.UpdateTTL(ctx, "t", time.Hour)), "NOTOWNER"},
		{"another client removes it", errOf(theirs.Remove(ctx, "t")), "NOTOWNER"},
		{"a plain write, even of its own", mine.Set(ctx, "t", nil, 0), "TEMPNODE"},
		{"CAS", errOf(mine.CAS(ctx, "t", []byte("1"), []byte("2"))), "TEMPNODE"},
		{"its own client gives it more time", errOf(mine.UpdateTTL(ctx, "t", time.Minute)), ""},
		{"its own client overwrites it", mine.PutTemp(ctx, "t", []byte("3"), time.Minute), ""},
		{"its own client removes it", errOf(mine.Remove(ctx, "t")), ""},
		{"a time of nothing", mine.PutTemp(ctx, "t", nil, 0), "ERR"},
		{"its own client gives its directory no time", errOf(mine.UpdateTTL(ctx, "d", time.Millisecond)), ""},
	} {
		if got := client.Word(test.err); got != test.word || test.word == "" && test.err != nil {
			t.Errorf("%s: %v, want %q", test.name, test.err, test.word)
		}
	}
	harness.Eventually(t, "the directory goes with all that is in it", func() bool {
		_, err := theirs.Get(ctx, "d.x")
		return errors.Is(err, client.ErrNotFound)
	})
}

// cutter stands between client and server, and cuts connections where chance wants it: before a command came through,
// in the midst of it, before its reply, in the midst of that.
type cutter struct {
	net.Listener
	to   string
	rate float64 // of the reads after which a connection is cut
	mu   sync.Mutex
	rng  *rand.Rand
	open map[net.Conn]bool
	wg   sync.WaitGroup
}

func newCutter(t *testing.T, to string, rate float64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", harness.Loopback(harness.Port(t)))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &cutter{Listener: l, to: to, rate: rate, rng: rand.New(rand.NewPCG(seed, 0)), open: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for conn := range c.open {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		from, err := c.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		c.mu.Lock()
		c.open[from], c.open[to] = true, true
		c.mu.Unlock()
		c.wg.Go(func() { c.copy(from, to) })
		c.wg.Go(func() { c.copy(to, from) })
	}
}

func (c *cutter) copy(to io.WriteCloser, from io.ReadCloser) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		cut, at := c.rng.Float64() < c.rate, 0
		if n > 0 {
			at = c.rng.IntN(n)
		}
		c.mu.Unlock()
		if cut {
			n = at
		}
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil || cut {
			return
		}
	}
}

// With go-redis as it is by default, which would repeat each INCR three times.
func TestErrorsTellWhetherAWriteHappened(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	proxy := newCutter(t, server.Addr, 0.02)
	c := open(t, &redis.Options{Addr: proxy.Addr().String()})
	var done, doubt, not atomic.Int64
	count := func(err error) {
		switch {
		case err == nil:
			done.Add(1)
		case errors.Is(err, client.ErrInDoubt) && !errors.Is(err, client.ErrNotApplied):
			doubt.Add(1)
		case errors.Is(err, client.ErrNotApplied):
			not.Add(1)
		default:
			t.Errorf("%v says nothing", err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 400 {
				_, err := c.Do(t.Context(), "INCR", "n")
				count(err)
			}
		})
		wg.Go(func() {
			for range 40 {
				var futures []*client.Future[client.Reply]
				for range 10 {
					futures = append(futures, c.Async().Do(t.Context(), "INCR", "n"))
				}
				for _, f := range futures {
					_, err := f.Wait(t.Context())
					count(err)
				}
			}
		})
	}
	wg.Wait()
	direct := open(t, &redis.Options{Addr: server.Addr})
	n := must(direct.Do(t.Context(), "GET", "n")).Int()
	t.Logf("%d done, %d in doubt, %d not applied; the counter is %d", done.Load(), doubt.Load(), not.Load(), n)
	if n < done.Load() || n > done.Load()+doubt.Load() {
		t.Errorf("the counter is %d, which is not between %d and %d", n, done.Load(), done.Load()+doubt.Load())
	}
	if doubt.Load() == 0 {
		t.Error("no command was in doubt: the test proves nothing")
	}
}

// A place outside the server that only the holder of the lock may touch, through connections that break all the time.
func TestALockExcludesWhateverBreaks(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	proxy := newCutter(t, server.Addr, 0.05)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	var last atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		c := open(t, &redis.Options{Addr: proxy.Addr().String()})
		wg.Go(func() {
			for round := 0; round < 25 && ctx.Err() == nil; {
				lock := c.Lock("k")
				ok, err := lock.TryLock(ctx, 2*time.Second, 10*time.Second)
				if !ok {
					if err == nil || errors.Is(err, client.ErrRefused) {
						t.Logf("not granted: %v", err)
					}
					continue
				}
				token := lock.Token()
				before := last.Swap(token)
				time.Sleep(time.Millisecond)
				after := last.Load()
				if held := lock.IsHeld(); held && (before >= token || after != token) { // held: all the time until now
					t.Errorf("token %d after %d, and then %d", token, before, after)
				}
				_ = lock.Unlock(ctx) // If it fails, the lease ends it.
				round++
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Error("not done in time")
	}
}

func TestAnAutoRenewLockSurvivesARestartOfTheServer(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	c := open(t, &redis.Options{Addr: server.Addr})
	heard := make(chan string, 100)
	lock := must(c.AutoRenewLock("k", 20*time.Second, client.Listener{
		OnAcquired: func(_ context.Context, token int64) { heard <- fmt.Sprint("acquired ", token) },
		OnLost:     func() { heard <- "lost" },
	}))
	harness.Eventually(t, "it is held", lock.IsHeld)
	server.Kill()
	server = server.Restart(t)
	for left := lock.Remaining(); lock.Remaining() <= left; { // until it was renewed
		time.Sleep(10 * time.Millisecond)
		left = min(left, lock.Remaining())
		if !lock.IsHeld() {
			t.Fatal("it was lost")
		}
	}
	lock.Close()
	<-lock.Done()
	if a, b := <-heard, <-heard; a != "acquired 1" || b != "lost" || len(heard) > 0 {
		t.Errorf("heard %s, %s and %d more", a, b, len(heard))
	}
	if !server.Alive() {
		t.Error("the server has ended")
	}
}

func TestAClusterClientWillDo(t *testing.T) {
	server := harness.Start(t, harness.Options{})
	proxy := newCutter(t, server.Addr, 0.02)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: proxy.Addr().String()}}}}, nil
	}})
	c, err := client.New(rdb, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = rdb.Close() })
	var done, doubt int64
	for range 500 {
		switch _, err := c.Do(t.Context(), "INCR", "n"); {
		case err == nil:
			done++
		case errors.Is(err, client.ErrInDoubt):
			doubt++
		}
	}
	direct := open(t, &redis.Options{Addr: server.Addr})
	if n := must(direct.Do(t.Context(), "GET", "n")).Int(); n < done || n > done+doubt || doubt == 0 {
		t.Errorf("the counter is %d, with %d done and %d in doubt", n, done, doubt)
	}
	lock := c.Lock("k")
	if !must(lock.TryLock(t.Context(), time.Minute, time.Minute)) || lock.Token() == 0 {
		t.Error("it is not held")
	}
	w := c.Watch(t.Context(), "n")
	for ev := range w.Events() {
		if ev.Key == "n" {
			break
		}
	}
}
