package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/dtkv/dtkv/bench/load"
)

// warmSeconds is about how long a server is warmed up before its first run of a load, which also tells its speed.
const warmSeconds = 0.3

// leastWarm is how many requests tell a server's speed at the least. Of fewer redis-benchmark may say that they took no time.
const leastWarm = 1000

// measure starts both servers, fills them, and runs all rounds of all loads, the servers in turn, so that whatever slows
// the machine down for a while slows down both.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (*report, error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	progress.Doing("starting and filling both servers")
	redis, err := load.StartRedis(ctx, filepath.Join(dir, "redis"))
	if err != nil {
		return nil, err
	}
	defer redis.Stop()
	dtkv, err := load.StartDtkv(ctx, o.Binary, filepath.Join(dir, "dtkv"), o.Args...)
	if err != nil {
		return nil, err
	}
	defer dtkv.Stop()
	servers := []*load.Server{redis, dtkv}
	for _, s := range servers {
		if err := load.Fill(ctx, s, load.Data{Keys: keys, Bytes: valueBytes}, func(int) {}); err != nil {
			return nil, err
		}
	}

	r := &report{Machine: machine, Args: o.Args, Rounds: o.rounds, Seconds: o.seconds}
	for _, l := range choose(o.loads) {
		result, err := runLoad(ctx, o, l, servers, progress)
		if err != nil {
			return nil, err
		}
		r.Results = append(r.Results, result)
	}
	return r, nil
}

// runLoad warms both servers up with one load and then runs all its rounds.
func runLoad(ctx context.Context, o options, l Load, servers []*load.Server, progress *load.Progress) (result, error) {
	res := result{Load: l}
	var requests int
	for _, s := range servers {
		progress.Doing("%s: warming up %s", l.Name, s.Name)
		warm, err := benchmark(ctx, s, l, max(l.Clients*l.Pipeline*20, leastWarm))
		if err != nil {
			return res, err
		}
		if warm, err = benchmark(ctx, s, l, whole(l, warm.PerSec*warmSeconds)); err != nil {
			return res, err
		}
		if requests == 0 { // Redis sets the amount of work for both.
			requests = whole(l, warm.PerSec*o.seconds)
		}
	}
	for round := 1; round <= o.rounds; round++ {
		for _, s := range servers {
			progress.Doing("%s: round %d of %d, %s", l.Name, round, o.rounds, s.Name)
			run, err := benchmark(ctx, s, l, requests)
			if err != nil {
				return res, err
			}
			run.Round = round
			res.Runs = append(res.Runs, run)
			progress.Did("%s: round %d of %d, %s: %.0f a second, p99 %.2f ms", l.Name, round, o.rounds, s.Name, run.PerSec, run.P99)
		}
	}
	if err := alive(servers); err != nil {
		return res, err
	}
	res.summarise(servers[0].Name, servers[1].Name)
	return res, nil
}

// whole rounds a number of requests to at least one, and to whole pipelines of all clients.
func whole(l Load, requests float64) int {
	unit := l.Clients * l.Pipeline
	return max(1, int(requests)/unit) * unit
}

// alive makes sure that nobody measured a server that was not there.
func alive(servers []*load.Server) error {
	for _, s := range servers {
		select {
		case <-s.Done():
			return fmt.Errorf("%s has ended", s.Name)
		default:
		}
	}
	return nil
}
