package ttl

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testGroup is a group whose log takes commit for each entry. Its deadlines are those of keys that nobody renews.
type testGroup struct {
	loop   *Loop
	commit time.Duration

	mu        sync.Mutex
	leads     bool
	fails     int // how many more proposals fail
	stuck     bool
	clock     Clock
	applied   int64   // cluster clock
	deadlines []int64 // sorted
	gone      []time.Time
	calls     []time.Time
	log       chan struct{} // holds a token while an entry is on its way; a mutex would stop virtual time
	busy      bool          // ExpireDue runs
}

var errTest = errors.New("not now")

// startLoop runs a loop for a group that leads, until the end of the test.
func startLoop(t *testing.T) *testGroup {
	g := &testGroup{commit: time.Millisecond, log: make(chan struct{}, 1)}
	g.loop = NewLoop(g)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		g.loop.Run(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	g.lead(true)
	return g
}

func (g *testGroup) lead(now bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leads = now
	if now {
		g.clock.Reset(g.applied)
		g.loop.Wake()
	}
}

func (g *testGroup) Leading() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leads
}

func (g *testGroup) ClusterMillis() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clock.Peek()
}

// entry stamps, commits and applies one entry.
func (g *testGroup) entry(apply func()) {
	g.log <- struct{}{}
	defer func() { <-g.log }()
	g.mu.Lock()
	stamp := g.clock.Stamp()
	g.mu.Unlock()
	time.Sleep(g.commit)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.applied = stamp
	apply()
	next := int64(Never)
	if len(g.deadlines) > 0 {
		next = g.deadlines[0]
	}
	g.loop.Note(next)
}

func (g *testGroup) create(after ...time.Duration) {
	g.entry(func() {
		for _, d := range after {
			g.deadlines = append(g.deadlines, g.applied+d.Milliseconds())
		}
		slices.Sort(g.deadlines)
	})
}

func (g *testGroup) ExpireDue(limit int64) (more bool, err error) {
	g.mu.Lock()
	g.calls = append(g.calls, time.Now())
	if g.busy {
		panic("two expiry proposals in flight")
	}
	switch {
	case !g.leads:
		err = errTest
	case g.fails > 0:
		g.fails--
		err = errTest
	}
	g.busy = err == nil
	g.mu.Unlock()
	if err != nil {
		return false, err
	}
	g.entry(func() {
		g.busy = false
		for n := int64(0); !g.stuck && len(g.deadlines) > 0 && g.deadlines[0] < g.applied; n++ {
			if n == limit {
				more = true
				return
			}
			g.deadlines = g.deadlines[1:]
			g.gone = append(g.gone, time.Now())
		}
	})
	return more, nil
}

// removed returns when keys went, measured from start.
func (g *testGroup) removed(start time.Time) []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []time.Duration
	for _, at := range g.gone {
		all = append(all, at.Sub(start))
	}
	return all
}

func (g *testGroup) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.gone)
}

func (g *testGroup) proposals() []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

// late is how much later than its deadline a key may go in a healthy group: a millisecond for the clock to pass it, one
// for its truncation, and what commits take.
func (g *testGroup) late() time.Duration { return 2*time.Millisecond + 2*g.commit }

// expectGone checks that keys went in a window of late after each of the times, counted from start.
func (g *testGroup) expectGone(t *testing.T, start time.Time, want ...time.Duration) {
	t.Helper()
	got := g.removed(start)
	if len(got) != len(want) {
		t.Fatalf("gone at %v, want %v", got, want)
	}
	for i := range want {
		if got[i] < want[i] || got[i] > want[i]+g.late() {
			t.Errorf("key %d went at %v, want %v and at most %v more", i, got[i], want[i], g.late())
		}
	}
}

func TestKeysGoWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		time.Sleep(time.Hour) // without deadlines nothing happens
		if n := len(g.proposals()); n != 0 {
			t.Fatalf("%d proposals without a deadline", n)
		}
		start := time.Now()
		g.create(40*time.Millisecond, 1234*time.Millisecond, 1234*time.Millisecond, 90*time.Second)
		time.Sleep(2 * time.Minute)
		g.expectGone(t, start, 40*time.Millisecond, 1234*time.Millisecond, 1234*time.Millisecond, 90*time.Second)
		n := len(g.proposals())
		time.Sleep(time.Hour)
		if more := len(g.proposals()) - n; more != 0 {
			t.Fatalf("%d proposals after the last deadline", more)
		}
	})
}

func TestAnEarlierDeadlineWakesTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		start := time.Now()
		g.create(200 * time.Millisecond)
		time.Sleep(10 * time.Millisecond)
		early := time.Since(start)
		g.create(30 * time.Millisecond)
		time.Sleep(time.Second)
		g.expectGone(t, start, early+30*time.Millisecond, 200*time.Millisecond)
	})
}

func TestTheClockTicksWhileADeadlineExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		g.create(time.Hour)
		last := time.Now()
		time.Sleep(10 * time.Second)
		calls := g.proposals()
		if len(calls) < 39 || len(calls) > 41 {
			t.Fatalf("%d ticks in ten seconds, want one each %v", len(calls), Tick)
		}
		for _, at := range calls {
			if at.Sub(last) > Tick+g.late() {
				t.Fatalf("no tick for %v", at.Sub(last))
			}
			last = at
		}
	})
}

func TestLaterDeadlinesWakeNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		g.create(time.Hour)
		synctest.Wait()
		for i := range int64(1000) {
			g.loop.Note(Tick.Milliseconds()*10 + 1000 - i) // earlier and earlier, but the loop will have looked by then
		}
		if n := len(g.loop.wake); n != 0 {
			t.Fatal("a deadline behind the next tick woke the loop")
		}
	})
}

func TestAPauseIsCappedAndLostForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		start := time.Now()
		g.create(5*time.Second, 20*time.Second)
		time.Sleep(100 * time.Millisecond)
		g.log <- struct{}{} // a disk that hangs
		time.Sleep(time.Minute)
		<-g.log
		time.Sleep(time.Minute)
		got := g.removed(start)
		if len(got) != 2 {
			t.Fatalf("gone: %v", got)
		}
		const lost = time.Minute - MaxStep
		for i, deadline := range []time.Duration{5 * time.Second, 20 * time.Second} {
			if late := got[i] - deadline; late < lost-Tick || late > lost+Tick+g.late() {
				t.Errorf("key %d was late by %v, want %v: all of the pause but %v", i, late, lost, MaxStep)
			}
		}
	})
}

func TestTimeWithoutALeaderDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		start := time.Now()
		g.create(500*time.Millisecond, 3*time.Second)
		time.Sleep(260 * time.Millisecond) // past a tick
		g.lead(false)
		time.Sleep(time.Hour)
		if n := g.count(); n != 0 {
			t.Fatalf("%d keys went without a leader", n)
		}
		n := len(g.proposals())
		time.Sleep(time.Hour)
		if more := len(g.proposals()) - n; more != 0 {
			t.Fatalf("%d proposals of a node that does not lead", more)
		}
		g.lead(true)
		time.Sleep(time.Minute)
		got := g.removed(start)
		if len(got) != 2 {
			t.Fatalf("gone: %v", got)
		}
		for i, deadline := range []time.Duration{500 * time.Millisecond, 3 * time.Second} {
			late := got[i] - deadline - 2*time.Hour
			if late < 0 || late > Tick+g.late() { // the old leader had stamped no later than a tick ago
				t.Errorf("key %d: %v later than its deadline and the time without a leader", i, late)
			}
		}
	})
}

func TestFailedProposalsBackOffAndNeverStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		g.fails = 1000
		g.create(20 * time.Millisecond)
		time.Sleep(30 * time.Second)
		calls := g.proposals()
		want := 10 * time.Millisecond
		for i := range calls[1:] {
			if got := calls[i+1].Sub(calls[i]); got != want {
				t.Fatalf("pause %d lasted %v, want %v", i, got, want)
			}
			want = min(2*want, Tick)
		}
		if n := len(calls); n < 100 {
			t.Fatalf("%d proposals in 30 s", n)
		}
		g.mu.Lock()
		g.fails = 0
		g.mu.Unlock()
		time.Sleep(time.Second)
		if g.count() != 1 {
			t.Fatal("the key is still there")
		}
		g.mu.Lock()
		g.fails, g.calls = 2, nil
		g.mu.Unlock()
		g.create(20 * time.Millisecond)
		time.Sleep(time.Second)
		if calls := g.proposals(); calls[1].Sub(calls[0]) != shortestPause {
			t.Fatalf("after a success the pause was %v, want %v", calls[1].Sub(calls[0]), shortestPause)
		}
	})
}

func TestAStateThatKeepsWhatIsDueIsNotAskedWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		g.stuck = true
		g.create(20 * time.Millisecond)
		time.Sleep(10 * time.Second)
		if n := len(g.proposals()); n > 50 {
			t.Fatalf("%d proposals in 10 s", n)
		}
	})
}

func TestAMillionDueDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		const keys = 1_000_000
		all := make([]time.Duration, keys)
		for i := range all {
			all[i] = 100 * time.Millisecond
		}
		g.create(all...)
		var worst time.Duration
		writes := 0
		for g.count() < keys {
			before := time.Now()
			g.entry(func() {})
			worst = max(worst, time.Since(before))
			writes++
			time.Sleep(time.Millisecond)
		}
		// The virtual log takes a millisecond for an entry of any size: one of the loop's and our own.
		if limit := 3 * g.commit; worst > limit {
			t.Errorf("a write took %v, want at most %v", worst, limit)
		}
		if least := keys / BatchLimit / 2; writes < least {
			t.Errorf("%d writes beside the expiry, want at least %d", writes, least)
		}
		if n := len(g.proposals()); n < keys/BatchLimit || n > keys/BatchLimit+10 {
			t.Errorf("%d proposals for %d keys", n, keys)
		}
	})
}

func TestKeysOfAnyTTLGoInTime(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	synctest.Test(t, func(t *testing.T) {
		g := startLoop(t)
		g.commit = 500 * time.Microsecond
		r := rand.New(rand.NewPCG(seed, 0))
		start := time.Now()
		var earliest []time.Duration
		for range 5000 {
			ttl := time.Duration(1+r.IntN(5000)) * time.Millisecond
			earliest = append(earliest, time.Since(start)+ttl)
			g.create(ttl)
			time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond)
		}
		time.Sleep(time.Minute)
		slices.Sort(earliest)
		got := g.removed(start)
		if len(got) != len(earliest) {
			t.Fatalf("%d of %d keys went", len(got), len(earliest))
		}
		for i := range got {
			if d := got[i] - earliest[i]; d < 0 || d > 2*g.late() {
				t.Fatalf("key %d went %v after its deadline", i, d)
			}
		}
	})
}
