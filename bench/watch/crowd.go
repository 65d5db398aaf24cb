package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

// crowd is who subscribes while writes are measured.
type crowd struct {
	Name  string
	reads bool // subscribers that read share the keys
	stuck bool // one more watches every key and never reads
}

var crowds = []crowd{
	{"nobody", false, false},
	{"all of them read", true, false},
	{"one never reads", true, true},
}

// run is one measurement.
type run struct {
	Crowd      string         `json:"crowd"`
	Round      int            `json:"round"`
	Steady     load.Latencies `json:"steady_writes_nanos"`
	Throughput float64        `json:"writes_per_second"`
	Messages   int64          `json:"messages"` // that those who read have had
	Resident   int64          `json:"resident_bytes"`
}

// run lets the crowd come, writes at a steady pace, writes as fast as it can, and lets the crowd go.
func (c crowd) run(ctx context.Context, s *load.Server, o options, round int) (r run, err error) {
	r = run{Crowd: c.Name, Round: round}
	var heard atomic.Int64
	leave, err := c.come(ctx, s, o, &heard)
	defer func() { err = errors.Join(err, leave()) }()
	if err != nil {
		return r, err
	}
	length := time.Duration(o.seconds * float64(time.Second))
	samples, err := o.writes.During(ctx, s, func(ctx context.Context) error { return load.Pause(ctx, length) })
	if err != nil {
		return r, err
	}
	var took []time.Duration
	for _, sample := range samples {
		took = append(took, sample.Took)
	}
	r.Steady = load.Summarise(took)
	if r.Throughput, err = throughput(ctx, s, o, length); err != nil {
		return r, err
	}
	r.Messages = heard.Load()
	r.Resident, _ = s.RSS() // 0 where the system does not tell
	return r, nil
}

// come returns when everybody has subscribed and has the first state of every key. leave must be called in any case; it
// returns when everybody has gone, and fails if the server had thrown somebody out.
func (c crowd) come(ctx context.Context, s *load.Server, o options, heard *atomic.Int64) (leave func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var clients []*redis.Client
	var stuck net.Conn
	var mu sync.Mutex
	var failed error
	leave = func() error {
		cancel()
		for _, client := range clients {
			_ = client.Close() // It closes the subscriptions, and nobody waits for more.
		}
		if stuck != nil {
			_ = stuck.Close()
		}
		wg.Wait()
		return failed
	}
	if c.stuck {
		if stuck, err = neverRead(s.Addr); err != nil {
			return leave, err
		}
	}
	readers := o.subscribers - 1
	if !c.reads {
		readers = 0
	}
	var ready sync.WaitGroup
	for n := range readers {
		client := redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2, MaxRetries: -1, DisableIdentity: true})
		clients = append(clients, client)
		ready.Add(1)
		wg.Go(func() {
			if err := listen(ctx, client, channels(o.writes.Keys, n, readers), heard, sync.OnceFunc(ready.Done)); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	ready.Wait()
	mu.Lock()
	defer mu.Unlock()
	return leave, failed
}

// listen subscribes and counts messages until the context ends. It calls ready when it has the state of every channel.
func listen(ctx context.Context, client *redis.Client, names []string, heard *atomic.Int64, ready func()) error {
	defer ready() // also when it fails
	sub := client.Subscribe(ctx, names...)
	defer func() { _ = sub.Close() }()
	for states := 0; ; {
		got, err := sub.ReceiveTimeout(ctx, 0)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("a subscriber who reads: %w", err)
		}
		if _, ok := got.(*redis.Message); !ok {
			continue
		}
		if states++; states == len(names) {
			ready()
		} else if states > len(names) {
			heard.Add(1)
		}
	}
}

// channels are those of one of so many readers.
func channels(keys, reader, readers int) (names []string) {
	for i := reader; i < keys; i += readers {
		names = append(names, "__watch@0__:"+load.Key(i))
	}
	return names
}

// neverRead subscribes to every key and does not read, not even the confirmation.
func neverRead(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		return c, err
	}
	_, err = c.Write([]byte("PSUBSCRIBE __watch@0__:*\r\n"))
	return c, err
}

// throughput is how many writes a second so many clients do, each of which waits for its answer.
func throughput(ctx context.Context, s *load.Server, o options, length time.Duration) (perSecond float64, err error) {
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, o.clients)
	var took time.Duration
	err = s.Talk(func(client *redis.Client) error {
		value := fmt.Sprintf("%0*d", o.writes.Bytes, 0)
		began := time.Now()
		for n := range o.clients {
			wg.Go(func() {
				conn := client.Conn()
				defer func() { _ = conn.Close() }()
				for i := n; time.Since(began) < length && errs[n] == nil; i += o.clients {
					if errs[n] = conn.Set(ctx, load.Key(i%o.writes.Keys), value+strconv.Itoa(i), 0).Err(); errs[n] == nil {
						done.Add(1)
					}
				}
			})
		}
		wg.Wait()
		took = time.Since(began)
		return errors.Join(errs...)
	})
	return float64(done.Load()) / took.Seconds(), err
}
