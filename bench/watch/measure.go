package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

// measure runs everything on one node.
func measure(ctx context.Context, o options, dir string, progress *load.Progress) (*report, error) {
	machine, err := load.Describe(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &report{
		Machine: machine, Args: o.Args, Pace: o.pace, Channels: o.writes.Keys, Subscribers: o.subscribers,
		Rate: o.writes.Rate, Clients: o.clients, Rounds: o.rounds, Seconds: o.seconds,
	}
	s, err := load.StartDtkv(ctx, o.Binary, filepath.Join(dir, "dtkv"), o.Args...)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	for _, k := range kinds {
		progress.Doing("latency of %s", k.Name)
		l, err := latency(ctx, s, k, o)
		if err != nil {
			return nil, fmt.Errorf("latency of %s: %w", k.Name, err)
		}
		r.Latencies = append(r.Latencies, l)
		progress.Did("latency of %s: p99 %s", k.Name, short(l.P99))
	}
	fill := func(done int) { progress.Doing("filling: %d of %d keys", done, o.writes.Keys) }
	if err := s.Talk(func(client *redis.Client) error { return client.FlushDB(ctx).Err() }); err != nil {
		return nil, err
	}
	if err := load.Fill(ctx, s, o.writes.Data, fill); err != nil {
		return nil, err
	}
	return r, r.rounds(ctx, s, o, progress)
}

// rounds measures the loads with each crowd in turn, and the server's memory all the time.
func (r *report) rounds(ctx context.Context, s *load.Server, o options, progress *load.Progress) error {
	m := &memory{began: time.Now()}
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { m.watch(watching, s) })
	defer func() {
		stop()
		wg.Wait()
		r.Memory = m.moments
	}()
	for round := 1; round <= o.rounds; round++ {
		for _, c := range crowds {
			progress.Doing("round %d of %d, %s: they come", round, o.rounds, c.Name)
			m.enter(c.Name)
			run, err := c.run(ctx, s, o, round)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			r.Runs = append(r.Runs, run)
			progress.Did("round %d of %d, %s: %.0f writes a second", round, o.rounds, c.Name, run.Throughput)
		}
	}
	return nil
}

// moment is what the server had resident at some time.
type moment struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
	Crowd   string  `json:"crowd"`
}

// memory looks at the server's memory from time to time.
type memory struct {
	began   time.Time
	mu      sync.Mutex
	crowd   string
	moments []moment
}

const lookEvery = 250 * time.Millisecond

func (m *memory) enter(crowd string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crowd = crowd
}

func (m *memory) watch(ctx context.Context, s *load.Server) {
	for load.Pause(ctx, lookEvery) == nil {
		bytes, err := s.RSS()
		if err != nil {
			return // Only Linux tells.
		}
		m.mu.Lock()
		m.moments = append(m.moments, moment{time.Since(m.began).Seconds(), bytes, m.crowd})
		m.mu.Unlock()
	}
}
