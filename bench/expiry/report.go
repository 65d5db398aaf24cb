package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// What must be reached: see docs/testing.md.
const (
	mustOrdinary = 50 * time.Millisecond  // the 99th percentile of lateness while nothing else happens
	mustStall    = 100 * time.Millisecond // the longest write while keys go
)

// report is everything that one measurement found, and what the JSON holds.
type report struct {
	Machine  load.Machine   `json:"machine"`
	Args     []string       `json:"dtkv_args"`
	Ordinary load.Latencies `json:"ordinary_lateness_nanos"`
	Early    int            `json:"ordinary_early"`
	Due      int            `json:"keys_due_at_once"`
	Rate     float64        `json:"writes_per_second"`
	Writers  int            `json:"writers"`
	Quiet    load.Latencies `json:"writes_before_nanos"`
	During   load.Latencies `json:"writes_during_nanos"`
	Late     load.Latencies `json:"at_once_lateness_nanos"`
	Gone     time.Duration  `json:"all_gone_nanos"`
}

// Met reports whether everything reached what it must.
func (r *report) Met() bool {
	return r.Early == 0 && r.Ordinary.P99 <= mustOrdinary && r.During.Largest <= mustStall
}

// Print writes the report for people.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "%d keys due at once; %d writers, %.0f writes a second together %s\n\n", r.Due, r.Writers, r.Rate, strings.Join(r.Args, " "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcount\tp50\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		load.Latencies
	}{
		{"how late keys go, one by one", r.Ordinary},
		{"how late keys go, at once", r.Late},
		{"writes before that", r.Quiet},
		{"writes while they go", r.During},
	} {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t\n", row.name, row.Count, short(row.P50), short(row.P99), short(row.P999), short(row.Largest))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nkeys that went early      %d, must be 0: %s\n", r.Early, verdict(r.Early == 0))
	fmt.Fprintf(w, "one by one, p99 late      %s, must be at most %s: %s\n", short(r.Ordinary.P99), mustOrdinary, verdict(r.Ordinary.P99 <= mustOrdinary))
	fmt.Fprintf(w, "at once, all gone within  %s\n", short(r.Gone))
	_, err := fmt.Fprintf(w, "longest stall of a write  %s, must be at most %s: %s\n", short(r.During.Largest), mustStall, r.stallVerdict())
	return err
}

// stallVerdict blames the keys only for what is better without them.
func (r *report) stallVerdict() string {
	if r.During.Largest > mustStall && r.Quiet.Largest > mustStall {
		return "UNCLEAR, this machine is too busy: it is missed before, too"
	}
	return verdict(r.During.Largest <= mustStall)
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func verdict(met bool) string {
	if met {
		return "reached"
	}
	return "MISSED"
}
