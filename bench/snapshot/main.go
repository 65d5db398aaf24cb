// Command snapshot measures what much data costs one node: how long writes take while a snapshot is written, how long a
// restart takes, and how much memory a key takes beside Redis.
//
//	go run ./bench/snapshot           a million keys of 256 bytes
//	go run ./bench/snapshot -quick    fewer keys: does it run at all?
//
// It prints a report and keeps it as JSON. The exit code is 0 whenever everything ran; with -strict it is 1 when the
// writes or the restart miss what docs/testing.md says they must reach.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// options are the flags.
type options struct {
	load.Setup
	data      load.Data
	rate      float64 // writes a second of all writers together
	writers   int
	snapshots int           // how many must have been seen
	interval  time.Duration // between them
}

func main() {
	o, err := parse(os.Args[1:])
	o.Main(err, func(ctx context.Context, dir string, progress *load.Progress) (load.Report, error) {
		return measure(ctx, o, dir, progress)
	})
}

func parse(args []string) (options, error) {
	var o options
	var quick bool
	f := flag.NewFlagSet("snapshot", flag.ContinueOnError)
	o.Register(f, 10*time.Minute)
	f.IntVar(&o.data.Keys, "keys", 1_000_000, "how many keys")
	f.IntVar(&o.data.Bytes, "bytes", 256, "bytes of each value")
	f.Float64Var(&o.rate, "rate", 2000, "writes a second while snapshots are written")
	f.IntVar(&o.writers, "writers", 8, "connections that share the rate")
	f.IntVar(&o.snapshots, "snapshots", 3, "how many snapshots to see")
	f.DurationVar(&o.interval, "interval", 10*time.Second, "time between snapshots")
	f.BoolVar(&quick, "quick", false, "50 000 keys and one snapshot")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.data.Keys, o.snapshots, o.interval = 50_000, 1, 2*time.Second
	}
	if o.data.Keys < 1 || o.data.Bytes < 1 || o.rate <= 0 || o.writers < 1 || o.snapshots < 1 || o.interval < time.Second || f.NArg() > 0 {
		return o, o.Refuse("want positive numbers, an interval of at least a second, and no other arguments")
	}
	return o, nil
}
