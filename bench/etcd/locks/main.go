// Command locks takes and releases locks of etcd for a while, as package concurrency has them, and prints what came of it
// as one line of JSON. bench/locks runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// result is what bench/locks reads. The times are in milliseconds.
type result struct {
	Pairs       int     `json:"pairs"`
	Seconds     float64 `json:"seconds"`
	HandoverP50 float64 `json:"handover_p50_ms"`
	HandoverP99 float64 `json:"handover_p99_ms"`
}

func main() {
	endpoint := flag.String("endpoint", "", "host:port of etcd")
	clients := flag.Int("clients", 1, "how many take locks at the same time")
	locks := flag.Int("locks", 1, "how many locks they share")
	seconds := flag.Float64("seconds", 3, "for how long")
	flag.Parse()
	r, err := run(*endpoint, *clients, *locks, time.Duration(*seconds*float64(time.Second)))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "locks:", err)
		os.Exit(1)
	}
}

func run(endpoint string, clients, locks int, length time.Duration) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+time.Minute)
	defer cancel()
	sessions := make([]*concurrency.Session, clients)
	for i := range sessions {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
		if err != nil {
			return result{}, err
		}
		defer client.Close()
		if sessions[i], err = concurrency.NewSession(client, concurrency.WithTTL(30)); err != nil {
			return result{}, err
		}
	}

	freed := make([]atomic.Int64, locks) // when a lock was last let go
	var mu sync.Mutex
	var r result
	var handovers []time.Duration
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for i, session := range sessions {
		wg.Go(func() {
			mine, pairs, err := take(ctx, session, i%locks, &freed[i%locks], began, length)
			mu.Lock()
			defer mu.Unlock()
			handovers = append(handovers, mine...)
			r.Pairs += pairs
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(began).Seconds()
	if clients > locks && len(handovers) > 0 {
		slices.Sort(handovers)
		r.HandoverP50 = float64(handovers[len(handovers)/2]) / 1e6
		r.HandoverP99 = float64(handovers[len(handovers)*99/100]) / 1e6
	}
	return r, failed
}

// take locks and unlocks one lock for that long. The times are from each unlock until the lock was had again.
func take(ctx context.Context, s *concurrency.Session, lock int, freed *atomic.Int64, began time.Time, length time.Duration) ([]time.Duration, int, error) {
	m := concurrency.NewMutex(s, fmt.Sprintf("/lock/%d", lock))
	var handovers []time.Duration
	pairs := 0
	for time.Since(began) < length {
		if err := m.Lock(ctx); err != nil {
			return nil, 0, err
		}
		now := int64(time.Since(began))
		if before := freed.Load(); before > 0 {
			handovers = append(handovers, time.Duration(now-before))
		}
		freed.Store(int64(time.Since(began)))
		if err := m.Unlock(ctx); err != nil {
			return nil, 0, err
		}
		pairs++
	}
	return handovers, pairs, nil
}
