package fsm

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/dtkv/dtkv/lock"
)

// l is alice's until 2000 with the token 1; bob waits for it until 1500, carol until 3000. h.l is alice's alone, with token 2.
const queue3 = "lock 1: alice until 2000 bob until 1500 carol until 3000"

func TestAcquireLock(t *testing.T) {
	dave := Owner{'d'}
	got := func(token int) string { return fmt.Sprintf(`%d found ""`, token) }
	runTimed(t, []timedStep{
		{"a free lock is granted", 5, acquire("new", bob, 0, 9), got(3), "lock new bob-9 #3", "new", "lock 3: bob" + at(2005)},
		{"a free lock is granted to one who would wait", 0, acquire("new", bob, 50, 9), got(3), "lock new bob-9 #3", "new", "lock 3: bob" + at(2000)},
		{"in a directory", 0, acquire("d.l", bob, 0, 9), got(3), "lock d.l bob-9 #3", "d.l", "lock 3: bob" + at(2000)},
		{"its holder begins a new lease with the same token", 5, acquire("l", alice, 0, 9), got(1), "", "l", "lock 1: alice until 2005 bob until 1500 carol until 3000"},
		{"its holder who would wait need not", 5, acquire("l", alice, 50, 9), got(1), "", "l", "lock 1: alice until 2005 bob until 1500 carol until 3000"},
		{"another's, without waiting", 0, acquire("h.l", bob, 0, 9), "0", "", "h.l", "lock 2: alice" + at(2000)},
		{"another's, waiting less than nothing", 0, acquire("h.l", bob, -5, 9), "0", "", "h.l", "lock 2: alice" + at(2000)},
		{"another's, waiting", 5, acquire("h.l", bob, 50, 9), "1", "", "h.l", "lock 2: alice until 2000 bob until 1055"},
		{"a fourth comes last", 0, acquire("l", dave, 50, 9), "1", "", "l", queue3 + "  until 1050"},
		{"a waiter who asks again keeps its place and waits anew", 5, acquire("l", bob, 900, 9), "1", "", "l", "lock 1: alice until 2000 bob until 1905 carol until 3000"},
		{"a waiter who asks without waiting keeps its place as it was", 5, acquire("l", bob, 0, 9), "0", "", "l", queue3},

		{"where a value is", 0, acquire("v", bob, 0, 9), wrongType, "", "v", `"old"`},
		{"where a temporary value is", 0, acquire("t", alice, 0, 9), wrongType, "", "", ""},
		{"where a directory is", 0, acquire("d", bob, 0, 9), wrongType, "", "d", "dir"},
		{"without a parent", 0, acquire("no.l", bob, 0, 9), noParent("no"), "", "", ""},
		{"below a value", 0, acquire("v.l", bob, 0, 9), notDir("v"), "", "", ""},
		{"below a lock", 0, acquire("l.l", alice, 0, 9), notDir("l"), "", "", ""},
		{"below a temporary directory", 0, acquire("td.l", alice, 0, 9), underTemp("td"), "", "td.l", "none"},
		{"by nobody", 0, acquire("new", Owner{}, 0, 9), notOwner("new"), "", "new", "none"},
		{"with a lease of nothing has the shortest", 0, &AcquireLock{Key: []byte("new"), Owner: bob}, got(3), "lock new bob-0 #3", "new", "lock 3: bob" + at(1001)},
	})
	l := timed(t)
	l.header.AutoMkdir = true
	if l.must(acquire("p.q.l", bob, 0, 9)); told(l.Events()) != "mkdir p, mkdir p.q, lock p.q.l bob-9 #3" {
		t.Errorf("with auto-mkdir: %s", told(l.Events()))
	}
}

func TestReleaseLock(t *testing.T) {
	runTimed(t, []timedStep{
		{"hands over in the same entry, with a lease from then on", 5, release("l", alice), "1", "unlock l alice-1 #1, lock l bob-2 #3", "l", "lock 3: bob until 2005 carol until 3000"},
		{"one who gave up is not granted", 501, release("l", alice), "1", "unlock l alice-1 #1, waitend l bob-2, lock l carol-3 #3", "l", "lock 3: carol until 2501"},
		{"if all gave up the lock goes", 2001, release("l", alice), "1", "unlock l alice-1 #1, waitend l bob-2, waitend l carol-3", "l", "none"},
		{"a waiter leaves the queue", 0, release("l", bob), "1", "waitend l bob-2", "l", "lock 1: alice until 2000 carol until 3000"},
		{"a stranger", 0, release("h.l", bob), "0", "", "h.l", "lock 2: alice until 2000"},
		{"nobody", 0, release("h.l", Owner{}), "0", "", "h.l", "lock 2: alice until 2000"},
		{"the last participant takes the lock along", 0, release("h.l", alice), "1", "unlock h.l alice-4 #2", "h.l", "none"},
		{"a missing lock", 0, release("nope", alice), "0", "", "", ""},
		{"a value", 0, release("v", alice), wrongType, "", "", ""},
		{"a directory", 0, release("d", alice), wrongType, "", "", ""},
	})

	l := timed(t).must(release("h.l", alice), set("h.l", "a value now"), del("h.l"), mkdir("h.l"))
	if l.describe("h.l") != "dir" || l.node("h").Children() != 1 {
		t.Errorf("the name of a lock that went is %s", l.describe("h.l"))
	}
}

func TestRenewLock(t *testing.T) {
	renew := func(key string, o Owner, lease int64) *RenewLock { return &RenewLock{[]byte(key), o, lease} }
	runTimed(t, []timedStep{
		{"by its holder", 5, renew("l", alice, 50), "1", "", "l", "lock 1: alice until 1055 bob until 1500 carol until 3000"},
		{"for nothing is for the shortest", 0, renew("h.l", alice, 0), "2", "", "h.l", "lock 2: alice until 1001"},
		{"by a waiter", 0, renew("l", bob, 50), notOwner("l"), "", "l", queue3},
		{"by a stranger", 0, renew("h.l", bob, 50), notOwner("h.l"), "", "", ""},
		{"by nobody", 0, renew("h.l", Owner{}, 50), notOwner("h.l"), "", "", ""},
		{"a lock that went", 0, renew("nope", alice, 50), notOwner("nope"), "", "nope", "none"},
		{"a value", 0, renew("v", alice, 50), wrongType, "", "", ""},
	})
}

func TestADeadConnectionLeavesOnlyWithItsNewestTicket(t *testing.T) {
	leave := func(key string, o Owner, number uint64) *LeaveLock {
		return &LeaveLock{[]byte(key), o, Ticket{Process: 1, Number: number}}
	}
	runTimed(t, []timedStep{
		{"a waiter", 0, leave("l", bob, 2), "1", "waitend l bob-2", "l", "lock 1: alice until 2000 carol until 3000"},
		{"a waiter who has asked again elsewhere", 0, leave("l", bob, 1), "0", "", "l", queue3},
		{"one who was granted meanwhile", 0, leave("l", alice, 1), "1", "unlock l alice-1 #1, lock l bob-2 #3", "l", "lock 3: bob until 2000 carol until 3000"},
		{"one who was granted and asked again elsewhere", 0, leave("l", alice, 7), "0", "", "l", queue3},
		{"a stranger", 0, leave("l", Owner{'d'}, 1), "0", "", "", ""},
		{"nobody", 0, leave("l", Owner{}, 0), "0", "", "", ""},
		{"a lock that went", 0, leave("nope", bob, 2), "0", "", "", ""},
		{"a lock whose name is a value now", 0, leave("v", bob, 2), "0", "", "v", `"old"`},
	})
	l := timed(t).must(acquire("l", bob, 900, 22))
	if got := outcome(l.do(leave("l", bob, 2))); got != "0" {
		t.Errorf("the old connection's place was given up: %s", got)
	}
	if got := outcome(l.do(leave("l", bob, 22))); got != "1" {
		t.Errorf("the new connection's place was not: %s", got)
	}
}

func TestWaitersOfOtherProcessesLeaveAndHoldersStay(t *testing.T) {
	l := timed(t).must(
		&AcquireLock{[]byte("h.l"), bob, 100, 100, Ticket{Process: 2, Number: 5}},
		&AcquireLock{[]byte("h.l"), carol, 100, 100, Ticket{Process: 3, Number: 6}},
	)
	if got := outcome(l.do(&RetainProcesses{[]uint64{3, 2}})); got != "2" || told(l.Events()) != "waitend l bob-2, waitend l carol-3" {
		t.Errorf("%s, %s", got, told(l.Events()))
	}
	if got := outcome(l.do(&RetainProcesses{[]uint64{3}})); got != "1" || told(l.Events()) != "waitend h.l bob-5" {
		t.Errorf("%s, %s", got, told(l.Events()))
	}
	if got := outcome(l.do(&RetainProcesses{})); got != "1" || l.describe("h.l") != "lock 2: alice until 2000" || l.describe("l") != "lock 1: alice until 2000" {
		t.Errorf("%s, then %s and %s", got, l.describe("h.l"), l.describe("l"))
	}
	audit(t, l.View())
}

// A change of the holder is a change of the node, so that watchers see it in the order of indexes. Making and removing the
// lock changes the directory too.
func TestAChangeOfTheHolderMovesTheStamps(t *testing.T) {
	l := timed(t).must(acquire("h.l", bob, 500, 5))
	created := l.node("h.l").Created
	l.must(release("h.l", alice))
	now := l.View().Index()
	if n := l.node("h.l"); n.Updated.Index != now || n.Created != created || l.node("h").Updated.Index != now || l.node("").Updated.Index != now {
		t.Errorf("at %d the lock was updated at %v, created at %v", now, n.Updated, n.Created)
	}
	l.must(release("h.l", bob))
	if h := l.node("h"); h.Updated.Index != now+1 || h.Children() != 0 {
		t.Errorf("the directory was updated at %v and has %d children", h.Updated, h.Children())
	}
	audit(t, l.View())
}

// Tokens grow for ever: over hand-overs, removed locks, flushes, and snapshots.
func TestTokensOnlyGrow(t *testing.T) {
	l := timed(t)
	last := int64(2)
	grant := func(key string, o Owner) {
		t.Helper()
		r := l.do(acquire(key, o, 0, 1))
		if !r.Found || r.Int <= last {
			t.Errorf("%s after token %d", outcome(r), last)
		}
		last = r.Int
	}
	grant("a", alice)
	l.must(release("a", alice))
	grant("a", alice)
	l.must(&Flush{})
	grant("a", alice)
	l.Machine = restored(t, l.Machine)
	grant("b", bob)
	l.must(&Flush{})
	l.Machine = restored(t, l.Machine)
	if info, err := InspectSnapshot(newReader(t, l.View()), nil); err != nil || info.Tokens != uint64(last) {
		t.Errorf("the snapshot says %d, %v", info.Tokens, err)
	}
	grant("a", carol)
}

// One thousand wait, and are served in the order of their arrival.
func TestAThousandWaitersAreServedInOrder(t *testing.T) {
	const many = 1000
	who := func(i int) Owner {
		var o Owner
		copy(o[:], "w"+strconv.Itoa(i))
		return o
	}
	l := newLab(t).must(&LeaderStart{Term: 1})
	for i := range many {
		l.must(&AcquireLock{[]byte("l"), who(i), 1000, 1_000_000, Ticket{Process: 1, Number: uint64(i)}})
	}
	for i := 0; i < many; i += 3 {
		l.must(&AcquireLock{[]byte("l"), who(i), 1000, 1_000_000, Ticket{Process: 2, Number: uint64(i)}}) // asks again
	}
	l.Machine = restored(t, l.Machine)
	for i := range many {
		holder, _ := l.node("l").Lock().Holder()
		if holder.Owner != who(i) || l.node("l").Lock().Len() != many-i {
			t.Fatalf("turn %d is another's; %d are left", i, l.node("l").Lock().Len())
		}
		l.must(release("l", who(i)))
	}
	if l.describe("l") != "none" {
		t.Errorf("at last it is %s", l.describe("l"))
	}
}

// What an entry allocates is what it copies: with ten times the waiters a page more, not ten times as much.
func TestALockDoesNotCostMoreWithTheNumberOfWaiters(t *testing.T) {
	cost := func(many int) uint64 {
		l := newLab(t).must(&LeaderStart{Term: 1})
		step := func(i int) {
			l.do(&AcquireLock{[]byte("l"), Owner{1, byte(i >> 16), byte(i >> 8), byte(i)}, 1000, 1_000_000, Ticket{}})
		}
		for i := range many {
			step(i)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const steps = 300
		for i := range steps {
			step(many + i)
			l.do(release("l", Owner{1, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / steps
	}
	small, large := cost(1000), cost(10_000)
	t.Logf("one comes and one goes for %d bytes among 1 000 waiters, for %d among 10 000", small, large)
	if large > 2*small {
		t.Errorf("one comes and one goes for %d bytes among 1 000 waiters, for %d among 10 000", small, large)
	}
}

func TestAFrozenViewKeepsItsLocks(t *testing.T) {
	l := timed(t)
	v := l.Freeze()
	before := v.Digest()
	l.must(acquire("l", Owner{'d'}, 10, 1), release("l", alice), release("l", carol), &RetainProcesses{}, &Flush{})
	if v.Digest() != before {
		t.Error("the view has changed")
	}
	n, _ := v.Lookup([]byte("l"))
	names := ""
	n.Lock().Waiters(func(p lock.Participant) bool {
		names += name(p.Owner)
		return true
	})
	if holder, _ := n.Lock().Holder(); names != "bobcarol" || holder.Owner != alice {
		t.Errorf("it is %s, then %s", name(holder.Owner), names)
	}
	audit(t, v)
}

// Whoever has a node may read its lock while the machine goes on. The race detector is the judge.
func TestALockIsReadWhileTheMachineGoesOn(t *testing.T) {
	l := timed(t)
	for i := range 100 {
		l.must(acquire("l", Owner{1, byte(i)}, 5000, 1))
	}
	n := l.node("l")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 50 {
				waiters := 0
				n.Lock().Waiters(func(lock.Participant) bool { waiters++; return true })
				if _, ok := n.Lock().Lookup(carol); !ok || waiters != 102 || n.Lock().Len() != 103 || n.Lock().Due() != 1500 {
					t.Errorf("%d wait, and it is due at %d", waiters, n.Lock().Due())
				}
			}
		})
	}
	for i := range 100 {
		l.must(release("l", Owner{1, byte(i)}), acquire("l", Owner{2, byte(i)}, 5000, 1))
	}
	wg.Wait()
}
