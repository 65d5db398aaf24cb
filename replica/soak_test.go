package replica

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dtkv/dtkv/fsm"
)

// The full size is -soak-keys 100000 -soak-changes 20 -soak-restarts 5 -soak-due 1000000, with -timeout 20m.
var (
	soakKeys     = flag.Int("soak-keys", 3000, "keys with a TTL of 50 ms to 5 s in the soak of three voters")
	soakChanges  = flag.Int("soak-changes", 3, "forced leader changes in the soak")
	soakRestarts = flag.Int("soak-restarts", 1, "restarts of a node in the soak")
	soakDue      = flag.Int("soak-due", 20_000, "keys that are due together")
)

// stepped returns now as a clock would give it whose wall time was set ahead by d: the monotonic reading beside it does
// not move. Package time has no way to make such a value, so this knows how it is laid out: the seconds begin at bit 30.
func stepped(now time.Time, d time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&now))
	*wall += uint64(d/time.Second) << 30
	return now
}

func TestSteppedClocksKeepTheirMonotonicReading(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		now := time.Now()
		moved := stepped(now, d)
		if got := moved.Sub(now); got != 0 {
			t.Errorf("step %v: %v by the monotonic clock", d, got)
		}
		if got := moved.UnixNano() - now.UnixNano(); got != d.Nanoseconds() {
			t.Errorf("step %v: %d ns on the wall", d, got)
		}
	}
}

// soak makes keys at three voters while leaders change, nodes restart and clocks on walls are stepped.
type soak struct {
	*cluster
	t     *testing.T
	start time.Time
	wall  [3]atomic.Int64 // how far each node's wall clock is off, in nanoseconds

	nodesMu sync.RWMutex   // guards cluster.nodes
	gone    []atomic.Int64 // when a node first applied a key's expiry, in nanoseconds since start; 0 for not yet

	mu       sync.Mutex
	made     []soakKey
	doubtful int
	early    int // reads that missed a key before its time
	reads    int
	trouble  [][2]time.Duration // disturbances, and times in which no leader served or another one began to, since start
}

type soakKey struct {
	number        int
	ttl           time.Duration
	sent, replied time.Duration // since start
}

// soakObserver notes when keys expire. Nodes replay their log after a restart; the first time counts.
type soakObserver struct{ s *soak }

func (o soakObserver) Applied(_ int, _ uint64, events []fsm.Event) {
	for _, e := range events {
		if e.What != fsm.EventExpired {
			continue
		}
		number, err := strconv.Atoi(e.Key)
		if err != nil {
			o.s.t.Errorf("expired: %q", e.Key)
			continue
		}
		o.s.gone[number].CompareAndSwap(0, time.Since(o.s.start).Nanoseconds())
	}
}

func (soakObserver) Restored(int, uint64, fsm.View) {}

// serving returns the group of a node that leads, nil if there is none.
func (s *soak) serving() (*Group, int) {
	s.nodesMu.RLock()
	defer s.nodesMu.RUnlock()
	for i, n := range s.nodes {
		if n != nil {
			if g := s.group(i); g.leads(g.ready.Load()) {
				return g, i
			}
		}
	}
	return nil, -1
}

// create stores one key, and looks at a random moment of its life whether it is there.
func (s *soak) create(number int, checks *sync.WaitGroup) {
	key := strconv.Itoa(number)
	k := soakKey{number: number, ttl: time.Duration(50+rand.IntN(4950)) * time.Millisecond}
	g, _ := s.serving()
	for g == nil {
		time.Sleep(time.Millisecond)
		g, _ = s.serving()
	}
	p := proposal(expiringIn(key, k.ttl))
	k.sent = time.Since(s.start)
	err := g.Propose(context.Background(), p)
	k.replied = time.Since(s.start)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.doubtful++
		return
	}
	s.made = append(s.made, k)
	checks.Go(func() {
		time.Sleep(time.Duration(rand.Int64N(int64(k.ttl))))
		g, _ := s.serving()
		if g == nil {
			return
		}
		found := false
		err := g.Read(context.Background(), func(v fsm.View) { _, found = v.Lookup([]byte(key)) })
		until := time.Since(s.start)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil && until < k.sent+k.ttl {
			s.reads++
			if !found {
				s.early++
			}
		}
	})
}

// end stops a node beside running clients.
func (s *soak) end(i int) {
	s.nodesMu.Lock()
	n := s.nodes[i]
	s.nodes[i] = nil
	s.nodesMu.Unlock()
	if err := n.Close(); err != nil {
		s.t.Errorf("close node %d: %v", i+1, err)
	}
}

// begin starts it again.
func (s *soak) begin(i int) {
	n, err := Open(s.configs[i])
	if err != nil {
		s.t.Error(err)
		return
	}
	s.nodesMu.Lock()
	s.nodes[i] = n
	s.nodesMu.Unlock()
}

// await waits for a leader that is not that node.
func (s *soak) await(not int) int {
	found := -1
	eventually(s.t, "leader", func() bool {
		_, found = s.serving()
		return found >= 0 && found != not
	})
	return found
}

// disturb forces a leader change, by transfer or by cutting the leader off, or restarts a node, the leader each other time.
// Whatever it does, it sets the clocks on the walls.
func (s *soak) disturb(n int, restart bool) {
	for i := range s.wall {
		s.wall[i].Store(int64(time.Hour) * int64((n+i)%3-1)) // an hour back, right, an hour ahead
	}
	began := time.Since(s.start)
	leader := s.await(-1)
	switch {
	case restart && n%2 == 0:
		s.end(leader)
		s.await(leader)
		s.begin(leader)
	case restart:
		other := (leader + 1) % 3
		s.end(other)
		s.begin(other)
	case n%2 == 0:
		g := s.group(leader)
		eventually(s.t, "transfer", func() bool {
			if err := g.raft.LeadershipTransfer().Error(); err != nil {
				s.t.Log("transfer:", err) // it leads no more, or nobody has caught up
			}
			_, now := s.serving()
			return now >= 0 && now != leader
		})
	default:
		s.isolate(leader, true)
		s.await(leader)
		s.isolate(leader, false)
	}
	s.await(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = append(s.trouble, [2]time.Duration{began, time.Since(s.start)})
}

// watch notes when leadership is not what it was.
func (s *soak) watch(stop <-chan struct{}) {
	var term uint64
	var calm time.Duration
	for {
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		now := time.Since(s.start)
		g, _ := s.serving()
		if g == nil {
			continue
		}
		if serving := g.ready.Load(); serving != term {
			term = serving
			s.mu.Lock()
			s.trouble = append(s.trouble, [2]time.Duration{calm, now})
			s.mu.Unlock()
		}
		calm = now
	}
}

func TestSoakNothingExpiresEarly(t *testing.T) {
	s := &soak{t: t, start: time.Now(), gone: make([]atomic.Int64, *soakKeys)}
	s.cluster = startCluster(t, 3, func(i int, cfg *Config) {
		cfg.Observer = soakObserver{s}
		cfg.now = func() time.Time { return stepped(time.Now(), time.Duration(s.wall[i].Load())) }
	})
	s.await(-1)
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watch(ended) })
	const clients = 64
	var next atomic.Int64
	var makers, checks sync.WaitGroup
	for range clients {
		makers.Go(func() {
			for {
				number := int(next.Add(1)) - 1
				if number >= *soakKeys {
					return
				}
				s.create(number, &checks)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	disturbances := *soakChanges + *soakRestarts
	for n := range disturbances {
		share := *soakKeys * (n + 1) / (disturbances + 2)
		for int(next.Load()) < share { // as fast as the machine is; the test's own timeout bounds it
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("%v: disturbance %d at key %d", time.Since(s.start).Round(time.Millisecond), n, next.Load())
		restart := n**soakRestarts/disturbances != (n+1)**soakRestarts/disturbances // spread evenly
		s.disturb(n, restart)
	}
	makers.Wait()
	checks.Wait()
	eventually(t, "end of all keys", func() bool {
		for _, k := range s.made {
			if s.gone[k.number].Load() == 0 {
				return false
			}
		}
		return true
	})
	close(ended)
	watcher.Wait()
	s.report()
}

// report judges and prints. A key is early when it goes sooner than its TTL after its write was sent: the server cannot
// know when the reply arrives. How many went sooner after the reply is printed beside it.
func (s *soak) report() {
	var all, calm []time.Duration
	earlyGone, sooner, soonest := 0, 0, time.Duration(0)
	for _, k := range s.made {
		gone := time.Duration(s.gone[k.number].Load())
		if gone < k.sent+k.ttl {
			earlyGone++
			s.t.Errorf("key %d with %v went %v after it was sent", k.number, k.ttl, gone-k.sent)
		}
		late := gone - k.replied - k.ttl
		if late < 0 {
			sooner++
			soonest = max(soonest, -late)
		}
		all = append(all, late)
		if !slices.ContainsFunc(s.trouble, func(w [2]time.Duration) bool { return k.sent <= w[1] && gone >= w[0] }) {
			calm = append(calm, late)
		}
	}
	if s.early > 0 {
		s.t.Errorf("%d of %d reads missed a key before its time", s.early, s.reads)
	}
	s.t.Logf("%d keys, %d writes without success, %d leader changes, %d restarts, %d reads in time: %d early",
		len(s.made), s.doubtful, *soakChanges, *soakRestarts, s.reads, earlyGone+s.early)
	s.t.Logf("lateness from the reply on: %s; undisturbed: %s", quantiles(all), quantiles(calm))
	s.t.Logf("%d keys went less than their TTL after the reply, by up to %v", sooner, soonest.Round(10*time.Microsecond))
}

func quantiles(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d", d[len(d)/2].Round(10*time.Microsecond),
		d[len(d)*99/100].Round(10*time.Microsecond), d[len(d)-1].Round(10*time.Microsecond), len(d))
}
