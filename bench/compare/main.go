// Command compare measures dtkv against Redis on this machine: the same loads, in turn, with every write on disk before
// it is answered on both sides. Then three nodes of dtkv on this machine, beside Redis, beside one node alone, and beside
// three members of etcd.
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
	"flag"
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

	withEtcd bool // beside the cluster
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
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	o.Register(f, 20*time.Minute)
	f.IntVar(&o.rounds, "rounds", 5, "how often each load runs on each side")
	f.Float64Var(&o.seconds, "seconds", 3, "about how long each run takes on Redis")
	f.StringVar(&o.loads, "loads", "", "only loads whose names contain one of these, separated by commas: "+strings.Join(names(loads), " "))
	f.BoolVar(&o.withEtcd, "etcd", true, "measure etcd beside the cluster; building it takes minutes the first time")
	f.BoolVar(&quick, "quick", false, "one round of half a second")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.rounds, o.seconds = 1, 0.5
	}
	if o.rounds < 1 || o.seconds <= 0 || f.NArg() > 0 || len(choose(o.loads)) == 0 {
		return o, o.Refuse("want at least one round, one load and some seconds, and no other arguments")
	}
	return o, nil
}
