package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Writes is a steady load of overwrites, each of a random key of the data.
type Writes struct {
	Data
	Rate    float64 // writes a second of all writers together
	Writers int     // connections that share the rate
}

// Sample is one write.
type Sample struct {
	At   time.Time // when it was due
	Took time.Duration
}

// During keeps the load on the server while work runs, and returns all writes. It fails, and ends the context of work, when
// a write does.
//
// Each writer is one goroutine, which this function starts and waits for. The rate does not follow the server: a write
// that waits behind a slow one counts from the moment it was due, else a stall of a second would be a single slow write.
func (w Writes) During(ctx context.Context, server *Server, work func(context.Context) error) ([]Sample, error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	all := make([][]Sample, w.Writers)
	errs := make([]error, w.Writers)
	began := time.Now()
	for i := range w.Writers {
		wg.Go(func() {
			one := writer{Writes: w, number: i, began: began}
			errs[i] = server.Talk(func(client *redis.Client) error { return one.run(writing, client) })
			if errs[i] != nil {
				stop()
			}
			all[i] = one.samples
		})
	}
	err := work(writing)
	stop()
	wg.Wait()
	if werr := errors.Join(errs...); werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, err
	}
	var joined []Sample
	for _, samples := range all {
		joined = append(joined, samples...)
	}
	return joined, nil
}

// writer is one of the writers.
type writer struct {
	Writes
	number  int
	began   time.Time
	samples []Sample
}

func (w *writer) run(ctx context.Context, client *redis.Client) error {
	random := rand.New(rand.NewPCG(uint64(w.number), 1))
	value := strings.Repeat("y", w.Bytes)
	step := time.Duration(float64(time.Second) * float64(w.Writers) / w.Rate)
	due := w.began.Add(step * time.Duration(w.number) / time.Duration(w.Writers))
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
		if err := client.Set(context.WithoutCancel(ctx), Key(random.IntN(w.Keys)), value, 0).Err(); err != nil {
			return err
		}
		free = time.Now()
		w.samples = append(w.samples, Sample{due, free.Sub(from)})
	}
}

// Pause waits, at most until the context ends. It is a work of [Writes.During] that only watches.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
