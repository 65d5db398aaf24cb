package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// never is a bound on the log that the measurement does not reach, so that only time calls for snapshots.
const never = "1000000000000"

// measure loads one node, writes to it while it snapshots itself, restarts it, and then loads Redis with the same data.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (*report, error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &report{Machine: machine, Args: o.Args, Keys: o.data.Keys, Bytes: o.data.Bytes, Rate: o.rate, Writers: o.writers}
	data := filepath.Join(dir, "dtkv")
	args := append([]string{"--snapshot-bytes", never, "--snapshot-entries", never, "--snapshot-interval", o.interval.String()}, o.Args...)
	if err := r.firstLife(ctx, o, data, args, progress); err != nil {
		return nil, err
	}

	progress.Doing("restarting dtkv")
	s, err := load.StartDtkv(ctx, o.Binary, data, args...)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	r.Restart = s.Took.Seconds()
	progress.Did("restart: %.2f s until the first read", r.Restart)
	if err := load.Holds(ctx, s, o.data); err != nil {
		return nil, err
	}
	if r.Memory.Restarted, err = memoryOf(ctx, s); err != nil {
		return nil, err
	}
	s.Stop()
	return r, r.redisMemory(ctx, o, filepath.Join(dir, "redis"), progress)
}

// firstLife is all that happens to the node before its restart.
func (r *report) firstLife(ctx context.Context, o options, data string, args []string, progress *load.Progress) error {
	progress.Doing("starting dtkv")
	s, err := load.StartDtkv(ctx, o.Binary, data, args...)
	if err != nil {
		return err
	}
	defer s.Stop()
	if r.Memory.Empty, err = memoryOf(ctx, s); err != nil {
		return err
	}
	began := time.Now()
	if err := fill(ctx, s, o.data, progress); err != nil {
		return err
	}
	r.Fill = time.Since(began).Seconds()
	progress.Did("filled: %.2f s", r.Fill)
	if r.Memory.Filled, err = memoryOf(ctx, s); err != nil {
		return err
	}

	seen := &snapshots{dir: data}
	writes := load.Writes{Data: o.data, Rate: o.rate, Writers: o.writers}
	samples, err := writes.During(ctx, s, func(ctx context.Context) error {
		return seen.watch(ctx, o.snapshots, func(done int) {
			progress.Doing("writing: %d of %d snapshots seen", done, o.snapshots)
		})
	})
	if err != nil {
		return err
	}
	r.split(samples, seen)
	r.Memory.Written, err = memoryOf(ctx, s)
	return err
}

// redisMemory loads Redis with the same data.
func (r *report) redisMemory(ctx context.Context, o options, dir string, progress *load.Progress) error {
	s, err := load.StartRedis(ctx, dir)
	if err != nil {
		return err
	}
	defer s.Stop()
	if r.Memory.RedisEmpty, err = memoryOf(ctx, s); err != nil {
		return err
	}
	if err := fill(ctx, s, o.data, progress); err != nil {
		return err
	}
	r.Memory.Redis, err = memoryOf(ctx, s)
	return err
}

func fill(ctx context.Context, s *load.Server, d load.Data, progress *load.Progress) error {
	return load.Fill(ctx, s, d, func(done int) {
		progress.Doing("filling %s: %d of %d keys", s.Name, done, d.Keys)
	})
}

func memoryOf(ctx context.Context, s *load.Server) (m memory, err error) {
	if m.Resident, err = s.RSS(); err != nil {
		return m, err
	}
	m.Used, err = s.Used(ctx)
	return m, err
}
