// Command puts writes to etcd for a while, and prints what came of it as one line of JSON. bench/compare runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// result is what bench/compare reads. Latencies are in milliseconds.
type result struct {
	Requests int     `json:"requests"`
	PerSec   float64 `json:"per_second"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// work is what to do.
type work struct {
	endpoints []string
	clients   int // connections
	pipeline  int // puts that each has on its way at the same time
	keys      int
	bytes     int // of each value
	length    time.Duration
}

func main() {
	var w work
	endpoints := flag.String("endpoints", "", "host:port,.. of all members; the leader is written to")
	flag.IntVar(&w.clients, "clients", 1, "how many connections")
	flag.IntVar(&w.pipeline, "pipeline", 1, "how many puts each has on its way at the same time")
	flag.IntVar(&w.keys, "keys", 10_000, "how many keys are written to, at random")
	flag.IntVar(&w.bytes, "bytes", 256, "bytes of each value")
	flag.DurationVar(&w.length, "length", 3*time.Second, "for how long")
	flag.Parse()
	w.endpoints = strings.Split(*endpoints, ",")
	r, err := run(w)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "puts:", err)
		os.Exit(1)
	}
}

func run(w work) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.length+time.Minute)
	defer cancel()
	leader, err := findLeader(ctx, w.endpoints)
	if err != nil {
		return result{}, err
	}
	clients := make([]*clientv3.Client, w.clients)
	for i := range clients {
		if clients[i], err = dial(leader); err != nil {
			return result{}, err
		}
		defer clients[i].Close()
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for _, client := range clients {
		for range w.pipeline {
			wg.Go(func() {
				mine, err := puts(ctx, client, w, began)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
				failed = errors.Join(failed, err)
			})
		}
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	if failed != nil || len(took) == 0 {
		return result{}, errors.Join(errors.New("nothing to report"), failed)
	}
	slices.Sort(took)
	return result{
		Requests: len(took),
		PerSec:   float64(len(took)) / seconds,
		P50:      float64(took[len(took)/2]) / 1e6,
		P99:      float64(took[len(took)*99/100]) / 1e6,
	}, nil
}

// puts writes one after the other.
func puts(ctx context.Context, client *clientv3.Client, w work, began time.Time) (took []time.Duration, err error) {
	value := strings.Repeat("x", w.bytes)
	for time.Since(began) < w.length {
		sent := time.Now()
		if _, err := client.Put(ctx, fmt.Sprintf("key:%012d", rand.IntN(w.keys)), value); err != nil {
			return nil, err
		}
		took = append(took, time.Since(sent))
	}
	return took, nil
}

func dial(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
}

// findLeader asks each member whether it leads.
func findLeader(ctx context.Context, endpoints []string) (string, error) {
	for _, endpoint := range endpoints {
		client, err := dial(endpoint)
		if err != nil {
			return "", err
		}
		status, err := client.Status(ctx, endpoint)
		if err := errors.Join(err, client.Close()); err != nil {
			return "", err
		}
		if status.Leader == status.Header.MemberId {
			return endpoint, nil
		}
	}
	return "", errors.New("no member leads")
}
