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
	writes   load.Writes
	due      int     // keys that fall due at once
	ordinary int     // keys that fall due one by one
	pace     float64 // of these, made in a second
	longest  time.Duration
	strict   bool
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
		met, err = expiry(ctx, o, dir)
		return err
	})
	if err == nil && o.strict && !met {
		err = errors.New("something misses what it must reach")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "expiry:", err)
		os.Exit(1)
	}
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
	f.BoolVar(&o.strict, "strict", false, "exit with 1 when something misses what it must reach")
	f.BoolVar(&quick, "quick", false, "50 000 keys at once and 400 one by one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.due, o.ordinary, o.longest = 50_000, 400, time.Second
	}
	w := o.writes
	if min(o.due, o.ordinary, w.Keys, w.Bytes, w.Writers) < 1 || o.pace <= 0 || w.Rate <= 0 || o.longest <= shortest || f.NArg() > 0 {
		err := errors.New("want positive numbers, a life of more than 50 ms, and no other arguments")
		fmt.Fprintln(os.Stderr, "expiry:", err)
		return o, err
	}
	return o, nil
}

// expiry measures, prints and saves. It reports whether everything reached what it must.
func expiry(ctx context.Context, o options, dir string) (met bool, err error) {
	progress := load.NewProgress()
	r, err := measure(ctx, o, dir, progress)
	progress.Clear()
	if err != nil {
		return false, err
	}
	if err := r.print(os.Stdout); err != nil {
		return false, err
	}
	path, err := load.Save(o.Out, "expiry", r.Machine.Time, r)
	if err != nil {
		return false, err
	}
	fmt.Println("saved:", path)
	return r.met(), nil
}
