package watch

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dtkv/dtkv/fsm"
)

func newRing(events int, bytes int64) *ring { return &ring{maxEvents: events, maxBytes: bytes} }

var nobody, somebody atomic.Int64

func fill(r *ring, entries, each int) {
	for i := range entries {
		r.append(uint64(10*(i+1)), eventsFor(each), &nobody)
	}
}

func eventsFor(n int) []fsm.Event {
	events := make([]fsm.Event, n)
	for i := range events {
		events[i] = fsm.Event{What: fsm.EventSet, Key: fmt.Sprint("d.", i), Node: &fsm.Node{Kind: fsm.Value, Value: "v"}}
	}
	return events
}

func ids(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.ID.String() + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestTheRingHoldsTheNewestEvents(t *testing.T) {
	r := newRing(5, 1<<20)
	fill(r, 4, 3)
	all, next, err := r.read("", r.oldest(), 0)
	if got := ids(all); got != "30-2 30-3 40-1 40-2 40-3" || next != (ID{40, 3}) || err != nil {
		t.Errorf("got %s, next %v, %v", got, next, err)
	}
	if r.oldest() != (ID{30, 1}) || r.last() != (ID{40, 3}) || r.count("") != 5 {
		t.Errorf("oldest %v, last %v, %d records", r.oldest(), r.last(), r.count(""))
	}
}

func TestTheRingIsBoundedInBytes(t *testing.T) {
	const bound = 100_000
	r := newRing(1000, bound)
	big := []fsm.Event{{Key: "k", Node: &fsm.Node{Value: strings.Repeat("x", 30_000)}}}
	for i := range 50 {
		r.append(uint64(i+1), big, &nobody)
		if r.bytes > bound {
			t.Fatalf("%d bytes, the bound is %d", r.bytes, bound)
		}
	}
	if r.count("") != 3 || r.bytes != 3*cost(&big[0]) {
		t.Errorf("%d records of %d bytes", r.count(""), r.bytes)
	}
	huge := []fsm.Event{{Key: "k", Node: &fsm.Node{Value: strings.Repeat("x", 2*bound)}}}
	r.append(60, huge, &nobody)
	if got, _, err := r.read("", ID{59, 0}, 0); len(got) != 1 || err != nil {
		t.Errorf("of an event larger than the ring %d records are left, %v", len(got), err)
	}
	for q := range r.slots {
		if &r.slots[q] != r.slot(r.first) && r.slots[q].Node != nil {
			t.Errorf("an evicted record keeps its node alive")
		}
	}
}

func TestReadingGoesOnFromAnyIDThatTheRingCovers(t *testing.T) {
	tests := []struct {
		name  string
		after ID
		most  int
		want  string // ids, or the error
		next  ID
	}{
		{"exactly the last that was dropped", ID{30, 1}, 0, "30-2 30-3 40-1 40-2 40-3", ID{40, 3}},
		{"one before it", ID{30, 0}, 0, "oldest is 30-1", ID{30, 0}},
		{"the beginning of time", ID{}, 0, "oldest is 30-1", ID{}},
		{"the oldest record", ID{30, 2}, 2, "30-3 40-1", ID{40, 1}},
		{"between two entries", ID{35, 7}, 1, "40-1", ID{40, 1}},
		{"the end of an entry", ID{30, math.MaxUint64}, 0, "40-1 40-2 40-3", ID{40, 3}},
		{"the newest", ID{40, 3}, 0, "", ID{40, 3}},
		{"the future", ID{50, 1}, 0, "", ID{50, 1}},
	}
	r := newRing(5, 1<<20)
	fill(r, 4, 3)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, next, err := r.read("", test.after, test.most)
			text := ids(got)
			if c := (ErrCompacted{}); errors.As(err, &c) {
				text = c.Error()
			} else if err != nil {
				t.Fatal(err)
			}
			if text != test.want || next != test.next {
				t.Errorf("got %s, next %v; want %s, %v", text, next, test.want, test.next)
			}
		})
	}
}

func TestAStreamOfAPathHasItsSubtreeAndEveryFlush(t *testing.T) {
	r := newRing(100, 1<<20)
	keys := []string{"a", "a.b", "ab", "a.b.c", "", "b", "a.c"}
	for i, k := range keys {
		e := fsm.Event{What: fsm.EventSet, Key: k}
		if k == "" {
			e.What = fsm.EventFlush
		}
		r.append(uint64(i+1), []fsm.Event{e, {What: fsm.EventWaitEnd, Key: k}}, &nobody)
	}
	tests := []struct{ path, want string }{
		{"", "1-1 2-1 3-1 4-1 5-1 6-1 7-1"},
		{"a", "1-1 2-1 4-1 5-1 7-1"},
		{"a.b", "2-1 4-1 5-1"},
		{"none", "5-1"},
	}
	for _, test := range tests {
		got, next, err := r.read(test.path, ID{}, 0)
		if ids(got) != test.want || next != (ID{7, 2}) || err != nil {
			t.Errorf("%q: %s, next %v, %v; want %s", test.path, ids(got), next, err, test.want)
		}
		if n := r.count(test.path); n != len(got) {
			t.Errorf("%q has a length of %d, want %d", test.path, n, len(got))
		}
		back := r.readBack(test.path, ID{math.MaxUint64, 0}, 0)
		for i := range back {
			if back[i].ID != got[len(got)-1-i].ID {
				t.Fatalf("%q backwards: %s", test.path, ids(back))
			}
		}
		if len(back) != len(got) {
			t.Errorf("%q backwards: %s", test.path, ids(back))
		}
		if some := r.readBack(test.path, got[len(got)-1].ID, 1); len(got) > 1 && ids(some) != got[len(got)-2].String() {
			t.Errorf("%q before the last: %s", test.path, ids(some))
		}
	}
}

func TestAfterARestoreTheRingBeginsAtItsIndex(t *testing.T) {
	r := newRing(100, 1<<20)
	fill(r, 2, 2)
	r.restart(25)
	if _, _, err := r.read("", ID{25, 2}, 0); !errors.As(err, &ErrCompacted{}) {
		t.Errorf("what is left of entry 25 is not known, but: %v", err)
	}
	if r.oldest() != (ID{26, 0}) || r.last() != (ID{26, 0}) || r.count("") != 0 {
		t.Errorf("oldest %v, last %v, %d records", r.oldest(), r.last(), r.count(""))
	}
	r.append(26, eventsFor(2), &nobody)
	if got, _, err := r.read("", ID{26, 0}, 0); ids(got) != "26-1 26-2" || err != nil {
		t.Errorf("got %s, %v", ids(got), err)
	}
}

func TestAnEmptyRingMissesNothing(t *testing.T) {
	r := newRing(100, 1<<20)
	if got, next, err := r.read("", ID{}, 0); len(got) != 0 || next != (ID{}) || err != nil {
		t.Errorf("got %d, %v, %v", len(got), next, err)
	}
	if r.last() != (ID{}) || r.oldest() != (ID{}) || r.readBack("", ID{9, 9}, 0) != nil {
		t.Error("an empty ring has an end")
	}
	h := New(Options{})
	defer h.Close()
	if got, _, err := h.Read(7, "", ID{}, 0); got != nil || err != nil || h.Len(7, "") != 0 || h.Last(7) != (ID{}) {
		t.Errorf("a group of which nothing was heard: %v, %v", got, err)
	}
	if _, ok := h.First(7, ""); ok {
		t.Error("it has a first record")
	}
}

func TestTheDispatcherTakesWholeEntries(t *testing.T) {
	r := newRing(100_000, 1<<30)
	somebody.Store(1)
	sizes := []int{1, 254, 3, 2000, 1, 1}
	for i, n := range sizes {
		r.append(uint64(i+1), eventsFor(n), &somebody)
	}
	total := 0
	for {
		got, why := r.take(nil)
		if why != none {
			t.Fatal("missed something")
		}
		if len(got) == 0 {
			break
		}
		if got[0].N != 1 || int(got[len(got)-1].N) != sizes[got[len(got)-1].Index-1] {
			t.Errorf("a batch from %v to %v", got[0].ID, got[len(got)-1].ID)
		}
		total += len(got)
	}
	if total != 2260 {
		t.Errorf("took %d, want 2260", total)
	}
}

func TestAnEntryLargerThanTheRingIsMissed(t *testing.T) {
	r := newRing(10, 1<<30)
	somebody.Store(1)
	r.append(1, eventsFor(25), &somebody)
	if got, why := r.take(nil); why != missed || len(got) != 0 {
		t.Errorf("took %d, gap %v", len(got), why)
	}
	if got, why := r.take(nil); why != none || len(got) != 10 {
		t.Errorf("then took %d, gap %v", len(got), why)
	}
	if got, _, err := r.read("", ID{1, 15}, 0); len(got) != 10 || err != nil {
		t.Errorf("read %d, %v", len(got), err)
	}
}

func TestIDsFollowOneAnother(t *testing.T) {
	for _, id := range []ID{{1, 0}, {1, 5}, {7, math.MaxUint64}} {
		if p := id.Prev(); p.Compare(id) >= 0 {
			t.Errorf("%v comes before %v", p, id)
		}
	}
	if (ID{}).Prev() != (ID{}) || (ID{3, 0}).Prev() != (ID{2, math.MaxUint64}) {
		t.Error("Prev")
	}
}
