package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dtkv/dtkv/bench/load"
)

// The sides of a comparison.
const (
	sideBeside = "beside" // what the load is measured beside
	sideDtkv   = "dtkv"
	sideEtcd   = "etcd" // with as many members as dtkv; nothing is demanded of the ratio to it
)

// result is what came of one load.
type result struct {
	Load
	BesideRate   float64 `json:"beside_per_second"` // medians of the rounds
	DtkvRate     float64 `json:"dtkv_per_second"`
	EtcdRate     float64 `json:"etcd_per_second,omitempty"` // 0 if it was not measured
	Ratio        float64 `json:"ratio"`
	BesideSpread float64 `json:"beside_spread"` // (most - least) / median
	DtkvSpread   float64 `json:"dtkv_spread"`
	BesideP99    float64 `json:"beside_p99_ms"`
	DtkvP99      float64 `json:"dtkv_p99_ms"`
	EtcdP99      float64 `json:"etcd_p99_ms,omitempty"`
	Verdict      string  `json:"verdict"`
	Runs         []Run   `json:"runs"`
}

// The verdicts.
const (
	verdictAim    = "aim"  // reaches what we aim at
	verdictMust   = "must" // reaches what it must
	verdictMissed = "MISSED"
)

// summarise computes the medians from the runs.
func (r *result) summarise() {
	r.BesideRate, r.BesideSpread, r.BesideP99 = r.medians(sideBeside)
	r.DtkvRate, r.DtkvSpread, r.DtkvP99 = r.medians(sideDtkv)
	r.EtcdRate, _, r.EtcdP99 = r.medians(sideEtcd)
	r.Ratio = r.DtkvRate / r.BesideRate
	r.Verdict = verdict(r.Load, r.Ratio)
}

func (r *result) medians(side string) (perSecond, spread, p99 float64) {
	var rates, tails []float64
	for _, run := range r.Runs {
		if run.Side == side {
			rates = append(rates, run.PerSec)
			tails = append(tails, run.P99)
		}
	}
	if len(rates) == 0 {
		return 0, 0, 0
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

// Print writes the table for people: one line per load, name is command/clients x pipeline, x3 means three nodes.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "requests a second, medians of %d round(s) of about %gs; %d keys of %d bytes; dtkv %s\n\n",
		r.Rounds, r.Seconds, data.Keys, data.Bytes, strings.Join(append([]string{"with"}, r.args()...), " "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tbeside\tit\tdtkv\tratio\tmust\taim\tspread\tspread d\tp99\tp99 d\tetcd\tp99 e\tverdict\t")
	for _, res := range r.Results {
		etcd, tail := "-", "-"
		if res.EtcdRate > 0 {
			etcd, tail = fmt.Sprintf("%.0f", res.EtcdRate), fmt.Sprintf("%.2fms", res.EtcdP99)
		}
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f%%\t%.0f%%\t%.2fms\t%.2fms\t%s\t%s\t%s\t\n", res.Name, res.Beside, res.BesideRate,
			res.DtkvRate, res.Ratio, res.Must, res.Aim, 100*res.BesideSpread, 100*res.DtkvSpread, res.BesideP99, res.DtkvP99, etcd, tail, res.Verdict)
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
