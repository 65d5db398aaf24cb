// Command expiry measures what keys that fall due cost one node: how late they go, and how long other writes wait when very
// many of them are due at the same moment.
//
//	go run ./bench/expiry           a million keys due at once
//	go run ./bench/expiry -quick    fewer keys: does it run at all?
//
// It prints a report and keeps it as JSON. The exit code is 0 whenever everything ran; with -strict it is 1 when something
// misses what docs/testing.md says it must reach.
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
	writes   load.Writes
	due      int     // keys that fall due at once
	ordinary int     // keys that fall due one by one
	pace     float64 // of these, made in a second
	longest  time.Duration
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
	f := flag.NewFlagSet("expiry", flag.ContinueOnError)
	o.Register(f, 10*time.Minute)
	f.IntVar(&o.due, "keys", 1_000_000, "how many keys fall due at once")
	f.IntVar(&o.ordinary, "ordinary", 4000, "how many keys fall due one by one")
	f.Float64Var(&o.pace, "pace", 200, "of these, how many are made in a second")
	f.DurationVar(&o.longest, "longest", 3*time.Second, "the longest life of these; the shortest is 50 ms")
	f.IntVar(&o.writes.Keys, "others", 10_000, "how many other keys there are, which are written to")
	f.IntVar(&o.writes.Bytes, "bytes", 256, "bytes of each of their values")
	f.Float64Var(&o.writes.Rate, "rate", 1000, "writes to them in a second")
	f.IntVar(&o.writes.Writers, "writers", 100, "connections that share the rate; each has its turn so rarely that a write may take 100 ms before it holds up the next")
	f.BoolVar(&quick, "quick", false, "50 000 keys at once and 400 one by one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.due, o.ordinary, o.longest = 50_000, 400, time.Second
	}
	w := o.writes
	if min(o.due, o.ordinary, w.Keys, w.Bytes, w.Writers) < 1 || o.pace <= 0 || w.Rate <= 0 || o.longest <= shortest || f.NArg() > 0 {
		return o, o.Refuse("want positive numbers, a life of more than 50 ms, and no other arguments")
	}
	return o, nil
}
