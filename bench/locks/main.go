// Command locks measures the locks of dtkv beside those of etcd on this machine: the same loads, in turn, each server alone
// and with every write on disk before it is answered.
//
//	go run ./bench/locks              five rounds of every load
//	go run ./bench/locks -quick       one short round: does it run at all?
//
// It prints how many pairs of lock and unlock a second each side does, and how long it takes from an unlock until the
// next client in the queue has its grant. It keeps every single run as JSON. etcd and its client come from a module of
// their own, bench/etcd, which is built on the first run and takes minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// options are the flags.
type options struct {
	load.Setup
	rounds  int
	seconds float64 // of each run
}

// Load is one way to use locks.
type Load struct {
	Name    string `json:"load"`
	Clients int    `json:"clients"`
	Locks   int    `json:"locks"` // client i uses lock i modulo Locks
}

var loads = []Load{
	{"one client", 1, 1},
	{"50 clients, a lock each", 50, 50},
	{"50 clients, one lock", 50, 1},
}

// Run is one measurement of one server. The times are in milliseconds, 0 where nobody waits for anybody.
type Run struct {
	Server      string  `json:"server"`
	Round       int     `json:"round"`
	Pairs       int     `json:"pairs"`
	Seconds     float64 `json:"seconds"`
	HandoverP50 float64 `json:"handover_p50_ms"`
	HandoverP99 float64 `json:"handover_p99_ms"`
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
	f := flag.NewFlagSet("locks", flag.ContinueOnError)
	o.Register(f, 20*time.Minute)
	f.IntVar(&o.rounds, "rounds", 5, "how often each load runs on each side")
	f.Float64Var(&o.seconds, "seconds", 3, "how long each run takes")
	f.BoolVar(&quick, "quick", false, "one round of half a second")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.rounds, o.seconds = 1, 0.5
	}
	if o.rounds < 1 || o.seconds <= 0 || f.NArg() > 0 {
		return o, o.Refuse("want at least one round and some seconds, and no other arguments")
	}
	return o, nil
}

// measure starts both servers and runs all rounds of all loads, the servers in turn.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (*report, error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	progress.Doing("building etcd")
	programs, err := load.BuildEtcd(ctx, dir)
	if err != nil {
		return nil, err
	}
	etcd, err := load.StartEtcd(ctx, programs.Etcd, filepath.Join(dir, "etcd"))
	if err != nil {
		return nil, err
	}
	defer etcd.Stop()
	dtkv, err := load.StartDtkv(ctx, o.Binary, filepath.Join(dir, "dtkv"), o.Args...)
	if err != nil {
		return nil, err
	}
	defer dtkv.Stop()

	r := &report{Machine: machine, Args: o.Args, Rounds: o.rounds, Seconds: o.seconds}
	for _, l := range loads {
		res := result{Load: l}
		for round := 1; round <= o.rounds; round++ {
			for _, s := range []*load.Server{etcd, dtkv} {
				progress.Doing("%s: round %d of %d, %s", l.Name, round, o.rounds, s.Name)
				var run Run
				if s == etcd {
					run, err = runEtcd(ctx, programs.Locks, s, l, o.seconds)
				} else {
					run, err = runDtkv(ctx, s, l, o.seconds)
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", s.Name, l.Name, err)
				}
				run.Server, run.Round = s.Name, round
				res.Runs = append(res.Runs, run)
				progress.Did("%s: round %d of %d, %s: %.0f pairs a second", l.Name, round, o.rounds, s.Name, run.rate())
			}
		}
		r.Results = append(r.Results, res.summarised(etcd.Name, dtkv.Name))
	}
	return r, nil
}
