//go:build linux

package server

import (
	"testing"
	"time"

	"github.com/dtkv/dtkv/replica"
)

// runway is a group that takes what is submitted and lets nothing land.
type runway struct {
	*fakeGroup
	entries [][]*replica.Proposal
}

func (r *runway) Submit(list []*replica.Proposal) bool {
	r.entries = append(r.entries, list)
	return true
}

// writers are connections of a loop that have something to write in a group.
func writers(g group, n int) (list []*conn) {
	for range n {
		list = append(list, &conn{group: g, unit: &unit{}})
	}
	return list
}

func TestOneEntryOfALoopIsOnItsWayAtATime(t *testing.T) {
	g, other := &runway{}, &runway{}
	l := &loop{flights: map[group]*flight{}}
	asks := func(list []*conn) []*conn {
		l.writes = append(l.writes, list...)
		l.propose()
		return list
	}
	sent := func(r *runway, entries, last int) {
		t.Helper()
		if n := len(r.entries); n != entries || len(r.entries[n-1]) != last {
			t.Fatalf("%d entries, the last one of %d connections; want %d, %d", n, len(r.entries[n-1]), entries, last)
		}
	}
	first := asks(writers(g, 2))
	sent(g, 1, 2)
	asks(writers(g, 3))
	sent(g, 1, 2)
	asks(writers(other, 1)) // groups do not wait for each other
	sent(other, 1, 1)
	l.arrive(first[0])
	asks(nil)
	sent(g, 1, 2) // there is another one of it to land
	l.arrive(first[1])
	second := asks(writers(g, 1))
	sent(g, 2, 4)
	if len(l.writes) > 0 {
		t.Errorf("%d wait", len(l.writes))
	}

	// Without a leader it may take seconds.
	l.flights[g].begun = time.Now().Add(-longest)
	asks(writers(g, 1))
	sent(g, 3, 1)
	for range 4 {
		l.arrive(second[0])
	}
	if l.flights[g] == nil {
		t.Fatal("one has not landed")
	}
	l.arrive(second[0])
	if l.flights[g] != nil {
		t.Error("all have landed")
	}
}

func TestALoopNapsForThoseWhoWereAnswered(t *testing.T) {
	for name, tt := range map[string]struct {
		answered, waiting, there int
		took                     time.Duration
		naps                     bool
	}{
		"while some of them are not back":           {3, 2, 4, napWorth, true},
		"not when as many are there":                {3, 2, 5, napWorth, false},
		"not when nothing is to be written":         {3, 0, 0, napWorth, false},
		"not when an entry is quicker than it pays": {3, 2, 4, napWorth - 1, false},
		"a client alone never waits":                {1, 0, 1, napWorth, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := &runway{}
			l := &loop{flights: map[group]*flight{}}
			l.writes = writers(g, tt.answered)
			answered := l.writes
			l.propose()
			l.writes = writers(g, tt.waiting)
			for _, c := range answered {
				l.arrive(c)
			}
			l.took = tt.took
			if !l.answered {
				t.Error("the sockets are not looked at again before more goes")
			}
			if got := l.nap(tt.there); got != tt.naps {
				t.Errorf("naps: %t", got)
			}
			if l.nap(tt.there) {
				t.Error("it naps twice")
			}
		})
	}
}
