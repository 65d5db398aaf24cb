package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dtkv/dtkv/bench/load"
)

// result is what came of one load: medians of the rounds.
type result struct {
	Load
	Etcd    float64 `json:"etcd_pairs_per_second"`
	Dtkv    float64 `json:"dtkv_pairs_per_second"`
	Ratio   float64 `json:"ratio"`
	EtcdP50 float64 `json:"etcd_handover_p50_ms"`
	EtcdP99 float64 `json:"etcd_handover_p99_ms"`
	DtkvP50 float64 `json:"dtkv_handover_p50_ms"`
	DtkvP99 float64 `json:"dtkv_handover_p99_ms"`
	Runs    []Run   `json:"runs"`
}

func (r Run) rate() float64 { return float64(r.Pairs) / r.Seconds }

// summarised computes the medians from the runs.
func (r result) summarised(etcd, dtkv string) result {
	r.Etcd, r.EtcdP50, r.EtcdP99 = r.medians(etcd)
	r.Dtkv, r.DtkvP50, r.DtkvP99 = r.medians(dtkv)
	r.Ratio = r.Dtkv / r.Etcd
	return r
}

func (r result) medians(server string) (rate, p50, p99 float64) {
	var rates, middles, tails []float64
	for _, run := range r.Runs {
		if run.Server == server {
			rates = append(rates, run.rate())
			middles = append(middles, run.HandoverP50)
			tails = append(tails, run.HandoverP99)
		}
	}
	return load.Median(rates), load.Median(middles), load.Median(tails)
}

// report is everything that one measurement found, and what the JSON holds.
type report struct {
	Machine load.Machine `json:"machine"`
	Args    []string     `json:"dtkv_args"`
	Rounds  int          `json:"rounds"`
	Seconds float64      `json:"seconds"`
	Results []result     `json:"results"`
}

// mustRatio is how many times as many pairs as etcd 50 clients with a lock each must do.
const mustRatio = 5

// Met reports whether that was reached.
func (r *report) Met() bool {
	for _, res := range r.Results {
		if res.Clients == 50 && res.Locks == 50 && res.Ratio < mustRatio {
			return false
		}
	}
	return true
}

// Print writes the table for people.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "pairs of lock and unlock a second, and from unlock to the next grant; medians of %d round(s) of %gs\n\n", r.Rounds, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tetcd\tdtkv\tratio\tetcd p50\tp99\tdtkv p50\tp99\t")
	for _, res := range r.Results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.1f\t%s\t%s\t%s\t%s\t\n", res.Name, res.Etcd, res.Dtkv, res.Ratio,
			ms(res.EtcdP50), ms(res.EtcdP99), ms(res.DtkvP50), ms(res.DtkvP99))
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func ms(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fms", v)
}
