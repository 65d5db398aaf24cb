package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

// kind is a kind of channel.
type kind struct {
	Name    string `json:"kind"`
	channel string
	states  int // messages that come before the first write
	number  func(heard int, payload string) (write int, err error)
}

// latencyKey is the key that is written and watched.
const latencyKey = "latency"

var kinds = []kind{
	// A notification says that something happened, not what: they are counted.
	{"keyspace notification", "__keyspace@0__:" + latencyKey, 0, func(heard int, _ string) (int, error) { return heard, nil }},
	// Messages of a watch channel carry the value, and may be merged.
	{"watch channel", "__watch@0__:" + latencyKey, 1, func(_ int, payload string) (int, error) {
		var m struct{ Value string }
		if err := json.Unmarshal([]byte(payload), &m); err != nil {
			return 0, err
		}
		return strconv.Atoi(m.Value)
	}},
}

// measured is what came of one kind.
type measured struct {
	kind
	load.Latencies
	Before int `json:"before_acknowledgement"` // messages that came before the writer had its answer; they count as 0
	Merged int `json:"merged"`                 // writes whose message told of a later one, too
}

// latency writes at a steady pace and measures the time from each acknowledgement to the message. The clocks are one, since
// writer and subscriber are this program.
func latency(ctx context.Context, s *load.Server, k kind, o options) (measured, error) {
	const grace = 30 * time.Second // for messages that are late
	m := measured{kind: k}
	l := &latencies{acked: make([]time.Time, o.messages), heard: make([]time.Time, o.messages)}
	err := s.Talk(func(client *redis.Client) error {
		sub := client.Subscribe(ctx, k.channel)
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(ctx); err != nil { // the confirmation
			return err
		}
		for range k.states {
			if _, err := sub.ReceiveMessage(ctx); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(float64(o.messages)/o.pace*float64(time.Second))+grace,
			errors.New("not all messages came"))
		defer cancel()
		wrote := make(chan error, 1)
		go func() {
			err := l.write(ctx, client, o)
			if err != nil {
				cancel()
			}
			wrote <- err
		}()
		if err := l.listen(ctx, sub, k); err != nil {
			cancel()
			return errors.Join(<-wrote, err, context.Cause(ctx))
		}
		return <-wrote
	})
	m.Latencies, m.Before, m.Merged = l.sum()
	return m, err
}

// latencies holds the times of each write.
type latencies struct {
	mu           sync.Mutex
	acked, heard []time.Time
}

func (l *latencies) write(ctx context.Context, client *redis.Client, o options) error {
	step := time.Duration(float64(time.Second) / o.pace)
	next := time.Now()
	for i := range l.acked {
		if err := load.Pause(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(step)
		if err := client.Set(ctx, latencyKey, i, 0).Err(); err != nil {
			return err
		}
		now := time.Now()
		l.mu.Lock()
		l.acked[i] = now
		l.mu.Unlock()
	}
	return nil
}

// listen notes when each write was heard of, until the last was.
func (l *latencies) listen(ctx context.Context, sub *redis.PubSub, k kind) error {
	for heard := 0; ; heard++ {
		message, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		i, err := k.number(heard, message.Payload)
		if err != nil {
			return err
		}
		if i < 0 || i >= len(l.heard) {
			return errors.New("a message about a write that was not made")
		}
		l.mu.Lock()
		l.heard[i] = now
		l.mu.Unlock()
		if i == len(l.heard)-1 {
			return nil
		}
	}
}

func (l *latencies) sum() (sum load.Latencies, before, merged int) {
	var took []time.Duration
	for i, heard := range l.heard {
		if heard.IsZero() {
			merged++
			continue
		}
		d := heard.Sub(l.acked[i])
		if d < 0 {
			before++
		}
		took = append(took, max(d, 0))
	}
	return load.Summarise(took), before, merged
}
