// Command compare measures dtkv against Redis on this machine: the same loads, in turn, with every write on disk before
// it is answered on both sides.
//
//	go run ./bench/compare            five rounds of every load
//	go run ./bench/compare -quick     one short round: does it run at all?
//	go run ./bench/compare -loads set -rounds 9
//
// It prints medians and their ratios, and keeps every single run as JSON. It judges nothing by itself: the exit code is 0
// whenever everything ran. With -strict it is 1 when a load misses what docs/testing.md says it must reach.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// options are the flags.
type options struct {
	load.Setup
	rounds  int
	seconds float64 // of each run
	loads   string
	strict  bool
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
		met, err = compare(ctx, o, dir)
		return err
	})
	if err == nil && o.strict && !met {
		err = errors.New("a load misses what it must reach")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var quick bool
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	o.Register(f, 20*time.Minute)
	f.IntVar(&o.rounds, "rounds", 5, "how often each load runs on each side")
	f.Float64Var(&o.seconds, "seconds", 3, "about how long each run takes on Redis")
	f.StringVar(&o.loads, "loads", "", "only loads whose names contain one of these, separated by commas: "+strings.Join(names(loads), " "))
	f.BoolVar(&o.strict, "strict", false, "exit with 1 when a load misses what it must reach")
	f.BoolVar(&quick, "quick", false, "one round of half a second")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.rounds, o.seconds = 1, 0.5
	}
	if o.rounds < 1 || o.seconds <= 0 || f.NArg() > 0 || len(choose(o.loads)) == 0 {
		err := errors.New("want at least one round, one load and some seconds, and no other arguments")
		fmt.Fprintln(os.Stderr, "compare:", err)
		return o, err
	}
	return o, nil
}

// compare measures, prints and saves. It reports whether every load reached what it must.
func compare(ctx context.Context, o options, dir string) (met bool, err error) {
	progress := load.NewProgress()
	r, err := measure(ctx, o, dir, progress)
	progress.Clear()
	if err != nil {
		return false, err
	}
	if err := r.print(os.Stdout); err != nil {
		return false, err
	}
	path, err := load.Save(o.Out, "compare", r.Machine.Time, r)
	if err != nil {
		return false, err
	}
	fmt.Println("every run:", path)
	return r.met(), nil
}
