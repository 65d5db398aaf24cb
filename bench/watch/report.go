package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// mustHear is the 99th percentile from acknowledgement to message that must be reached: see docs/testing.md.
const mustHear = 5 * time.Millisecond

// report is everything that one measurement found, and what the JSON holds.
type report struct {
	Machine     load.Machine `json:"machine"`
	Args        []string     `json:"dtkv_args"`
	Latencies   []measured   `json:"acknowledgement_to_message"`
	Pace        float64      `json:"messages_per_second"`
	Channels    int          `json:"channels"`
	Subscribers int          `json:"subscribers"`
	Rate        float64      `json:"steady_writes_per_second"`
	Clients     int          `json:"clients"`
	Rounds      int          `json:"rounds"`
	Seconds     float64      `json:"seconds"`
	Runs        []run        `json:"runs"`
	Memory      []moment     `json:"memory"`
}

// Met reports whether messages came as soon as they must.
func (r *report) Met() bool {
	for _, l := range r.Latencies {
		if l.P99 > mustHear {
			return false
		}
	}
	return true
}

// Print writes the report for people.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "from the acknowledgement of a write to its message, %.0f a second, p99 at most %s %s\n\n", r.Pace, mustHear, strings.Join(r.Args, " "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "channel\tcount\tbefore it\tmerged\tp50\tp99\tp99.9\tmax\t\t")
	for _, l := range r.Latencies {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", l.Name, l.Count, l.Before, l.Merged,
			short(l.P50), short(l.P99), short(l.P999), short(l.Largest), verdict(l.P99 <= mustHear))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d subscribers share %d channels; medians of %d round(s) of %gs: %.0f writes a second, then %d clients as fast as they can\n",
		r.Subscribers, r.Channels, r.Rounds, r.Seconds, r.Rate, r.Clients)
	fmt.Fprintln(w, "the subscribers run on this machine too, and take their share of it")
	fmt.Fprintln(w)
	fmt.Fprintln(t, "subscribers\tsteady p50\tp99\tp99.9\tmax\twrites/s\tmessages\tresident\tat most\t")
	for _, c := range crowds {
		of := func(value func(run) float64) float64 { return r.median(c.Name, value) }
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f MiB\t%d MiB\t\n", c.Name,
			short(time.Duration(of(func(r run) float64 { return float64(r.Steady.P50) }))),
			short(time.Duration(of(func(r run) float64 { return float64(r.Steady.P99) }))),
			short(time.Duration(of(func(r run) float64 { return float64(r.Steady.P999) }))),
			short(time.Duration(of(func(r run) float64 { return float64(r.Steady.Largest) }))),
			of(func(r run) float64 { return r.Throughput }), of(func(r run) float64 { return float64(r.Messages) }),
			of(func(r run) float64 { return float64(r.Resident) / (1 << 20) }), r.most(c.Name)>>20)
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func (r *report) median(crowd string, value func(run) float64) float64 {
	var all []float64
	for _, run := range r.Runs {
		if run.Crowd == crowd {
			all = append(all, value(run))
		}
	}
	return load.Median(all)
}

// most is the most memory that the server had while a crowd was there.
func (r *report) most(crowd string) (bytes int64) {
	for _, m := range r.Memory {
		if m.Crowd == crowd {
			bytes = max(bytes, m.Bytes)
		}
	}
	for _, run := range r.Runs {
		if run.Crowd == crowd {
			bytes = max(bytes, run.Resident)
		}
	}
	return bytes
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func verdict(met bool) string {
	if met {
		return "reached"
	}
	return "MISSED"
}
