package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

const (
	pipeline  = 1000                 // keys that are made together
	before    = 3 * time.Second      // of writes before the keys are due, to compare with
	after     = time.Second          // of writes when they have gone
	lookEvery = 5 * time.Millisecond // at how many are left
	goneWait  = 2 * time.Minute
)

// look is how many of the keys were left at some moment.
type look struct {
	at   time.Time
	left int
}

// storm makes keys that are all due at the same moment, and writes to others meanwhile.
func (r *report) storm(ctx context.Context, s *load.Server, o options, progress *load.Progress) error {
	var due time.Time
	var looks []look
	var samples []load.Sample
	err := s.Talk(func(client *redis.Client) (err error) {
		if due, err = doom(ctx, client, o, progress); err != nil {
			return err
		}
		if err := load.Pause(ctx, time.Until(due)-before); err != nil {
			return err
		}
		samples, err = o.writes.During(ctx, s, func(ctx context.Context) error {
			progress.Doing("at once: all is quiet")
			if err := load.Pause(ctx, time.Until(due)); err != nil {
				return err
			}
			looks, err = watch(ctx, client, o, progress)
			if err != nil {
				return err
			}
			return load.Pause(ctx, after)
		})
		return err
	})
	if err != nil {
		return err
	}
	r.sort(samples, due, looks)
	progress.Did("at once: gone within %s, longest stall %s", short(r.Gone), short(r.During.Largest))
	return nil
}

// doom makes the keys, and returns when they are due. How far off that is depends on how fast this machine makes them.
func doom(ctx context.Context, client *redis.Client, o options, progress *load.Progress) (due time.Time, err error) {
	trial := min(o.due, 20*pipeline)
	began := time.Now()
	if err := set(ctx, client, trial, began.Add(time.Hour), func(int) {}); err != nil {
		return due, err
	}
	whole := time.Duration(float64(time.Since(began)) * float64(o.due) / float64(trial))
	due = time.Now().Add(3*whole + before + 2*time.Second).Truncate(time.Millisecond)
	err = set(ctx, client, o.due, due, func(done int) { progress.Doing("at once: %d of %d keys made", done, o.due) })
	if err == nil && time.Until(due) < before {
		err = errors.New("this machine became so slow that the keys are due before all of them are made; try again, or fewer -keys")
	}
	return due, err
}

func set(ctx context.Context, client *redis.Client, keys int, due time.Time, step func(done int)) error {
	for first := 0; first < keys; first += pipeline {
		last := min(first+pipeline, keys)
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := first; i < last; i++ {
				p.Do(ctx, "SET", "due:"+strconv.Itoa(i), "v", "PXAT", due.UnixMilli())
			}
			return nil
		})
		if err != nil {
			return err
		}
		step(last)
	}
	return nil
}

// watch looks at how many keys are left until all have gone.
func watch(ctx context.Context, client *redis.Client, o options, progress *load.Progress) (looks []look, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, goneWait, fmt.Errorf("keys are left after %s", goneWait))
	defer cancel()
	for {
		n, err := client.DBSize(ctx).Result()
		if err != nil {
			return nil, err
		}
		left := int(n) - o.writes.Keys
		looks = append(looks, look{time.Now(), left})
		progress.Doing("at once: %d of %d keys left", left, o.due)
		if left <= 0 {
			return looks, nil
		}
		if err := load.Pause(ctx, lookEvery); err != nil {
			return nil, err
		}
	}
}

// sort tells the writes before the moment from those while keys went, and finds out how late the keys were.
func (r *report) sort(samples []load.Sample, due time.Time, looks []look) {
	gone := looks[len(looks)-1].at
	var quiet, during, late []time.Duration
	for _, s := range samples {
		switch {
		case s.At.Before(due) && s.At.Add(s.Took).Before(due):
			quiet = append(quiet, s.Took)
		case s.At.Before(gone):
			during = append(during, s.Took)
		}
	}
	left := r.Due
	for _, l := range looks {
		for ; left > l.left; left-- { // no later than this look
			late = append(late, l.at.Sub(due))
		}
	}
	r.Quiet, r.During, r.Late, r.Gone = load.Summarise(quiet), load.Summarise(during), load.Summarise(late), gone.Sub(due)
}
