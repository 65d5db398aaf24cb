package lock

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// owner returns the owner of that name, whom names finds again.
func owner(name string) Owner {
	var o Owner
	copy(o[:], name)
	return o
}

func (o Owner) name() string { return strings.TrimRight(string(o[:]), "\x00") }

// lab drives a Queue with a clock that stands still until it is told otherwise.
type lab struct {
	*Queue
	now    int64
	tokens uint64
}

func newLab() *lab { return &lab{Queue: new(Queue), now: 1000} }

// ask asks for the lock and returns what became of it.
func (l *lab) ask(name string, lease, wait int64) Answer {
	l.tokens++
	return l.Acquire(l.now, Request{owner(name), Ticket{1, l.tokens}, lease, wait}, l.tokens)
}

func (l *lab) leave(name string) string {
	l.tokens++
	return text(l.Leave(l.now, owner(name), l.tokens))
}

// expireAll takes out everybody who is due.
func (l *lab) expireAll() (all string) {
	for {
		l.tokens++
		c := l.Expire(l.now, l.tokens)
		if c.Count() == 0 {
			return strings.TrimSpace(all)
		}
		all += text(c) + " "
	}
}

// text prints a change: who is freed, who left, and whether somebody was granted the lock.
func text(c Change) string {
	var parts []string
	if c.Freed.Owner != (Owner{}) {
		parts = append(parts, "freed:"+c.Freed.Owner.name())
	}
	for _, p := range c.Left {
		parts = append(parts, "left:"+p.Owner.name())
	}
	if c.Granted {
		parts = append(parts, "granted")
	}
	return strings.Join(parts, " ")
}

// order prints the holder and those behind it.
func order(q *Queue) string {
	holder, ok := q.Holder()
	if !ok {
		return "free"
	}
	names := holder.Owner.name()
	q.Waiters(func(p Participant) bool {
		names += " " + p.Owner.name()
		return true
	})
	return names
}

// queued is a lock that a holds for 100 ms, and for which b and c wait 200 and 300 ms.
func queued() *lab {
	l := newLab()
	l.ask("a", 100, 0)
	l.ask("b", 50, 200)
	l.ask("c", 60, 300)
	return l
}

func TestWhoAsksGetsOneOfFourAnswers(t *testing.T) {
	tests := []struct {
		name  string
		who   string
		wait  int64
		want  Answer
		order string
	}{
		{"the holder has it already", "a", 0, Again, "a b c"},
		{"the holder has it already and need not wait", "a", 500, Again, "a b c"},
		{"a stranger who does not wait is denied", "d", 0, Denied, "a b c"},
		{"a wait of less than nothing is none", "d", -1, Denied, "a b c"},
		{"a stranger who waits comes last", "d", 1, Queued, "a b c d"},
		{"a waiter who asks again keeps its place", "b", 500, Queued, "a b c"},
		{"a waiter who asks without waiting is denied and keeps its place", "b", 0, Denied, "a b c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := queued()
			before, _ := l.Lookup(owner(tt.who))
			token := l.Token()
			l.now += 10
			if got := l.ask(tt.who, 70, tt.wait); got != tt.want {
				t.Errorf("got answer %d, want %d", got, tt.want)
			}
			if got := order(l.Queue); got != tt.order || l.Len() != len(strings.Fields(tt.order)) {
				t.Errorf("got %s (%d), want %s", got, l.Len(), tt.order)
			}
			if l.Token() != token {
				t.Errorf("the token went from %d to %d", token, l.Token())
			}
			p, _ := l.Lookup(owner(tt.who))
			switch tt.want {
			case Denied:
				if p != before {
					t.Errorf("it was %+v and is %+v", before, p)
				}
			case Again:
				if p.Deadline != l.now+70 || p.Lease != 70 || p.Ticket.Number != l.tokens || p.Arrived != before.Arrived {
					t.Errorf("the holder is %+v", p)
				}
			case Queued:
				if p.Deadline != l.now+tt.wait || p.Lease != 70 || p.Ticket.Number != l.tokens {
					t.Errorf("the waiter is %+v", p)
				}
			}
		})
	}

	l := newLab()
	if got := l.ask("x", 100, 0); got != Granted || l.Token() != 1 || order(l.Queue) != "x" {
		t.Errorf("a free lock: answer %d, token %d, %s", got, l.Token(), order(l.Queue))
	}
}

func TestWhoLeavesMakesRoomForTheNext(t *testing.T) {
	tests := []struct {
		name  string
		later int64 // milliseconds from the last arrival on
		who   string
		want  string
		order string
	}{
		{"the holder, so that the first waiter holds it", 0, "a", "freed:a granted", "b c"},
		{"a waiter, so that all others stay", 0, "b", "left:b", "a c"},
		{"the last waiter", 0, "c", "left:c", "a b"},
		{"a stranger, which changes nothing", 0, "d", "", "a b c"},
		{"nobody, which changes nothing", 0, "", "", "a b c"},
		{"the holder, when the first waiter has given up", 201, "a", "freed:a left:b granted", "c"},
		{"the holder, in the last moment of the first waiter", 200, "a", "freed:a granted", "b c"},
		{"the holder, when all waiters have given up", 301, "a", "freed:a left:b left:c", "free"},
		{"a waiter who has given up, before anybody noticed", 1000, "b", "left:b", "a c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := queued()
			before := l.Token()
			l.now += tt.later
			if got := l.leave(tt.who); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := order(l.Queue); got != tt.order {
				t.Errorf("then %s, want %s", got, tt.order)
			}
			holder, held := l.Holder()
			switch {
			case strings.HasSuffix(tt.want, "granted"):
				if l.Token() != l.tokens || holder.Deadline != l.now+holder.Lease {
					t.Errorf("token %d of %d, holder %+v at %d", l.Token(), l.tokens, holder, l.now)
				}
			case held && l.Token() != before:
				t.Errorf("the token went from %d to %d", before, l.Token())
			case !held && (l.Token() != 0 || l.Len() != 0 || l.Due() != 0):
				t.Errorf("a free lock has token %d, %d participants, and is due at %d", l.Token(), l.Len(), l.Due())
			}
		})
	}
}

func TestDeadlinesComeToHoldersAndWaiters(t *testing.T) {
	tests := []struct {
		name  string
		later int64
		want  string
		order string
	}{
		{"nobody is due before the lease has ended", 100, "", "a b c"},
		{"the lease has ended and the next holds it", 101, "freed:a granted", "b c"},
		{"each holder has its own lease, counted from its grant", 149, "freed:a granted", "b c"},
		{"a late expiry gives the whole lease", 180, "freed:a granted", "b c"},
		{"who has given up is not granted", 250, "freed:a left:b granted", "c"},
		{"nobody is left", 301, "freed:a left:b left:c", "free"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := queued()
			l.now += tt.later
			if got := l.expireAll(); got != tt.want || order(l.Queue) != tt.order {
				t.Errorf("got %q and %s, want %q and %s", got, order(l.Queue), tt.want, tt.order)
			}
			if holder, _ := l.Holder(); strings.Contains(tt.want, "granted") && holder.Deadline != l.now+holder.Lease {
				t.Errorf("at %d the holder is %+v", l.now, holder)
			}
		})
	}

	l := queued()
	l.Renew(l.now, owner("a"), 1000)
	l.now += 250
	if got := l.expireAll(); got != "left:b" || l.Due() != 1300 {
		t.Errorf("while a holds on: %q, due at %d", got, l.Due())
	}
}

func TestOnlyTheHolderRenews(t *testing.T) {
	l := queued()
	for name, want := range map[string]bool{"a": true, "b": false, "d": false, "": false} {
		if got := l.Renew(l.now+5, owner(name), 500); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if holder, _ := l.Holder(); holder.Deadline != 1505 || holder.Lease != 500 || l.Token() != 1 {
		t.Errorf("the holder is %+v with token %d", holder, l.Token())
	}
	if new(Queue).Renew(1, owner(""), 1) {
		t.Error("nobody renewed a free lock")
	}
}

// Renewing a lease whose end has come but was not noticed is as good as renewing it in time: the log decides.
func TestAHolderMayRenewUntilItIsTakenOut(t *testing.T) {
	l := queued()
	l.now += 5000
	if !l.Renew(l.now, owner("a"), 100) || order(l.Queue) != "a b c" {
		t.Errorf("it is %s", order(l.Queue))
	}
}

func TestWaitersOfOtherProcessesLeave(t *testing.T) {
	l := newLab()
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		l.Acquire(l.now, Request{owner(name), Ticket{Process: uint64(i % 3)}, 100, 100}, 1)
	}
	c := l.Retain([]uint64{7, 2})
	if got := text(c); got != "left:b left:d left:e" || order(l.Queue) != "a c" {
		t.Errorf("%s, %s", got, order(l.Queue)) // a holds it, be its process as it may
	}
	if c := l.Retain([]uint64{2}); c.Count() != 0 {
		t.Errorf("then %s", text(c))
	}
	if c := l.Retain(nil); text(c) != "left:c" || l.Len() != 1 {
		t.Errorf("at last %s", text(c))
	}
}

func TestDurationsAreAtLeastAMillisecondAndAtMostForEver(t *testing.T) {
	for _, tt := range []struct{ lease, want int64 }{{-5, 1001}, {0, 1001}, {1, 1001}, {math.MaxInt64, math.MaxInt64}} {
		l := newLab()
		l.ask("a", tt.lease, 0)
		l.ask("b", tt.lease, math.MaxInt64)
		a, _ := l.Lookup(owner("a"))
		b, _ := l.Lookup(owner("b"))
		if a.Deadline != tt.want || b.Deadline != math.MaxInt64 {
			t.Errorf("a lease of %d ends at %d, the wait at %d", tt.lease, a.Deadline, b.Deadline)
		}
	}
}

func TestACopyGoesItsOwnWay(t *testing.T) {
	l := queued()
	other := l.Copy()
	third := other.Copy()
	other.Leave(l.now, owner("a"), 9)
	other.Acquire(l.now, Request{Owner: owner("d"), Lease: 1, Wait: 1}, 9)
	third.Retain(nil)
	if order(l.Queue) != "a b c" || order(other) != "b c d" || order(third) != "a" {
		t.Errorf("%s, %s, %s", order(l.Queue), order(other), order(third))
	}
	if l.Token() != 1 || other.Token() != 9 {
		t.Errorf("tokens %d, %d", l.Token(), other.Token())
	}
}

func TestAQueueThatCannotBeIsNotRestored(t *testing.T) {
	person := func(name string, arrived uint64) Participant {
		return Participant{Owner: owner(name), Lease: 1, Deadline: 1, Arrived: arrived}
	}
	a, b := person("a", 1), person("b", 2)
	tests := []struct {
		name    string
		token   uint64
		holder  Participant
		waiters []Participant
		ok      bool
	}{
		{"a holder alone", 1, a, nil, true},
		{"a holder and waiters", 1, a, []Participant{b, person("c", 7)}, true},
		{"no token", 0, a, nil, false},
		{"no holder", 1, Participant{}, nil, false},
		{"no lease", 1, Participant{Owner: owner("a"), Deadline: 1, Arrived: 1}, nil, false},
		{"no deadline", 1, Participant{Owner: owner("a"), Lease: 1, Arrived: 1}, nil, false},
		{"no arrival", 1, person("a", 0), nil, false},
		{"a waiter who is nobody", 1, a, []Participant{person("", 2)}, false},
		{"the holder waits", 1, a, []Participant{person("a", 2)}, false},
		{"a waiter comes twice", 1, a, []Participant{b, person("b", 3)}, false},
		{"two who arrived at once", 1, a, []Participant{b, person("c", 2)}, false},
		{"a waiter who arrived before the holder", 1, b, []Participant{person("c", 1)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, ok := Restore(tt.token, tt.holder, tt.waiters)
			if ok != tt.ok || ok && q.Len() != 1+len(tt.waiters) {
				t.Errorf("got %v", ok)
			}
		})
	}
}

func TestADigestTellsOwnersApartAndNothingElse(t *testing.T) {
	a, b := owner("a").Digest(), owner("b").Digest()
	if len(a) != 8 || a == b || (Owner{}).Digest() != "" {
		t.Errorf("%q, %q, %q", a, b, (Owner{}).Digest())
	}
	if strings.Contains(fmt.Sprintf("%x", owner("a")), a) {
		t.Errorf("%q shows a part of the owner", a)
	}
}

func Example() {
	alice, bob := Owner{'a'}, Owner{'b'}
	var q Queue
	now := int64(1000)

	fmt.Println(q.Acquire(now, Request{Owner: alice, Lease: 5000}, 1) == Granted)
	fmt.Println(q.Acquire(now, Request{Owner: bob, Lease: 5000, Wait: 9000}, 2) == Queued)

	// Alice never lets go. Her lease ends, and in the same step bob has the lock.
	now += 5001
	change := q.Expire(now, 2)
	holder, _ := q.Holder()
	fmt.Println(change.Granted, holder.Owner == bob, q.Token())
	// Output:
	// true
	// true
	// true true 2
}
