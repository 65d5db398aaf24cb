package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// warmSeconds is about how long a server is warmed up before its first run of a load, which also tells its speed.
const warmSeconds = 0.3

// leastWarm is how many requests tell a server's speed at the least. Of fewer redis-benchmark may say that they took no time.
const leastWarm = 1000

// trio is how many nodes the cluster has.
const trio = 3

// fleet is everything that is measured. Clusters are started when the first load needs them, since even idle they cost time.
type fleet struct {
	options
	dir      string
	progress *load.Progress

	redis, alone *load.Server
	cluster      *load.Cluster // nil until it is needed
	etcd         *load.Cluster // nil if it is not wanted, or not needed yet
	puts         string        // the load generator of etcd
}

// measure starts the servers, fills them, and runs all rounds of all loads, the servers in turn, so that whatever slows the
// machine down for a while slows down all of them.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (r *report, err error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	f := &fleet{options: o, dir: dir, progress: progress}
	defer f.stop()
	progress.Doing("starting and filling Redis and one node")
	if f.redis, err = load.StartRedis(ctx, filepath.Join(dir, "redis")); err != nil {
		return nil, err
	}
	if f.alone, err = load.StartDtkv(ctx, o.Binary, filepath.Join(dir, "dtkv"), o.Args...); err != nil {
		return nil, err
	}
	for _, s := range []*load.Server{f.redis, f.alone} {
		if err := load.Fill(ctx, s, data, func(int) {}); err != nil {
			return nil, err
		}
	}
	r = &report{Machine: machine, Args: o.Args, Rounds: o.rounds, Seconds: o.seconds}
	for _, l := range choose(o.loads) {
		if l.Nodes > 1 && f.cluster == nil {
			if err := f.grow(ctx); err != nil {
				return nil, err
			}
		}
		result, err := f.run(ctx, l)
		if err != nil {
			return nil, err
		}
		r.Results = append(r.Results, result)
	}
	return r, nil
}

// grow starts the clusters.
func (f *fleet) grow(ctx context.Context) (err error) {
	f.progress.Doing("starting and filling a cluster")
	if f.cluster, err = load.StartDtkvCluster(ctx, f.Binary, filepath.Join(f.dir, "cluster"), trio, f.Args...); err != nil {
		return err
	}
	leader, err := f.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	if err := load.Fill(ctx, leader, data, func(int) {}); err != nil || !f.withEtcd {
		return err
	}
	f.progress.Doing("building etcd")
	programs, err := load.BuildEtcd(ctx, f.dir)
	if err != nil {
		return err
	}
	f.puts = programs.Puts
	f.etcd, err = load.StartEtcdCluster(ctx, programs.Etcd, filepath.Join(f.dir, "etcd"), trio)
	return err
}

func (f *fleet) stop() {
	for _, s := range []*load.Server{f.redis, f.alone} {
		if s != nil {
			s.Stop()
		}
	}
	for _, c := range []*load.Cluster{f.cluster, f.etcd} {
		if c != nil {
			c.Stop()
		}
	}
}

// pair returns what a load compares: what dtkv is measured beside, and dtkv. The cluster's leader may have changed.
func (f *fleet) pair(ctx context.Context, l Load) (beside, dtkv *load.Server, err error) {
	beside, dtkv = f.redis, f.alone
	if l.Beside == besideAlone {
		beside = f.alone
	}
	if l.Nodes > 1 {
		dtkv, err = f.cluster.Leader(ctx)
	}
	return beside, dtkv, err
}

// run warms both sides up with one load and then runs all its rounds.
func (f *fleet) run(ctx context.Context, l Load) (result, error) {
	res := result{Load: l}
	beside, dtkv, err := f.pair(ctx, l)
	if err != nil {
		return res, err
	}
	besideAmount, err := f.warm(ctx, l, beside)
	if err != nil {
		return res, err
	}
	amount, err := f.warm(ctx, l, dtkv)
	if err != nil {
		return res, err
	}
	if l.Nodes == 1 {
		amount = besideAmount // a cluster would take much longer for the same
	}
	for round := 1; round <= f.rounds; round++ {
		if beside, dtkv, err = f.pair(ctx, l); err != nil {
			return res, err
		}
		if err := f.measure(ctx, &res, round, sideBeside, beside, besideAmount); err != nil {
			return res, err
		}
		if err := f.measure(ctx, &res, round, sideDtkv, dtkv, amount); err != nil {
			return res, err
		}
		if l.Nodes > 1 && l.Command == "SET" && f.etcd != nil {
			if err := f.measureEtcd(ctx, &res, round); err != nil {
				return res, err
			}
		}
	}
	res.summarise()
	return res, nil
}

// warm warms a server up with a load, and returns how many requests it does in the time that a run is to take.
func (f *fleet) warm(ctx context.Context, l Load, s *load.Server) (requests int, err error) {
	f.progress.Doing("%s: warming up %s", l.Name, s.Name)
	warm, err := benchmark(ctx, s, l, max(l.Clients*l.Pipeline*20, leastWarm))
	if err != nil {
		return 0, err
	}
	if warm, err = benchmark(ctx, s, l, whole(l, warm.PerSec*warmSeconds)); err != nil {
		return 0, err
	}
	return whole(l, warm.PerSec*f.seconds), nil
}

// measure runs a load once on one server, which must survive it.
func (f *fleet) measure(ctx context.Context, res *result, round int, side string, s *load.Server, requests int) error {
	f.progress.Doing("%s: round %d of %d, %s", res.Name, round, f.rounds, s.Name)
	run, err := benchmark(ctx, s, res.Load, requests)
	if err != nil {
		return err
	}
	select {
	case <-s.Done():
		return fmt.Errorf("%s has ended", s.Name)
	default:
	}
	f.did(res, round, side, run)
	return nil
}

// measureEtcd runs a load once on the cluster of etcd.
func (f *fleet) measureEtcd(ctx context.Context, res *result, round int) error {
	f.progress.Doing("%s: round %d of %d, %s", res.Name, round, f.rounds, f.etcd.Name)
	length := time.Duration(f.seconds * float64(time.Second))
	puts, err := load.PutEtcd(ctx, f.puts, f.etcd, data, res.Clients, res.Pipeline, length)
	if err != nil {
		return err
	}
	f.did(res, round, sideEtcd, Run{Server: f.etcd.Name, Requests: puts.Requests, PerSec: puts.PerSec, P50: puts.P50, P99: puts.P99})
	return nil
}

func (f *fleet) did(res *result, round int, side string, run Run) {
	run.Round, run.Side = round, side
	res.Runs = append(res.Runs, run)
	f.progress.Did("%s: round %d of %d, %s: %.0f a second, p99 %.2f ms", res.Name, round, f.rounds, run.Server, run.PerSec, run.P99)
}

// whole rounds a number of requests to at least one, and to whole pipelines of all clients.
func whole(l Load, requests float64) int {
	unit := l.Clients * l.Pipeline
	return max(1, int(requests)/unit) * unit
}
