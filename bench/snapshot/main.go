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
	"errors"
	"flag"
	"fmt"
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
	strict    bool
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2) // The reason has been printed.
	}
	met := false
	err = o.Run(func(ctx context.Context, dir string) (err error) {
		met, err = snapshot(ctx, o, dir)
		return err
	})
	if err == nil && o.strict && !met {
		err = errors.New("something misses what it must reach")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
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
	f.BoolVar(&o.strict, "strict", false, "exit with 1 when something misses what it must reach")
	f.BoolVar(&quick, "quick", false, "50 000 keys and one snapshot")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.data.Keys, o.snapshots, o.interval = 50_000, 1, 2*time.Second
	}
	if o.data.Keys < 1 || o.data.Bytes < 1 || o.rate <= 0 || o.writers < 1 || o.snapshots < 1 || o.interval < time.Second || f.NArg() > 0 {
		err := errors.New("want positive numbers, an interval of at least a second, and no other arguments")
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		return o, err
	}
	return o, nil
}

// snapshot measures, prints and saves. It reports whether everything reached what it must.
func snapshot(ctx context.Context, o options, dir string) (met bool, err error) {
	progress := load.NewProgress()
	r, err := measure(ctx, o, dir, progress)
	progress.Clear()
	if err != nil {
		return false, err
	}
	if err := r.print(os.Stdout); err != nil {
		return false, err
	}
	path, err := load.Save(o.Out, "snapshot", r.Machine.Time, r)
	if err != nil {
		return false, err
	}
	fmt.Println("saved:", path)
	return r.met(), nil
}
