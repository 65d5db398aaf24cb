package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/ttl"
)

// recorder is an observer that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	told     []string // events as "index what key", restores as "restored index"
	applied  uint64
	backward bool // an index came twice, or after a higher one
}

func (r *recorder) Applied(_ int, index uint64, events []fsm.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backward = r.backward || index <= r.applied
	r.applied = index
	for _, e := range events {
		r.told = append(r.told, fmt.Sprint(index, " ", e.What, " ", e.Key))
	}
}

func (r *recorder) Restored(_ int, index uint64, v fsm.View) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backward = r.backward || index <= r.applied || v.Index() != index
	r.applied = index
	r.told = append(r.told, fmt.Sprint("restored ", index))
}

func (r *recorder) take(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.backward {
		t.Error("the observer was told of an index twice, or out of order")
	}
	told := r.told
	r.told = nil
	return told
}

// expiringIn returns an operation that stores a value with a TTL.
func expiringIn(key string, life time.Duration) fsm.Op {
	return &fsm.Set{Key: []byte(key), Value: []byte("v"), TTL: fsm.TTL{Millis: life.Milliseconds()}}
}

// must proposes one operation and returns its result.
func must(t *testing.T, g *Group, op fsm.Op) fsm.Result {
	t.Helper()
	p := proposal(op)
	if err := g.Propose(testContext(t), p); err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	if err := p.Results[0].Err; err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	return p.Results[0]
}

func clusterClock(g *Group) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.machine.View().ClusterMillis()
}

// deadlineOf returns the deadline of a key in this node's state, 0 if it has none or is missing.
func deadlineOf(g *Group, key string) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n, ok := g.machine.View().Lookup([]byte(key))
	if !ok {
		return 0
	}
	at, _ := n.Deadline()
	return at
}

func TestWhatIsDueGoesWithoutAnyWrite(t *testing.T) {
	r := &recorder{}
	n, g := openSingle(t, Config{Observer: r})
	defer closeNode(t, n)
	must(t, g, expiringIn("short", 30*time.Millisecond))
	must(t, g, expiringIn("long", time.Hour))
	eventually(t, "expiry", func() bool { return get(t, g, "short") == "(missing)" })
	if got := get(t, g, "long"); got != "v" {
		t.Fatalf("long: %s", got)
	}
	if told := r.take(t); !slices.ContainsFunc(told, func(e string) bool { return strings.HasSuffix(e, " expired short") }) {
		t.Fatalf("told %q", told)
	}
	before := clusterClock(g)
	eventually(t, "tick", func() bool { return clusterClock(g) > before })
}

func TestObserversHearOfAWriteBeforeItsClient(t *testing.T) {
	r := &recorder{}
	n, g := openSingle(t, Config{Observer: r})
	defer closeNode(t, n)
	for i := range 300 {
		key := fmt.Sprint("k", i%3)
		mustSet(t, g, key, "v")
		told := r.take(t)
		if want := fmt.Sprint(g.Status().Applied, " set ", key); len(told) != 1 || told[0] != want {
			t.Fatalf("write %d was answered, and the observer had heard %q, want %q", i, told, want)
		}
	}
}

func TestObserversAreToldOfASnapshotAndThenOfTheLog(t *testing.T) {
	bothStores(t, func(t *testing.T, store LogStore) {
		cfg := Config{DataDir: t.TempDir(), LogStore: store}
		n, g := openSingle(t, cfg)
		mustSet(t, g, "in", "snapshot")
		if err := g.Snapshot(); err != nil {
			t.Fatal(err)
		}
		at := g.Status().SnapshotIndex
		mustSet(t, g, "in", "log")
		closeNode(t, n)

		r := &recorder{}
		cfg.Observer = r
		n, g = openSingle(t, cfg)
		defer closeNode(t, n)
		mustSet(t, g, "in", "life")
		told := r.take(t)
		want := []string{fmt.Sprint("restored ", at), fmt.Sprint(at+1, " set in"), fmt.Sprint(g.Status().Applied, " set in")}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Fatalf("told %q, want %q", told, want)
		}
	})
}

// idle is an observer that does nothing.
type idle struct{ entries int }

func (i *idle) Applied(_ int, _ uint64, events []fsm.Event)   { i.entries += len(events) }
func (i *idle) Restored(_ int, index uint64, events fsm.View) {}

func TestObserversAndDeadlinesCostTheApplyGoroutineNoAllocation(t *testing.T) {
	count := func(o Observer) float64 {
		g := &Group{
			cfg: Config{Observer: o}.withDefaults(), machine: fsm.New(), stores: &stores{mark: &mark{}}, origin: 1,
		}
		g.proposals = newProposals(g)
		g.expiry = ttl.NewLoop(&expiring{group: g})
		seal := func(index uint64, op fsm.Op) []byte {
			data := op.AppendTo(make([]byte, fsm.HeaderSize))
			fsm.SealEntry(data, fsm.Header{Origin: 2, Sequence: index, ClusterMillis: int64(index)}, 1)
			return data
		}
		data := seal(1, setTo("k", "v"))
		var index uint64
		return testing.AllocsPerRun(1000, func() {
			index++
			if err := (state{g}).applyOne(&raft.Log{Index: index, Data: data}); err != nil {
				t.Fatal(err)
			}
		})
	}
	o := &idle{}
	without, with := count(nil), count(o)
	if with > without {
		t.Errorf("%v allocations an entry, %v without an observer", with, without)
	}
	if o.entries < 1000 {
		t.Errorf("the observer was told of %d changes", o.entries)
	}
}

func TestRemainingTimeSurvivesARestart(t *testing.T) {
	bothStores(t, func(t *testing.T, store LogStore) {
		for _, from := range []string{"log", "snapshot"} {
			t.Run("from the "+from, func(t *testing.T) {
				cfg := Config{DataDir: t.TempDir(), LogStore: store}
				n, g := openSingle(t, cfg)
				const life = 1500 * time.Millisecond // a slow machine may take half of it to open the node
				must(t, g, expiringIn("k", life))
				deadline := deadlineOf(g, "k")
				eventually(t, "half of the time", func() bool { return deadline-clusterClock(g) < life.Milliseconds()/2 })
				if from == "snapshot" {
					if err := g.Snapshot(); err != nil {
						t.Fatal(err)
					}
				}
				closeNode(t, n)
				left := deadline - clusterClock(g)

				time.Sleep(life) // down for longer than what is left, which does not count
				began := time.Now()
				n, g = openSingle(t, cfg)
				defer closeNode(t, n)
				if got := deadlineOf(g, "k"); got != deadline {
					t.Fatalf("deadline %d, want %d as before", got, deadline)
				}
				if now := clusterClock(g); deadline-now > left {
					t.Fatalf("%d ms left, %d before the restart", deadline-now, left)
				}
				eventually(t, "expiry", func() bool { return get(t, g, "k") == "(missing)" })
				if lived := time.Since(began); lived < time.Duration(left)*time.Millisecond {
					t.Fatalf("gone after %v with %d ms left", lived, left)
				}
			})
		}
	})
}

// waiter is what a connection of a process asks for.
func waiter(owner string, process uint64, wait time.Duration) fsm.Op {
	o := &fsm.AcquireLock{Key: []byte("lock"), Lease: time.Hour.Milliseconds(), Wait: wait.Milliseconds(), Ticket: fsm.Ticket{Process: process, Number: 1}}
	copy(o.Owner[:], owner)
	return o
}

func participants(g *Group) int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n, ok := g.machine.View().Lookup([]byte("lock"))
	if !ok {
		return 0
	}
	return n.Lock().Len()
}

func TestWaitersOfAnEarlierProcessLeaveAfterTheGraceTime(t *testing.T) {
	cfg := Config{DataDir: t.TempDir(), grace: time.Second}
	n, g := openSingle(t, cfg)
	first := g.Origin()
	for _, owner := range []string{"holder", "gone", "comes back"} {
		must(t, g, waiter(owner, first, time.Hour))
	}
	closeNode(t, n)

	n, g = openSingle(t, cfg)
	defer closeNode(t, n)
	if g.Origin() == first {
		t.Fatal("two processes have one number")
	}
	must(t, g, waiter("comes back", g.Origin(), time.Hour))
	if got := participants(g); got != 3 {
		t.Fatalf("%d participants before the grace time, want 3", got)
	}
	eventually(t, "leaving", func() bool { return participants(g) == 2 })
	g.mu.RLock()
	defer g.mu.RUnlock()
	lock, _ := g.machine.View().Lookup([]byte("lock"))
	for _, owner := range []string{"holder", "comes back"} {
		var o fsm.Owner
		copy(o[:], owner)
		if _, ok := lock.Lock().Lookup(o); !ok {
			t.Errorf("%s has lost its place", owner)
		}
	}
}

// The leader of several nodes knows whose connections are gone once it has heard of all of them: not before.
func TestWaitersOfProcessesThatEndedLeave(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.grace = 100 * time.Millisecond })
	leader := c.leader(-1)
	gone, stays := (leader+1)%3, (leader+2)%3
	must(t, c.group(leader), waiter("holder", 1, 0)) // of a process that nobody knows: a lease needs no connection
	must(t, c.group(gone), waiter("gone", c.group(gone).Origin(), time.Hour))
	must(t, c.group(stays), waiter("stays", c.group(stays).Origin(), time.Hour))
	must(t, c.group(leader), waiter("stays with the leader", c.group(leader).Origin(), time.Hour))
	c.stop(gone)
	c.stop(leader) // and what it has seen of the others is forgotten
	c.start(leader)
	c.leader(-1)
	time.Sleep(500 * time.Millisecond) // whoever wanted to propose it would have by now
	g := c.group(stays)
	if got := participants(g); got != 4 {
		t.Fatalf("%d participants while nobody knows of one node, want 4", got)
	}
	c.start(gone)
	eventually(t, "leaving", func() bool { return participants(g) == 2 })
	g.mu.RLock()
	defer g.mu.RUnlock()
	lock, _ := g.machine.View().Lookup([]byte("lock"))
	for _, owner := range []string{"holder", "stays"} {
		var o fsm.Owner
		copy(o[:], owner)
		if _, ok := lock.Lock().Lookup(o); !ok {
			t.Errorf("%s has lost its place", owner)
		}
	}
}

// An entry that its leader sealed in an earlier term may enter the log in a later one, if the node is elected again in
// between. Its stamp is of a clock that has ended (etcd issue 15247 has the same shape).
func TestAStampOfAnEarlierTermHasNoEffect(t *testing.T) {
	c := startCluster(t, 3, nil)
	first := c.leader(-1)
	must(t, c.group(first), expiringIn("k", time.Hour))
	c.stop(first)
	next := c.leader(first)
	c.start(first)
	c.agree()
	inject := func(g *Group, term uint64) bool {
		return g.raft.ApplyLog(raft.Log{Data: further(term)}, testTimeout).Error() == nil
	}
	eventually(t, "entry of an earlier term in the log", func() bool {
		next = c.leader(-1)
		return inject(c.group(next), c.group(next).ready.Load()-1)
	})
	g := c.group(next)
	if now := clusterClock(g); now > time.Hour.Milliseconds() {
		t.Errorf("a stamp of an earlier term put the clock ahead to %d", now)
	}
	if deadlineOf(g, "k") == 0 {
		t.Fatal("a stamp of an earlier term removed the key")
	}
	eventually(t, "removal by the leader's own stamp, without which the test proves nothing", func() bool {
		next = c.leader(-1)
		g := c.group(next)
		return inject(g, g.ready.Load()) && deadlineOf(g, "k") == 0
	})
}

// ahead is an entry by a leader of that term whose clock runs two hours ahead: it removes what it takes for due.
func further(term uint64) []byte {
	data := (&fsm.ExpireDue{Limit: 1000}).AppendTo(make([]byte, fsm.HeaderSize))
	fsm.SealEntry(data, fsm.Header{Term: term, ClusterMillis: 2 * time.Hour.Milliseconds()}, 1)
	return data
}

// A leader is cut off while its main loop stands still, with an expiry on its way to the disk and more behind it. The
// others elect a leader, at which the key is renewed.
func TestAnExpiryOfADeposedLeaderHasNoEffect(t *testing.T) {
	stalls := []*stallPoint{newStallPoint(), newStallPoint(), newStallPoint()}
	c := startCluster(t, 3, func(i int, cfg *Config) { cfg.stall, cfg.DiskStall = stalls[i], time.Hour })
	old := c.leader(-1)
	g := c.group(old)
	must(t, g, expiringIn("k", time.Hour))

	stalls[old].on.Store(true)
	term := g.ready.Load()
	var futures []interface{ Error() error }
	for range 3 {
		futures = append(futures, g.raft.ApplyLog(raft.Log{Data: further(term)}, testTimeout))
	}
	select {
	case <-stalls[old].entered:
	case <-time.After(testTimeout):
		t.Fatal("nothing reached the disk")
	}
	c.isolate(old, true)
	next := c.group(c.leader(old))
	if r := must(t, next, &fsm.Expire{Key: []byte("k"), Millis: 3 * time.Hour.Milliseconds()}); r.Int != 1 {
		t.Fatal("the key was gone at the new leader")
	}
	renewed := deadlineOf(next, "k")

	stalls[old].on.Store(false)
	close(stalls[old].released)
	for i, f := range futures {
		if f.Error() == nil {
			t.Errorf("expiry %d of the deposed leader was committed", i)
		}
	}
	c.isolate(old, false)
	c.set(-1, "after", "all")
	c.agree()
	for i := range c.nodes {
		if got := deadlineOf(c.group(i), "k"); got != renewed {
			t.Errorf("node %d: deadline %d, want %d", i+1, got, renewed)
		}
		if now := clusterClock(c.group(i)); now > time.Hour.Milliseconds() {
			t.Errorf("node %d: the clock was put ahead to %d", i+1, now)
		}
	}
}

// Many keys that are due together must not hold up other writes.
func TestManyDueTogetherLetOthersThrough(t *testing.T) {
	r := &dueRecorder{}
	n, g := openSingle(t, Config{Observer: r})
	defer closeNode(t, n)
	keys := *soakDue
	due := time.Now().Add(max(2*time.Second, time.Duration(keys)*15*time.Microsecond))
	for made := 0; made < keys; {
		var ops []fsm.Op
		for ; made < keys && len(ops) < 1000; made++ {
			ops = append(ops, expiringIn(fmt.Sprint("due", made), max(time.Until(due), time.Millisecond)))
		}
		if err := g.Propose(testContext(t), proposal(ops...)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d keys made %v before they are due, %d gone early", keys, time.Until(due), r.gone.Load())
	var wg sync.WaitGroup
	var worst, before atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for i := 0; r.gone.Load() < int64(keys); i++ {
				began := time.Now()
				if err := g.Propose(context.Background(), proposal(setTo(fmt.Sprint("other", w, i%100), "v"))); err != nil {
					t.Error(err)
					return
				}
				longest := &before
				if r.gone.Load() > 0 {
					longest = &worst
				}
				for took := time.Since(began).Nanoseconds(); ; {
					if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("gone within %v of the deadline; the longest write took %v, before that %v; %d other entries came between",
		time.Since(due), time.Duration(worst.Load()), time.Duration(before.Load()), r.between)
	if portions := keys / 2000; r.between < portions/4 {
		t.Errorf("%d entries of others between %d of the expiry", r.between, portions)
	}
}

// dueRecorder counts expired keys, and the other writes' entries among theirs.
type dueRecorder struct {
	gone    atomic.Int64
	between int
}

func (d *dueRecorder) Applied(_ int, _ uint64, events []fsm.Event) {
	var expired, others int
	for _, e := range events {
		if e.What == fsm.EventExpired {
			expired++
		} else {
			others++
		}
	}
	if others > 0 && d.gone.Load() > 0 {
		d.between++
	}
	d.gone.Add(int64(expired))
}

func (d *dueRecorder) Restored(int, uint64, fsm.View) {}
