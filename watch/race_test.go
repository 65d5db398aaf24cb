package watch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

var raceEntries = flag.Int("watch.entries", 4000, "how many entries the random writer of the race test makes")

// client is a subscriber with a witness for each of its subscriptions.
type client struct {
	*reader
	slow      int                 // it takes about that many messages at a time, 0 for all
	witnesses map[string]*witness // by channel or pattern
}

// witness keeps what it hears: the state of everything that one subscription watches, as far as it knows.
type witness struct {
	t       *testing.T
	pattern string
	channel string // unless pattern
	dir     string // below which all it watches is

	known  map[string]string // of present keys: kind and value
	index  map[string]uint64 // the last one heard, of each key
	latest uint64            // over all keys
	begun  bool              // it has heard a state, and nothing was lost since
	vague  bool              // the last state was partial
	told   int               // how often it was told that something was lost
}

// hear takes one message in and checks what is promised of it.
func (w *witness) hear(m Message) error {
	n := parse(w.t, m.Payload)
	switch {
	case n.Event == "lost":
		w.told++
		w.begun = false
		return nil
	case n.Index < w.latest:
		return fmt.Errorf("index %d comes after %d: %s", n.Index, w.latest, m.Payload)
	case n.Event != "state" && !w.begun:
		return fmt.Errorf("a change comes before the state: %s", m.Payload)
	case n.Event != "state" && n.Index <= w.index[n.Key]:
		return fmt.Errorf("index %d of %q comes after %d", n.Index, n.Key, w.index[n.Key])
	}
	w.latest, w.index[n.Key] = n.Index, n.Index
	if root := n.Key == w.dir || w.pattern != "" && n.Key == ""; root && (n.Event == "state" || n.Event == "flushdb") {
		w.begun = w.begun || n.Event == "state"
		w.vague = n.Partial
		clear(w.known)
	}
	if w.pattern != "" && n.Key == "" {
		return nil
	}
	if delete(w.known, n.Key); n.Kind != "none" {
		w.known[n.Key] = n.Kind
		if n.Value != nil {
			w.known[n.Key] += " " + *n.Value
		}
	}
	return nil
}

// watch subscribes to a channel or pattern.
func (c *client) watch(name string, pattern bool) {
	w := &witness{t: c.t, known: map[string]string{}, index: map[string]uint64{}}
	c.witnesses[name] = w
	var err error
	if pattern {
		w.pattern = name
		_, err = c.PSubscribe(name)
	} else {
		w.channel, w.dir = name, strings.TrimPrefix(name, "__watch@0__:")
		_, err = c.Subscribe(name)
	}
	if err != nil {
		c.t.Error(err)
	}
}

// run takes messages until done is closed and nothing waits.
func (c *client) run(seed uint64, done <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, seed))
	failed := false
	for {
		most := 1000
		if c.slow > 0 {
			most = 1 + r.IntN(c.slow)
		}
		for all := c.Take(most); len(all) > 0; all = c.Take(most) {
			for _, m := range all {
				name := m.Channel
				if m.Kind == Pattern {
					name = m.Pattern
				}
				if err := c.witnesses[name].hear(m); err != nil && !failed {
					c.t.Errorf("seed %d, %s: %v", seed, name, err)
					failed = true // but read on, or the hub would not come to rest
				}
			}
			if c.slow > 0 && r.IntN(4) == 0 {
				time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond) // a slow reader is what it is
			}
		}
		select {
		case <-c.wakes:
		case <-done:
			select {
			case <-c.wakes: // it was both: go on until nothing comes
			default:
				return
			}
		}
	}
}

// final checks that what w knows is what is there.
func (w *witness) final(v fsm.View) error {
	if w.vague {
		return nil
	}
	want := map[string]string{}
	v.Ascend(func(n *fsm.Node) bool {
		if w.pattern != "" && !naive(w.pattern, "__watch@0__:"+n.Key) || !covers(w.dir, n.Key) {
			return true
		}
		want[n.Key] = strings.TrimRight(n.Kind.String()+" "+n.Value, " ")
		return true
	})
	if w.dir == "" && w.pattern == "" {
		want[""] = "dir"
	}
	for key, have := range want {
		if got := strings.TrimRight(w.known[key], " "); got != have {
			return fmt.Errorf("%q is %q, it heard %q", key, have, got)
		}
	}
	for key := range w.known {
		if _, is := want[key]; !is {
			return fmt.Errorf("%q is gone, it heard %q", key, w.known[key])
		}
	}
	return nil
}

func randomOps(r *rand.Rand) []fsm.Op {
	key := func() string {
		return []string{"a", "a.b", "a.b.c", "a.d", "e", "e.f", "g", "a.b.h.i"}[r.IntN(8)] + []string{"", "", "1", ".k"}[r.IntN(4)]
	}
	var ops []fsm.Op
	for range 1 + r.IntN(5) {
		k := key()
		switch r.IntN(20) {
		case 0, 1, 2:
			ops = append(ops, del(k))
		case 3, 4:
			ops = append(ops, &fsm.RemoveDir{Key: []byte(k), Recursive: true})
		case 5:
			ops = append(ops, &fsm.Rename{From: []byte(k), To: []byte(key())})
		case 6:
			ops = append(ops, &fsm.Expire{Key: []byte(k), Millis: int64(1 + r.IntN(50))})
		case 7:
			ops = append(ops, &fsm.ExpireDue{Limit: 100})
		case 8:
			ops = append(ops, &fsm.AcquireLock{Key: []byte(k), Owner: fsm.Owner{byte(1 + r.IntN(3))}, Lease: 20, Wait: 20})
		case 9:
			if r.IntN(10) == 0 {
				ops = append(ops, &fsm.Flush{})
			}
		default:
			ops = append(ops, set(k, fmt.Sprint(r.IntN(1000))+strings.Repeat("x", r.IntN(100))))
		}
	}
	return append(ops, &fsm.ExpireDue{Limit: 1})
}

// names are what clients of the race test subscribe to.
var names = []struct {
	name    string
	pattern bool
}{
	{"__watch@0__:", false},
	{"__watch@0__:a", false},
	{"__watch@0__:a.b", false},
	{"__watch@0__:a.b.c", false},
	{"__watch@0__:e", false},
	{"__watch@0__:g", false},
	{"__watch@0__:a.b.h", false},
	{"__watch@0__:e.f.k", false},
	{"__watch@0__:a.*", true},
	{"__watch@0__:*k", true},
	{"__watch@0__:a.[bd]*", true},
	{"__watch@0__:*", true},
}

// Whatever happens, in the end every watcher knows what is there, and on the way it never heard anything older than it
// knew already.
func TestEveryWatcherEndsWithTheFinalState(t *testing.T) {
	for _, c := range []struct {
		name     string
		o        Options
		all      bool // each client watches everything
		restores bool
	}{
		{"with room", Options{}, false, false},
		{"with little room for what waits", Options{Output: 30 << 10}, true, false},
		{"with a short ring", Options{RingEvents: 40}, false, false},
		{"with snapshots that replace the state", Options{}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			r := newRig(t, c.o)
			done := make(chan struct{})
			var wg sync.WaitGroup
			var all []*client
			join := func() {
				who := &client{reader: r.join(), slow: []int{0, 0, 1, 20}[random.IntN(4)], witnesses: map[string]*witness{}}
				one := random.IntN(len(names))
				for i, n := range names {
					if c.all || i == one {
						who.watch(n.name, n.pattern)
					}
				}
				all = append(all, who)
				n := uint64(len(all))
				wg.Go(func() { who.run(seed+n, done) })
			}
			for i := range *raceEntries {
				if i%100 == 0 {
					join()
				}
				if c.restores && random.IntN(400) == 0 {
					r.restore(func(o *rig) {
						for range random.IntN(10) {
							o.apply(randomOps(random)...)
						}
					})
				}
				r.clock += int64(random.IntN(3))
				r.apply(randomOps(random)...)
				if random.IntN(50) == 0 {
					time.Sleep(time.Millisecond) // let the others run: two cores, and the race detector
				}
			}
			quiesce(t, r, all)
			close(done)
			wg.Wait()
			told, vague := 0, 0
			for _, who := range all {
				for name, w := range who.witnesses {
					told += w.told
					if w.vague {
						vague++
					}
					if err := w.final(r.m.View()); err != nil {
						t.Errorf("seed %d, %s: %v", seed, name, err)
					}
				}
			}
			t.Logf("%d clients, told %d times that something was lost, %d know a partial state, %+v", len(all), told, vague, r.h.Stats())
		})
	}
}

// quiesce waits until the hub and all readers have nothing left to do.
func quiesce(t *testing.T, r *rig, all []*client) {
	deadline := time.Now().Add(time.Minute)
	rest := func() bool {
		if r.h.Stats().Lag > 0 {
			return false
		}
		for _, w := range all {
			w.mu.Lock()
			busy := w.count > 0 || len(w.wants) > 0
			for _, subs := range w.subs {
				for _, b := range subs {
					busy = busy || b.phase != live
				}
			}
			w.mu.Unlock()
			if busy {
				return false
			}
		}
		return true
	}
	for quiet := 0; quiet < 5; quiet++ { // the dispatcher may hold what it has taken from the ring
		if !rest() {
			quiet = 0
		}
		if time.Now().After(deadline) {
			t.Fatal("the hub does not come to rest")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// What apply does costs the same and keeps nothing, whoever does not read.
func TestStuckSubscribersAndReadersKeepNothing(t *testing.T) {
	r := newRig(t, Options{Output: 64 << 10, RingBytes: 256 << 10})
	r.stuck = make(chan struct{})
	b := r.subscribe("__watch@0__:", "__watch@0__:k1")
	plain := r.subscribe("__keyspace@0__:k1")
	for i := range 5000 {
		r.set(fmt.Sprint("k", i%100), strings.Repeat("x", 1000))
		if w := b.Waiting() + plain.Waiting(); w > 128<<10 {
			t.Fatalf("%d bytes wait for two who may have 64 KiB each", w)
		}
	}
	if s := r.h.Stats(); s.RingBytes > 256<<10 {
		t.Errorf("%d bytes in a ring of 256 KiB", s.RingBytes)
	}
} // and Close ends what is stuck

// Apply takes no lock that anybody holds while working for subscribers: with all of them held it goes on.
func TestApplyWaitsForNobody(t *testing.T) {
	r := newRig(t, Options{})
	b := r.subscribe("__watch@0__:k", "__keyspace@0__:k")
	g := r.h.group(0)
	r.h.mu.Lock()
	b.mu.Lock()
	r.h.asks.mu.Lock()
	g.mu.Lock()
	for i := range 1000 {
		r.set("k", fmt.Sprint(i))
	}
	if n := r.h.Len(0, ""); n != 1000 {
		t.Errorf("%d events in the ring", n)
	}
	g.mu.Unlock()
	r.h.asks.mu.Unlock()
	b.mu.Unlock()
	r.h.mu.Unlock()
}

// Everybody comes and goes while events flow: nobody is left in an index, and nothing is written after it was seen.
func TestSubscribersComeAndGo(t *testing.T) {
	r := newRig(t, Options{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for stopped := false; !stopped; {
				select {
				case <-stop:
					stopped = true
				default:
				}
				b := r.join()
				for range random.IntN(20) {
					n := names[random.IntN(len(names))]
					var err error
					switch random.IntN(6) {
					case 0:
						_, err = b.PSubscribe(n.name)
					case 1:
						b.Unsubscribe(n.name)
					case 2:
						b.Take(random.IntN(50))
					case 3:
						r.h.Publish(n.name, []byte("{}"))
					case 4:
						after := r.h.Last(0)
						r.h.Wait(0, "a", after, func() {})()
					default:
						_, err = b.Subscribe(n.name)
					}
					if err != nil {
						t.Error(err)
					}
				}
				b.Leave()
			}
		})
	}
	random := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		r.apply(randomOps(random)...)
	}
	close(stop)
	wg.Wait()
	if s := r.h.Stats(); s.Subscribers+s.Channels+s.Patterns+s.Waits != 0 || r.h.hearing.Load() != 0 {
		t.Errorf("left are %+v", s)
	}
	if g := r.h.group(0); len(g.watch)+len(g.patterns) != 0 || !r.h.watched.empty() {
		t.Error("an index is not empty")
	}
}
