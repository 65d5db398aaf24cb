package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

// sample is one write.
type sample struct {
	at   time.Time // when it was due
	took time.Duration
}

// write keeps a steady load of overwrites on the server until enough snapshots have come and gone.
//
// Each writer is one goroutine, which this function starts and waits for. The rate does not follow the server: a write
// that waits behind a slow one counts from the moment it was due, else a stall of a second would be a single slow write.
func write(ctx context.Context, server *load.Server, o options, seen *snapshots, progress *load.Progress) ([]sample, error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	all := make([][]sample, o.writers)
	errs := make([]error, o.writers)
	began := time.Now()
	for i := range o.writers {
		wg.Go(func() {
			w := writer{o: o, number: i, began: began}
			errs[i] = server.Talk(func(client *redis.Client) error { return w.run(writing, client) })
			if errs[i] != nil {
				stop()
			}
			all[i] = w.samples
		})
	}
	err := seen.watch(writing, o.snapshots, func(done int) {
		progress.Doing("writing: %d of %d snapshots seen", done, o.snapshots)
	})
	stop()
	wg.Wait()
	if werr := errors.Join(errs...); werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, err
	}
	var joined []sample
	for _, samples := range all {
		joined = append(joined, samples...)
	}
	return joined, nil
}

// writer is one of the writers.
type writer struct {
	o       options
	number  int
	began   time.Time
	samples []sample
}

func (w *writer) run(ctx context.Context, client *redis.Client) error {
	random := rand.New(rand.NewPCG(uint64(w.number), 1))
	value := strings.Repeat("y", w.o.data.Bytes)
	step := time.Duration(float64(time.Second) * float64(w.o.writers) / w.o.rate)
	due := w.began.Add(step * time.Duration(w.number) / time.Duration(w.o.writers))
	for free := w.began; ; due = due.Add(step) {
		from := due
		if free.Before(due) { // Nothing held the write up; the sleep may still end late, which is not the server's fault.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(due)):
			}
			from = time.Now()
		}
		if ctx.Err() != nil {
			return nil
		}
		// The write is not cut short when the measurement ends: its outcome would be unknown.
		if err := client.Set(context.WithoutCancel(ctx), load.Key(random.IntN(w.o.data.Keys)), value, 0).Err(); err != nil {
			return err
		}
		free = time.Now()
		w.samples = append(w.samples, sample{due, free.Sub(from)})
	}
}
