package fsm

import (
	"fmt"
	"math"
	"testing"
)

func TestAWriteMaySayHowLongTheValueLives(t *testing.T) {
	now := 1000 * int64(timed(t).View().Index()+2)
	keep := func(key string) *Set { return &Set{Key: []byte(key), Value: []byte("new"), TTL: TTL{Keep: true}} }
	runTimed(t, []timedStep{
		{"SET PX creates", 0, setFor("new", "y", 10), "1", "set new, expire new", "new", `"y"` + at(1010)},
		{"SET PX overwrites a permanent value", 0, setFor("v", "y", 10), "1", "set v, expire v", "v", `"y"` + at(1010)},
		{"SET PX overwrites an expiring value", 7, setFor("x", "y", 10), "1", "set x, expire x", "x", `"y"` + at(1017)},
		{"SET makes an expiring value permanent", 0, set("x", "y"), "1", "set x", "x", `"y"`},
		{"SET KEEPTTL leaves the deadline", 7, keep("x"), "1", "set x", "x", `"new"` + at(1500)},
		{"SET KEEPTTL of a permanent value", 0, keep("v"), "1", "set v", "v", `"new"`},
		{"SET KEEPTTL creates a permanent value", 0, keep("new"), "1", "set new", "new", `"new"`},
		{"SET PX that meets no condition changes nothing", 0, &Set{Key: []byte("x"), If: IfAbsent, TTL: TTL{Millis: 9}}, "0", "", "x", `"7"` + at(1500)},
		{"SET with a time that has passed removes", 0, setFor("x", "y", -1), "1", "del x", "x", "none"},
		{"SET with a time that has passed creates nothing", 0, setFor("new", "y", -1), "1", "", "new", "none"},
		{"SET with a time that has passed needs a parent like any other", 0, setFor("no.x", "y", -1), noParent("no"), "", "no", "none"},
		{"SET GET with a time that has passed shows what it removes", 0, &Set{Key: []byte("x"), Get: true, TTL: TTL{Millis: -5}}, `1 found "7"`, "del x", "x", "none"},
		{"SET PX of longer than time itself", 0, setFor("v", "y", math.MaxInt64), "1", "set v, expire v", "v", `"y"` + at(math.MaxInt64)},
		{"SET PX into a temporary directory", 0, setFor("td.x", "y", 10), "1", "set td.x, expire td.x", "td.x", `"y"` + at(1010)},

		{"MSET makes expiring values permanent", 0, &SetMany{Pairs: list("x", "1", "new", "2")}, "1", "set x, set new", "x", `"1"`},
		{"MSETEX sets the deadline of each", 0, &SetMany{Pairs: list("x", "1", "new", "2"), TTL: TTL{Millis: 9}}, "1", "set x, expire x, set new, expire new", "new", `"2"` + at(1009)},
		{"SET PXAT", 0, &Set{Key: []byte("x"), Value: []byte("1"), TTL: TTL{Millis: now + 9, Absolute: true}}, "1", "set x, expire x", "x", `"1"` + at(1009)},
		{"SET PXAT that has passed", 0, &Set{Key: []byte("x"), Value: []byte("1"), TTL: TTL{Millis: now - 9, Absolute: true}}, "1", "del x", "x", "none"},
		{"MSETEX KEEPTTL leaves deadlines", 0, &SetMany{Pairs: list("x", "1", "new", "2"), TTL: TTL{Keep: true}}, "1", "set x, set new", "x", `"1"` + at(1500)},
		{"MSETEX with a time that has passed removes all", 0, &SetMany{Pairs: list("x", "1", "v", "2"), TTL: TTL{Millis: -1}}, "1", "del x, del v", "v", "none"},
		{"MSETEX that is refused leaves the deadlines as they were", 0, &SetMany{Pairs: list("x", "1", "d", "2"), TTL: TTL{Millis: 9}}, wrongType, "", "x", `"7"` + at(1500)},

		{"APPEND keeps the deadline", 0, &Append{[]byte("x"), []byte("1")}, "2", "append x", "x", `"71"` + at(1500)},
		{"SETRANGE keeps the deadline", 0, &SetRange{[]byte("x"), 1, []byte("1")}, "2", "setrange x", "x", `"71"` + at(1500)},
		{"INCR keeps the deadline", 0, &Increment{[]byte("x"), 1}, "8", "incrby x", "x", `"8"` + at(1500)},
		{"INCRBYFLOAT keeps the deadline", 0, &IncrementFloat{[]byte("x"), "0.5"}, `0 found "7.5"`, "incrbyfloat x", "x", `"7.5"` + at(1500)},
		{"RENAME keeps the deadline", 0, rename("x", "y"), "1", "rename_from x, rename_to y", "y", `"7"` + at(1500)},
		{"RENAME over an expiring value brings its own", 0, rename("v", "x"), "1", "rename_from v, rename_to x", "x", `"old"`},
		{"COPY copies the deadline", 300, &Copy{From: []byte("x"), To: []byte("y")}, "1", "copy_to y", "y", `"7"` + at(1500)},
		{"COPY of a permanent value over an expiring one", 0, &Copy{[]byte("v"), []byte("x"), true}, "1", "copy_to x", "x", `"old"`},
		{"COPY of a value that is due keeps it due", 700, &Copy{From: []byte("x"), To: []byte("y")}, "1", "copy_to y", "y", `"7"` + at(1500)},
		{"an expiring value is removed by anyone", 0, del("x"), "1", "del x", "x", "none"},
		{"GETDEL of an expiring value", 0, &GetDel{Key: []byte("x")}, `0 found "7"`, "del x", "x", "none"},
		{"CAS on an expiring value is refused", 0, cas("x", "7", "8"), tempNode("x"), "", "x", `"7"` + at(1500)},
		{"CAS that would create where an expiring value is", 0, cas("x", "", "8"), tempNode("x"), "", "x", `"7"` + at(1500)},
	})
}

func TestExpire(t *testing.T) {
	now := 1000 * int64(timed(t).View().Index()+2) // the wall clock of the entry, see lab
	expireAt := func(key string, millis int64, c TTLCondition) *Expire {
		return &Expire{Key: []byte(key), Millis: millis, If: c, Absolute: true}
	}
	runTimed(t, []timedStep{
		{"sets a deadline", 0, expire("v", 100, IfAny), "1", "expire v", "v", `"old"` + at(1100)},
		{"moves a deadline", 100, expire("x", 10, IfAny), "1", "expire x", "x", `"7"` + at(1110)},
		{"a missing key", 0, expire("nope", 100, IfAny), "0", "", "nope", "none"},
		{"no time at all removes", 0, expire("v", 0, IfAny), "1", "del v", "v", "none"},
		{"less than no time removes", 0, expire("x", math.MinInt64, IfAny), "1", "del x", "x", "none"},
		{"longer than time itself", 0, expire("v", math.MaxInt64, IfAny), "1", "expire v", "v", `"old"` + at(math.MaxInt64)},

		{"NX where there is no deadline", 0, expire("v", 100, IfNoTTL), "1", "expire v", "v", `"old"` + at(1100)},
		{"NX where there is one", 0, expire("x", 100, IfNoTTL), "0", "", "x", `"7"` + at(1500)},
		{"XX where there is no deadline", 0, expire("v", 100, IfTTL), "0", "", "v", `"old"`},
		{"XX where there is one", 0, expire("x", 100, IfTTL), "1", "expire x", "x", `"7"` + at(1100)},
		{"GT where there is no deadline, which is for ever", 0, expire("v", 100, IfLonger), "0", "", "v", `"old"`},
		{"GT of a later one", 0, expire("x", 501, IfLonger), "1", "expire x", "x", `"7"` + at(1501)},
		{"GT of the same one", 0, expire("x", 500, IfLonger), "0", "", "x", `"7"` + at(1500)},
		{"LT where there is no deadline, which is for ever", 0, expire("v", 100, IfShorter), "1", "expire v", "v", `"old"` + at(1100)},
		{"LT of an earlier one", 0, expire("x", 499, IfShorter), "1", "expire x", "x", `"7"` + at(1499)},
		{"LT of the same one", 0, expire("x", 500, IfShorter), "0", "", "x", `"7"` + at(1500)},
		{"XX LT where there is no deadline", 0, expire("v", 100, IfTTLAndShorter), "0", "", "v", `"old"`},
		{"XX LT of an earlier one", 0, expire("x", 499, IfTTLAndShorter), "1", "expire x", "x", `"7"` + at(1499)},
		{"a time of the wall clock", 0, expireAt("v", now+100, IfAny), "1", "expire v", "v", `"old"` + at(1100)},
		{"a time of the wall clock that has passed", 0, expireAt("v", now, IfAny), "1", "del v", "v", "none"},
		{"the first time of all", 0, expireAt("v", math.MinInt64, IfAny), "1", "del v", "v", "none"},
		{"the last time of all", 0, expireAt("v", math.MaxInt64, IfAny), "1", "expire v", "v", `"old"` + at(math.MaxInt64-now+1000)},
		{"GT of a time of the wall clock", 0, expireAt("x", now+501, IfLonger), "1", "expire x", "x", `"7"` + at(1501)},
		{"LT of a later time of the wall clock", 0, expireAt("x", now+501, IfShorter), "0", "", "x", `"7"` + at(1500)},
		{"LT of no time removes", 0, expire("v", 0, IfShorter), "1", "del v", "v", "none"},
		{"GT of no time leaves it", 0, expire("x", 0, IfLonger), "0", "", "x", `"7"` + at(1500)},

		{"a directory is refused", 0, expire("d", 100, IfAny), wrongType, "", "d", "dir"},
		{"a temporary directory is refused", 0, expire("td", 100, IfAny), wrongType, "", "", ""},
		{"a lock is refused", 0, expire("l", 100, IfAny), wrongType, "", "", ""},
		{"a temporary value is refused", 0, expire("t", 100, IfAny), tempNode("t"), "", "t", `"mine"` + at(2000) + " of alice"},
		{"no time for a temporary value is refused, too", 0, expire("t", 0, IfAny), tempNode("t"), "", "", ""},
	})
}

func TestPersistAndGetExpire(t *testing.T) {
	now := 1000 * int64(timed(t).View().Index()+2)
	getex := func(key string, ttl TTL) *GetExpire { return &GetExpire{[]byte(key), ttl, false} }
	stay := func(key string) *GetExpire { return &GetExpire{[]byte(key), TTL{}, true} }
	runTimed(t, []timedStep{
		{"PERSIST takes the deadline away", 0, &Persist{[]byte("x")}, "1", "persist x", "x", `"7"`},
		{"PERSIST of a permanent value", 0, &Persist{[]byte("v")}, "0", "", "v", `"old"`},
		{"PERSIST of a missing key", 0, &Persist{[]byte("nope")}, "0", "", "", ""},
		{"PERSIST of a directory", 0, &Persist{[]byte("d")}, wrongType, "", "", ""},
		{"PERSIST of a lock", 0, &Persist{[]byte("l")}, wrongType, "", "", ""},
		{"PERSIST of a temporary value", 0, &Persist{[]byte("t")}, tempNode("t"), "", "", ""},

		{"GETEX alone changes nothing", 0, getex("x", TTL{}), `0 found "7"`, "", "x", `"7"` + at(1500)},
		{"GETEX PX", 3, getex("x", TTL{Millis: 10}), `0 found "7"`, "expire x", "x", `"7"` + at(1013)},
		{"GETEX PX of a permanent value", 0, getex("v", TTL{Millis: 10}), `0 found "old"`, "expire v", "v", `"old"` + at(1010)},
		{"GETEX with a time that has passed", 0, getex("x", TTL{Millis: -1}), `0 found "7"`, "del x", "x", "none"},
		{"GETEX PERSIST", 0, stay("x"), `0 found "7"`, "persist x", "x", `"7"`},
		{"GETEX PERSIST of a permanent value", 0, stay("v"), `0 found "old"`, "", "v", `"old"`},
		{"GETEX PXAT", 3, getex("x", TTL{Millis: now + 10, Absolute: true}), `0 found "7"`, "expire x", "x", `"7"` + at(1013)},
		{"GETEX PXAT that has passed", 0, getex("x", TTL{Millis: now, Absolute: true}), `0 found "7"`, "del x", "x", "none"},
		{"GETEX of a missing key", 0, getex("nope", TTL{Millis: 10}), "0", "", "nope", "none"},
		{"GETEX of a directory", 0, getex("d", TTL{Millis: 10}), wrongType, "", "", ""},
		{"GETEX of a temporary value", 0, getex("t", TTL{Millis: 10}), tempNode("t"), "", "t", `"mine"` + at(2000) + " of alice"},
	})
}

func TestWhatIsDueGoesWithTheNextExpireDue(t *testing.T) {
	due := func(limit int64) *ExpireDue { return &ExpireDue{limit} }
	runTimed(t, []timedStep{
		{"nothing in the millisecond of its time, which may not be over", 500, due(100), "0", "", "x", `"7"` + at(1500)},
		{"a value after its time, and a waiter", 501, due(100), "2", "waitend l bob-2, expired x", "x", "none"},
		{
			"the earliest first, and a lock with all its participants that are due", 1001, due(100), "8",
			"waitend l bob-2, expired l alice-1 #1, lock l carol-3 #3, expired x, expired g.t, expired h.l alice-4 #2, expired t, expired td.v, expired td", "l", "lock 3: carol" + at(3001),
		},
		{"no more than the limit", 1001, due(1), `1 found ""`, "waitend l bob-2", "x", `"7"` + at(1500)},
		{"with a limit of nothing it only looks", 1001, due(0), `0 found ""`, "", "x", `"7"` + at(1500)},
		{"with nothing due it is the tick of the clock", 10, due(0), "0", "", "", ""},
		{
			"after a very long time", 5000, due(100), "9",
			"waitend l bob-2, expired l alice-1 #1, waitend l carol-3, expired x, expired g.t, expired h.l alice-4 #2, expired t, expired td.v, expired td", "l", "none",
		},
	})
}

// A directory is taken out whole, though that may be more than the limit: nobody must see half of it.
func TestATemporaryDirectoryExpiresWithItsWholeSubtreeInOneEntry(t *testing.T) {
	l := timed(t).must(&MakeDir{Key: []byte("td.a.b"), Parents: true}, set("td.a.b.c", "x"), setFor("td.a.short", "x", 1))
	l.header.ClusterMillis = 2001
	for range 4 { // the value td.a.short, x, bob and g.t come first
		l.do(&ExpireDue{1})
	}
	for l.describe("td") != "none" {
		before := l.View().Nodes()
		r := l.do(&ExpireDue{1})
		if gone := before - l.View().Nodes(); l.describe("td") == "none" {
			if got := told(l.Events()); gone != 5 || r.Int != 5 || got != "expired td.a.b.c, expired td.a.b, expired td.v, expired td.a, expired td" {
				t.Errorf("%d nodes went, the answer is %s: %s", gone, outcome(r), got)
			}
		} else if l.describe("td.v") == "none" || l.describe("td.a.b.c") == "none" {
			t.Fatal("half of it is gone")
		}
	}
	if n := l.node(""); n.Updated.Index != l.View().Index() {
		t.Errorf("the root was updated at %v", n.Updated)
	}
}

// The log decides: until ExpireDue is applied the node is there, for readers, writers and its owner.
func TestADeadlineThatHasComeMattersOnlyOnceExpireDueIsApplied(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   Op
		key  string
		want string
	}{
		{"an expiring value is renewed", expire("x", 100, IfAny), "x", `"7"` + at(9100)},
		{"an expiring value is persisted", &Persist{[]byte("x")}, "x", `"7"`},
		{"an expiring value is written", set("x", "1"), "x", `"1"`},
		{"a temporary value is renewed", &UpdateTTL{[]byte("t"), 100, alice}, "t", `"mine"` + at(9100) + " of alice"},
		{"a temporary value is written", putTemp("t", "again", 100, alice), "t", `"again"` + at(9100) + " of alice"},
		{"a temporary directory is renewed", tempDir("td", 100, alice), "td", "dir" + at(9100) + " of alice"},
		{"a lease is renewed", &RenewLock{[]byte("h.l"), alice, 100}, "h.l", "lock 2: alice" + at(9100)},
		{"a lock is asked for again", acquire("h.l", alice, 0, 9), "h.l", "lock 2: alice" + at(10000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := timed(t)
			l.header.ClusterMillis = 9000
			if l.must(tt.op); l.describe(tt.key) != tt.want {
				t.Errorf("it is %s, want %s", l.describe(tt.key), tt.want)
			}
			l.must(&ExpireDue{1000})
			if l.describe(tt.key) != tt.want {
				t.Errorf("then it is %s, want %s", l.describe(tt.key), tt.want)
			}
		})
	}
	l := timed(t)
	l.header.ClusterMillis = 9000
	if l.must(set("v", "new")); l.describe("x") == "none" || l.describe("t") == "none" {
		t.Error("a write took out what is due")
	}
}

// An expiry knows no key and no index: it asks the state. So a key made anew is never taken for the old one.
func TestAKeyMadeAnewHasItsOwnDeadline(t *testing.T) {
	l := timed(t).must(del("x"), setFor("x", "8", 5000), &RemoveOwned{[]byte("t"), alice}, putTemp("t", "9", 5000, bob))
	l.header.ClusterMillis = 2500
	l.must(&ExpireDue{1000})
	if x, t2 := l.describe("x"), l.describe("t"); x != `"8"`+at(6000) || t2 != `"9"`+at(6000)+" of bob" {
		t.Errorf("x is %s, t is %s", x, t2)
	}
}

// A change of a deadline is no change of the node: no stamp moves, and so no WATCH fails and no watcher hears of it.
func TestDeadlinesMoveNoStamp(t *testing.T) {
	for _, op := range []Op{
		expire("x", 100, IfAny), expire("v", 100, IfAny), &Persist{[]byte("x")}, &GetExpire{[]byte("x"), TTL{Millis: 1}, false},
		&GetExpire{[]byte("x"), TTL{}, true}, &UpdateTTL{[]byte("t"), 100, alice}, &UpdateTTL{[]byte("td"), 100, alice},
		tempDir("td", 100, alice), &RenewLock{[]byte("l"), alice, 9}, acquire("l", alice, 0, 9), acquire("l", bob, 9, 9),
		acquire("l", Owner{'d'}, 9, 9), release("l", bob), &RetainProcesses{}, &ExpireDue{5},
	} {
		l := timed(t)
		if r := l.do(op); r.Err != nil {
			t.Errorf("%s: %s", op, outcome(r))
		}
		l.View().Ascend(func(n *Node) bool {
			if n.Updated.Index == l.View().Index() {
				t.Errorf("%s: %s was updated", op, n.Key)
			}
			return true
		})
		audit(t, l.View())
	}
}

func TestAFrozenViewKeepsItsDeadlines(t *testing.T) {
	l := timed(t)
	v := l.Freeze()
	l.header.ClusterMillis = 5000
	l.must(&ExpireDue{1000}, &Flush{}, setFor("x", "1", 1))
	if next, ok := v.NextDeadline(); next != 1500 || !ok {
		t.Errorf("the view's next is %d, %v", next, ok)
	}
	if next, ok := l.NextDeadline(); next != 5001 || !ok {
		t.Errorf("the machine's next is %d, %v", next, ok)
	}
	audit(t, v)
	if _, ok := newLab(t).NextDeadline(); ok {
		t.Error("an empty state has a deadline")
	}
}

// Expiring many takes as many steps as there are due, however many others live.
func TestExpiryVisitsOnlyWhatIsDue(t *testing.T) {
	l := newLab(t).must(&LeaderStart{Term: 1})
	l.header.ClusterMillis = 1
	ops := make([]Op, 0, 20_000)
	for i := range cap(ops) {
		op := set(fmt.Sprintf("k%d", i), "x")
		switch i % 100 {
		case 0:
			op.TTL.Millis = 10
		case 1:
			op.TTL.Millis = 20
		}
		ops = append(ops, op)
	}
	l.all(ops...)
	l.header.ClusterMillis = 2
	allocs := testing.AllocsPerRun(1, func() { // twice, of which the second time counts
		l.header.ClusterMillis += 10
		if _, err := l.Apply(l.entry(&ExpireDue{1000}), nil); err != nil {
			t.Fatal(err)
		}
	})
	if l.View().Len() != 20_000-2*200 || allocs > 2000 {
		t.Errorf("%d are left, %v allocations", l.View().Len(), allocs)
	}
}
