package main

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/bench/load"
)

const csvOutput = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","31746.03","0.109","0.032","0.087","0.183","0.647","3.663"
`

func TestOutputOfRedisBenchmarkIsRead(t *testing.T) {
	got, err := parseCSV([]byte(csvOutput))
	want := Run{PerSec: 31746.03, Average: 0.109, Least: 0.032, P50: 0.087, P95: 0.183, P99: 0.647, Most: 3.663}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestOutputThatIsNotAResultIsAnError(t *testing.T) {
	tests := []struct{ name, out string }{
		{"nothing", ""},
		{"only titles", strings.SplitAfter(csvOutput, "\n")[0]},
		{"a title is missing", strings.Replace(csvOutput, "rps", "speed", 1)},
		{"a value is no number", strings.Replace(csvOutput, "31746.03", "fast", 1)},
		{"nothing was done", strings.Replace(csvOutput, "31746.03", "0.00", 1)},
		{"two results", csvOutput + csvOutput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := parseCSV([]byte(tt.out)); err == nil {
				t.Errorf("taken for %+v", r)
			}
		})
	}
}

func TestLoadsAreChosenByPartsOfTheirNames(t *testing.T) {
	tests := []struct {
		name, words string
		want        string
	}{
		{"no word means all", "", strings.Join(names(loads), " ")},
		{"a command of one number of nodes", "x3/get", "x3/get/50x1 x3/get/50x16 x3/get/50x100 x3/get/1x1"},
		{"two words, no load twice", "/1x1, set/1", "set/1x1 get/1x1 x3/set/1x1 x3/get/1x1"},
		{"nothing fits", "incr", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(names(choose(tt.words)), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	l := Load{Must: 0.75, Aim: 1}
	for _, tt := range []struct {
		ratio float64
		want  string
	}{{0.74, verdictMissed}, {0.75, verdictMust}, {0.99, verdictMust}, {1, verdictAim}} {
		if got := verdict(l, tt.ratio); got != tt.want {
			t.Errorf("ratio %v: %s, want %s", tt.ratio, got, tt.want)
		}
	}
}

func TestReportShowsMediansAndWhatMissed(t *testing.T) {
	run := func(side string, rate float64) Run { return Run{Side: side, PerSec: rate, P99: 1} }
	slow := result{Load: loads[1], Runs: []Run{
		run(sideBeside, 100), run(sideDtkv, 104), run(sideBeside, 90), run(sideDtkv, 96), run(sideBeside, 110), run(sideDtkv, 100),
	}}
	slow.summarise()
	r := report{Machine: load.Machine{Commit: "abc"}, Rounds: 3, Seconds: 3, Results: []result{slow}}
	if r.Met() {
		t.Error("a ratio of 1.00 where 1.10 is due was accepted")
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dtkv abc", "with its defaults", "set/50x16 Redis 100 100 1.00 1.10 1.40 20% 8% 1.00ms 1.00ms - - MISSED"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestRequestsAreWholePipelinesOfAllClients(t *testing.T) {
	l := Load{Clients: 50, Pipeline: 16}
	for _, tt := range []struct {
		asked float64
		want  int
	}{{0, 800}, {799, 800}, {1601, 1600}} {
		if got := whole(l, tt.asked); got != tt.want {
			t.Errorf("whole(%v) = %d, want %d", tt.asked, got, tt.want)
		}
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-loads", "incr"}, {"-seconds", "-1"}, {"more"}, {"-nonsense"}} {
		if o, err := parse(args); err == nil {
			t.Errorf("%q was taken for %+v", args, o)
		}
	}
	o, err := parse([]string{"-quick", "-sync", "os", "-log-store", "bolt", "-dtkv-arg", "--auto-mkdir", "-dtkv-arg", "yes"})
	if want := "--sync os --log-store bolt --auto-mkdir yes"; err != nil || strings.Join(o.Args, " ") != want || o.rounds != 1 {
		t.Errorf("got %+v, %v; want the arguments %s", o, err, want)
	}
}
