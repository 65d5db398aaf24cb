package cluster

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

var failovers = flag.Int("failovers", 4, "how often TestAKilledLeaderIsReplaced kills the leader")

// Under load the leader is killed, again and again. Clients of the other nodes, with go-redis as it comes, write on: what was
// acknowledged is there, and an error is one of two words.
func TestAKilledLeaderIsReplaced(t *testing.T) {
	const goal = 2 * time.Second // of the 99th percentile; reported, not enforced: a test that shares its processors is no clock
	c := harness.StartCluster(t, 3, harness.Options{})
	var load []*user
	for i := range 6 {
		load = append(load, use(t, c.Servers[i%3], fmt.Sprintf("user-%d", i)))
	}
	var first, all []time.Duration // until one client, and until each of them was served again
	for range *failovers {
		leader := c.Leader()
		var others []*user
		for _, u := range load {
			u.served(t, time.Now())
			if u.addr == leader.Addr {
				u.away.Store(true)
				u.excused.Store(true)
			} else {
				others = append(others, u)
			}
		}
		killed := time.Now()
		leader.Kill()
		var waits []time.Duration
		for _, u := range others {
			waits = append(waits, u.served(t, killed).Sub(killed))
		}
		first, all = append(first, slices.Min(waits)), append(all, slices.Max(waits))
		c.Relaunch(leader)
		c.Leader()
		for _, u := range load {
			u.away.Store(false)
			u.served(t, time.Now()) // go-redis remembers for a while that nobody was there
			u.excused.Store(false)
		}
	}
	written, doubts, refused := 0, 0, 0
	for _, u := range load {
		u.check(t, c.Leader())
		written, doubts, refused = written+len(u.acknowledged), doubts+u.doubts, refused+u.refused
	}
	t.Logf("%d kills; until one of the other nodes' clients was served again: %s; until all were: %s (the goal is a p99 of %v)", len(first), spread(first), spread(all), goal)
	t.Logf("%d writes acknowledged, %d in doubt, %d refused", written, doubts, refused)
}

// spread is what a list of times comes to.
func spread(times []time.Duration) string {
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[(len(times)*percent+99)/100-1].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p99 %v, max %v", at(50), at(99), at(100))
}

// user is a client of one node. It writes key after key, and remembers which writes were acknowledged.
type user struct {
	addr, name string
	client     *redis.Client
	stop       chan struct{}
	done       sync.WaitGroup
	away       atomic.Bool // it writes nothing, since its node is gone
	excused    atomic.Bool // there may be no answer: its node was gone

	mu              sync.Mutex
	acknowledged    []int
	began, ended    time.Time // of the latest of these
	doubts, refused int
	wrong           []string // what no client is told to expect
}

func use(t *testing.T, s *harness.Server, name string) *user {
	u := &user{addr: s.Addr, name: name, client: redis.NewClient(&redis.Options{Addr: s.Addr}), stop: make(chan struct{})}
	u.done.Go(u.run)
	t.Cleanup(u.halt)
	return u
}

func (u *user) halt() {
	select {
	case <-u.stop:
		return
	default:
	}
	close(u.stop)
	u.done.Wait()
	_ = u.client.Close()
}

func (u *user) key(n int) string { return u.name + "-" + digits(n) }

func (u *user) run() {
	for n := 0; ; n++ {
		select {
		case <-u.stop:
			return
		default:
		}
		if u.away.Load() {
			time.Sleep(time.Millisecond) // until the test says that it is back
			continue
		}
		began := time.Now()
		err := u.client.Set(context.Background(), u.key(n), n, 0).Err()
		u.mu.Lock()
		switch {
		case err == nil:
			u.acknowledged = append(u.acknowledged, n)
			u.began, u.ended = began, time.Now()
		case strings.HasPrefix(err.Error(), "INDOUBT "):
			u.doubts++
		case strings.HasPrefix(err.Error(), "CLUSTERDOWN "), strings.HasPrefix(err.Error(), "LOADING "):
			u.refused++
		case u.excused.Load():
		default:
			u.wrong = append(u.wrong, err.Error())
		}
		u.mu.Unlock()
	}
}

// served waits for a write that began at that time or later to be acknowledged, and returns when it was.
func (u *user) served(t *testing.T, since time.Time) (ended time.Time) {
	t.Helper()
	harness.Eventually(t, u.name+" to be served", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		ended = u.ended
		return !u.began.Before(since)
	})
	return ended
}

// check ends the writing and looks for what was acknowledged.
func (u *user) check(t *testing.T, s *harness.Server) {
	t.Helper()
	u.halt()
	for _, wrong := range u.wrong {
		t.Errorf("%s, whose node was not killed, was answered %q", u.name, wrong)
	}
	reader := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer reader.Close()
	for batch := range slices.Chunk(u.acknowledged, 500) {
		var keys []string
		for _, n := range batch {
			keys = append(keys, u.key(n))
		}
		values, err := reader.MGet(context.Background(), keys...).Result()
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range batch {
			if values[i] != digits(n) {
				t.Errorf("%s was acknowledged, and holds %v", keys[i], values[i])
			}
		}
	}
}
