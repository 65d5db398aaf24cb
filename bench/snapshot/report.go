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
	mustWrite   = 50 * time.Millisecond // the 99.9th percentile of writes while a snapshot is written
	mustRestart = 10.0                  // seconds until a restarted node answers
)

// memory is what a server takes, in bytes: resident, and used as it says itself.
type memory struct {
	Resident int64 `json:"resident"`
	Used     int64 `json:"used"`
}

// memories are the moments at which it was measured.
type memories struct {
	Empty      memory `json:"dtkv_empty"`
	Filled     memory `json:"dtkv_filled"`
	Written    memory `json:"dtkv_after_snapshots"`
	Restarted  memory `json:"dtkv_restarted"`
	RedisEmpty memory `json:"redis_empty"`
	Redis      memory `json:"redis_filled"`
}

// report is everything that one measurement found, and what the JSON holds.
type report struct {
	Machine   load.Machine   `json:"machine"`
	Args      []string       `json:"dtkv_args"`
	Keys      int            `json:"keys"`
	Bytes     int            `json:"value_bytes"`
	Rate      float64        `json:"writes_per_second"`
	Writers   int            `json:"writers"`
	Fill      float64        `json:"fill_seconds"`
	Quiet     load.Latencies `json:"writes_outside_nanos"`
	During    load.Latencies `json:"writes_during_nanos"`
	Snapshots []float64      `json:"snapshot_seconds"`
	Size      int64          `json:"snapshot_bytes"`
	Restart   float64        `json:"restart_seconds"`
	Memory    memories       `json:"memory_bytes"`
}

// split sorts the writes by whether a snapshot was being written when they were due.
func (r *report) split(samples []load.Sample, seen *snapshots) {
	var quiet, during []time.Duration
	for _, s := range samples {
		if seen.holds(s.At) {
			during = append(during, s.Took)
		} else {
			quiet = append(quiet, s.Took)
		}
	}
	r.Quiet, r.During = load.Summarise(quiet), load.Summarise(during)
	for _, p := range seen.spans {
		r.Snapshots = append(r.Snapshots, p.to.Sub(p.from).Seconds())
		r.Size = max(r.Size, p.bytes)
	}
}

// Met reports whether writes and restart reached what they must.
func (r *report) Met() bool { return r.During.P999 <= mustWrite && r.Restart <= mustRestart }

// Print writes the report for people.
func (r *report) Print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	fmt.Fprintf(w, "%d keys of %d bytes, filled in %.1f s; %d writers, %.0f writes a second together %s\n\n",
		r.Keys, r.Bytes, r.Fill, r.Writers, r.Rate, strings.Join(r.Args, " "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "writes\tcount\tp50\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		load.Latencies
	}{{"outside a snapshot", r.Quiet}, {"during a snapshot", r.During}} {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t\n", row.name, row.Count, short(row.P50), short(row.P99), short(row.P999), short(row.Largest))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nsnapshots         %d, median %.2f s, %d MiB\n", len(r.Snapshots), load.Median(r.Snapshots), r.Size>>20)
	fmt.Fprintf(w, "write p99.9       %s during a snapshot, must be at most %s: %s\n", short(r.During.P999), mustWrite, r.writeVerdict())
	fmt.Fprintf(w, "restart           %.2f s until the first read, must be at most %.0f s: %s\n", r.Restart, mustRestart, verdict(r.Restart <= mustRestart))
	m := r.Memory
	fmt.Fprintln(t)
	fmt.Fprintln(t, "bytes per key\tfilled\tafter snapshots\trestarted\tRedis filled\t")
	fmt.Fprintf(t, "resident\t%d\t%d\t%d\t%d\t\n", r.perKey(m.Filled.Resident, m.Empty.Resident), r.perKey(m.Written.Resident, m.Empty.Resident),
		r.perKey(m.Restarted.Resident, m.Empty.Resident), r.perKey(m.Redis.Resident, m.RedisEmpty.Resident))
	fmt.Fprintf(t, "used, by INFO\t%d\t%d\t%d\t%d\t\n\n", r.perKey(m.Filled.Used, m.Empty.Used), r.perKey(m.Written.Used, m.Empty.Used),
		r.perKey(m.Restarted.Used, m.Empty.Used), r.perKey(m.Redis.Used, m.RedisEmpty.Used))
	return t.Flush()
}

// perKey is what each key takes beyond the empty server.
func (r *report) perKey(full, empty int64) int64 { return (full - empty) / int64(r.Keys) }

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// writeVerdict blames the snapshot only for what is better without one.
func (r *report) writeVerdict() string {
	if r.During.P999 > mustWrite && r.Quiet.P999 > mustWrite {
		return "UNCLEAR, this machine is too busy: it is missed outside of snapshots, too"
	}
	return verdict(r.During.P999 <= mustWrite)
}

func verdict(met bool) string {
	if met {
		return "reached"
	}
	return "MISSED"
}
