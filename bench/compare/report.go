package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dtkv/dtkv/bench/load"
)

// result is what came of one load.
type result struct {
	Load
	Redis       float64 `json:"redis_per_second"` // medians of the rounds
	Dtkv        float64 `json:"dtkv_per_second"`
	Ratio       float64 `json:"ratio"`
	RedisSpread float64 `json:"redis_spread"` // (most - least) / median
	DtkvSpread  float64 `json:"dtkv_spread"`
	RedisP99    float64 `json:"redis_p99_ms"`
	DtkvP99     float64 `json:"dtkv_p99_ms"`
	Verdict     string  `json:"verdict"`
	Runs        []Run   `json:"runs"`
}

// The verdicts.
const (
	verdictAim    = "aim"  // reaches what we aim at
	verdictMust   = "must" // reaches what it must
	verdictMissed = "MISSED"
)

// summarise computes the medians from the runs.
func (r *result) summarise(redis, dtkv string) {
	r.Redis, r.RedisSpread, r.RedisP99 = r.medians(redis)
	r.Dtkv, r.DtkvSpread, r.DtkvP99 = r.medians(dtkv)
	r.Ratio = r.Dtkv / r.Redis
	r.Verdict = verdict(r.Load, r.Ratio)
}

func (r *result) medians(server string) (perSecond, spread, p99 float64) {
	var rates, tails []float64
	for _, run := range r.Runs {
		if run.Server == server {
			rates = append(rates, run.PerSec)
			tails = append(tails, run.P99)
		}
	}
	return load.Median(rates), load.Spread(rates), load.Median(tails)
}

func verdict(l Load, ratio float64) string {
	switch {
	case ratio >= l.Aim:
		return verdictAim
	case ratio >= l.Must:
		return verdictMust
	default:
		return verdictMissed
	}
}

// report is everything that one comparison found, and what the JSON holds.
type report struct {
	Machine load.Machine `json:"machine"`
	Args    []string     `json:"dtkv_args"`
	Rounds  int          `json:"rounds"`
	Seconds float64      `json:"seconds"`
	Results []result     `json:"results"`
}

// Met reports whether every load reached what it must.
func (r *report) Met() bool {
	for _, res := range r.Results {
		if res.Verdict == verdictMissed {
			return false
		}
	}
	return true
}

// Print writes the table for people: one line per load, name is command/clients x pipeline.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "requests a second, medians of %d round(s) of about %gs; %d keys of %d bytes; dtkv %s\n\n",
		r.Rounds, r.Seconds, keys, valueBytes, strings.Join(append([]string{"with"}, r.args()...), " "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tRedis\tdtkv\tratio\tmust\taim\tspread R\tspread d\tp99 R\tp99 d\tverdict\t")
	for _, res := range r.Results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f%%\t%.0f%%\t%.2fms\t%.2fms\t%s\t\n", res.Name, res.Redis, res.Dtkv, res.Ratio,
			res.Must, res.Aim, 100*res.RedisSpread, 100*res.DtkvSpread, res.RedisP99, res.DtkvP99, res.Verdict)
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func (r *report) args() []string {
	if len(r.Args) == 0 {
		return []string{"its", "defaults"}
	}
	return r.Args
}
