package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/bench/load"
)

// lease is long enough that no lock ends by itself, in milliseconds.
const lease = 30_000

// runEtcd runs the load generator of bench/etcd.
func runEtcd(ctx context.Context, generator string, s *load.Server, l Load, seconds float64) (Run, error) {
	var r Run
	out, err := exec.CommandContext(ctx, generator, "-endpoint", s.Addr, "-clients", strconv.Itoa(l.Clients),
		"-locks", strconv.Itoa(l.Locks), "-seconds", fmt.Sprint(seconds)).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return r, fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// runDtkv does the same to dtkv: each client has a connection of its own and an owner id of its own.
func runDtkv(ctx context.Context, s *load.Server, l Load, seconds float64) (Run, error) {
	length := time.Duration(seconds * float64(time.Second))
	freed := make([]atomic.Int64, l.Locks) // when a lock was last let go
	took := make([]taken, l.Clients)
	var r Run
	err := s.Talk(func(client *redis.Client) error {
		var wg sync.WaitGroup
		began := time.Now()
		for i := range took {
			wg.Go(func() {
				took[i] = take(ctx, client, i, i%l.Locks, &freed[i%l.Locks], began, length)
			})
		}
		wg.Wait()
		r.Seconds = time.Since(began).Seconds()
		return nil
	})
	var handovers []time.Duration
	for _, t := range took {
		r.Pairs += t.pairs
		handovers = append(handovers, t.handovers...)
		err = errors.Join(err, t.err)
	}
	if l.Clients > l.Locks {
		slices.Sort(handovers)
		sum := load.Summarise(handovers)
		r.HandoverP50, r.HandoverP99 = float64(sum.P50)/1e6, float64(sum.P99)/1e6
	}
	return r, err
}

// taken is what one client did.
type taken struct {
	pairs     int
	handovers []time.Duration // from each unlock until the lock was had again
	err       error
}

// take locks and unlocks one lock for that long.
func take(ctx context.Context, client *redis.Client, id, lock int, freed *atomic.Int64, began time.Time, length time.Duration) (t taken) {
	c := client.Conn()
	defer func() { t.err = errors.Join(t.err, c.Close()) }()
	key, owner := "lock"+strconv.Itoa(lock), "client"+strconv.Itoa(id)
	for time.Since(began) < length {
		_, err := c.Do(ctx, "DTKV.LOCK", key, lease, "WAIT", lease, "OWNER", owner).Int64()
		if err != nil {
			return taken{err: fmt.Errorf("DTKV.LOCK: %w", err)}
		}
		now := int64(time.Since(began))
		if before := freed.Load(); before > 0 {
			t.handovers = append(t.handovers, time.Duration(now-before))
		}
		freed.Store(int64(time.Since(began)))
		done, err := c.Do(ctx, "DTKV.UNLOCK", key, "OWNER", owner).Int64()
		if err == nil && done != 1 {
			err = errors.New("the lock was lost")
		}
		if err != nil {
			return taken{err: fmt.Errorf("DTKV.UNLOCK: %w", err)}
		}
		t.pairs++
	}
	return t
}
