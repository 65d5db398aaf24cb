package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

func TestMessagesAreMatchedWithWrites(t *testing.T) {
	if i, err := kinds[0].number(7, "set"); i != 7 || err != nil {
		t.Errorf("notification: %d, %v", i, err)
	}
	if i, err := kinds[1].number(7, `{"index":90,"event":"set","key":"latency","kind":"value","value":"12"}`); i != 12 || err != nil {
		t.Errorf("watch channel: %d, %v", i, err)
	}
	if _, err := kinds[1].number(7, `{"event":"lost"}`); err == nil {
		t.Error("a lost message was taken for a write")
	}
	at := func(millis int) time.Time { return time.Unix(0, 0).Add(time.Duration(millis) * time.Millisecond) }
	l := latencies{acked: []time.Time{at(1), at(2), at(10)}, heard: []time.Time{at(4), {}, at(9)}}
	sum, before, merged := l.sum()
	if sum.Count != 2 || sum.Largest != 3*time.Millisecond || sum.P50 != 0 || before != 1 || merged != 1 {
		t.Errorf("%+v, %d before, %d merged", sum, before, merged)
	}
}

func TestEveryKeyHasOneReader(t *testing.T) {
	seen := map[string]int{}
	for n := range 7 {
		for _, name := range channels(100, n, 7) {
			seen[name]++
		}
	}
	if len(seen) != 100 || seen["__watch@0__:"+load.Key(99)] != 1 {
		t.Errorf("%d channels", len(seen))
	}
}

func TestReportShowsMediansAndWhatWasMissed(t *testing.T) {
	r := report{Rounds: 3, Memory: []moment{{1, 5 << 20, "nobody"}, {2, 9 << 20, "nobody"}}}
	for i, rate := range []float64{100, 300, 200} {
		r.Runs = append(r.Runs, run{Crowd: "nobody", Round: i, Throughput: rate})
	}
	r.Latencies = []measured{{kind: kinds[0], Latencies: load.Latencies{P99: mustHear + 1}}}
	if r.Met() {
		t.Error("a late message was accepted")
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"5.00 ms 0.00 ms 0.00 ms MISSED", "0.00 ms 200 0 0 MiB 9 MiB"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
