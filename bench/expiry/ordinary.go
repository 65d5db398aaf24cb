package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

const (
	shortest = 50 * time.Millisecond // of the lives of keys that go one by one
	grace    = 30 * time.Second      // for the last of them to be heard of
)

// lives is when each key was due, by the clock of whoever made it.
type lives struct {
	mu  sync.Mutex
	due []time.Time
}

// ordinary makes keys of all lengths of life at a steady pace, and hears from the server when each has gone. Lateness counts
// from the moment before the command was sent, so it is never flattering; early says how many went before that.
func ordinary(ctx context.Context, s *load.Server, o options, progress *load.Progress) (late load.Latencies, early int, err error) {
	l := &lives{due: make([]time.Time, o.ordinary)}
	var took []time.Duration
	err = s.Talk(func(client *redis.Client) error {
		heard := client.Subscribe(ctx, "__keyevent@0__:expired")
		defer func() { _ = heard.Close() }()
		if _, err := heard.Receive(ctx); err != nil { // the confirmation
			return err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(float64(o.ordinary)/o.pace*float64(time.Second))+o.longest+grace,
			errors.New("not all keys were heard to go"))
		defer cancel()
		made := make(chan error, 1)
		go func() {
			err := l.make(ctx, client, o)
			if err != nil {
				cancel()
			}
			made <- err
		}()
		for len(took) < o.ordinary {
			progress.Doing("one by one: %d of %d keys have gone", len(took), o.ordinary)
			message, err := heard.ReceiveMessage(ctx)
			if err != nil {
				cancel()
				return errors.Join(<-made, err, context.Cause(ctx))
			}
			due, err := l.of(message.Payload)
			if err != nil {
				continue // a key of somebody else
			}
			took = append(took, time.Since(due))
		}
		return <-made
	})
	for _, t := range took {
		if t < 0 {
			early++
		}
	}
	return load.Summarise(took), early, err
}

// make makes the keys.
func (l *lives) make(ctx context.Context, client *redis.Client, o options) error {
	random := rand.New(rand.NewPCG(1, 1))
	step := time.Duration(float64(time.Second) / o.pace)
	next := time.Now()
	for i := range l.due {
		if err := load.Pause(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(step)
		life := shortest + time.Duration(random.Int64N(int64(o.longest-shortest)))
		life = life.Truncate(time.Millisecond)
		l.mu.Lock()
		l.due[i] = time.Now().Add(life)
		l.mu.Unlock()
		if err := client.Do(ctx, "SET", prefix+strconv.Itoa(i), "v", "PX", life.Milliseconds()).Err(); err != nil {
			return err
		}
	}
	return nil
}

const prefix = "ordinary:"

// of returns when a key was due.
func (l *lives) of(key string) (time.Time, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(key, prefix))
	if err != nil || i < 0 || i >= len(l.due) || !strings.HasPrefix(key, prefix) {
		return time.Time{}, fmt.Errorf("%q is none of ours", key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due[i], nil
}
