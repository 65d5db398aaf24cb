package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

func at(millis int) time.Time { return time.Unix(0, 0).Add(time.Duration(millis) * time.Millisecond) }

func TestWritesAndKeysAreSortedByTheMomentTheyWereDue(t *testing.T) {
	r := report{Due: 10}
	var samples []load.Sample
	for _, s := range [][2]int{{500, 1}, {900, 200}, {1000, 40}, {1150, 50}, {1300, 7}} {
		samples = append(samples, load.Sample{At: at(s[0]), Took: time.Duration(s[1]) * time.Millisecond})
	}
	r.sort(samples, at(1000), []look{{at(1005), 10}, {at(1100), 4}, {at(1200), 0}})
	if r.Quiet.Count != 1 || r.During.Count != 3 || r.During.Largest != 200*time.Millisecond {
		t.Errorf("before %+v, during %+v; a write that waits when the keys fall due belongs to them", r.Quiet, r.During)
	}
	if r.Late.Count != 10 || r.Late.P50 != 100*time.Millisecond || r.Late.Largest != 200*time.Millisecond || r.Gone != 200*time.Millisecond {
		t.Errorf("lateness %+v, gone within %v", r.Late, r.Gone)
	}
}

func TestOnlyOurKeysAreHeard(t *testing.T) {
	l := &lives{due: []time.Time{at(1), at(2)}}
	if due, err := l.of("ordinary:1"); err != nil || !due.Equal(at(2)) {
		t.Errorf("%v, %v", due, err)
	}
	for _, key := range []string{"1", "ordinary:", "ordinary:2", "ordinary:-1", "due:1"} {
		if _, err := l.of(key); err == nil {
			t.Errorf("%q was taken for one of ours", key)
		}
	}
}

func TestReportSaysWhatWasMissed(t *testing.T) {
	r := report{Early: 1, Gone: time.Second}
	r.Ordinary.P99, r.During.Largest = mustOrdinary+1, mustStall
	if r.Met() {
		t.Error("a key that went early was accepted")
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"must be 0: MISSED", "must be at most 50ms: MISSED", "must be at most 100ms: reached", "all gone within  1000.00 ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	r.During.Largest, r.Quiet.Largest = 2*mustStall, 2*mustStall
	if got := r.stallVerdict(); !strings.HasPrefix(got, "UNCLEAR") {
		t.Errorf("a busy machine: %s", got)
	}
}
