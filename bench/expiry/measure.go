package main

import (
	"context"
	"path/filepath"

	"github.com/dtkv/dtkv/bench/load"
)

// measure runs everything on one node: first the keys that go one by one, while nothing else happens, then those that go
// at once, while others are written to.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (*report, error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &report{Machine: machine, Args: o.Args, Due: o.due, Rate: o.writes.Rate, Writers: o.writes.Writers}
	s, err := load.StartDtkv(ctx, o.Binary, filepath.Join(dir, "dtkv"), o.Args...)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := load.Fill(ctx, s, o.writes.Data, func(done int) { progress.Doing("filling: %d keys", done) }); err != nil {
		return nil, err
	}
	if r.Ordinary, r.Early, err = ordinary(ctx, s, o, progress); err != nil {
		return nil, err
	}
	progress.Did("one by one: p99 %s late", short(r.Ordinary.P99))
	return r, r.storm(ctx, s, o, progress)
}
