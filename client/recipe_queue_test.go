package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dtkv/dtkv/client"
)

// queue is a line of jobs. Each is done at least once, in about the order of their coming, by one worker at a time.
type queue struct {
	c    *client.Client
	name string
}

func openQueue(ctx context.Context, c *client.Client, name string) (*queue, error) {
	for _, dir := range []string{".jobs", ".claims"} {
		if _, err := c.MakeDir(ctx, name+dir); err != nil {
			return nil, err
		}
	}
	return &queue{c, name}, nil
}

// put adds a job.
func (q *queue) put(ctx context.Context, job []byte) error {
	place, err := q.c.Do(ctx, "INCR", q.name+".last")
	for errors.Is(err, client.ErrInDoubt) { // A number that nobody uses does no harm.
		place, err = q.c.Do(ctx, "INCR", q.name+".last")
	}
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s.jobs.%020d", q.name, place.Int())
	err = q.c.Set(ctx, key, job, 0)
	for errors.Is(err, client.ErrInDoubt) { // Nor does the same value under the same name, unless it is done by now.
		err = q.c.Set(ctx, key, job, 0)
	}
	return err
}

// work does jobs as they come, until ctx ends. When a worker dies, another does its job after the lease.
func (q *queue) work(ctx context.Context, lease time.Duration, do func(job []byte)) error {
	w := q.c.Watch(ctx, q.name+".jobs", q.name+".claims") // A job has come, or a worker has died.
	for range w.Events() {
		for more := true; more; {
			jobs, err := q.c.List(ctx, q.name+".jobs", client.ListOptions{Limit: 100, NoValues: true})
			if err != nil {
				return err
			}
			more = false
			for _, job := range jobs {
				did, err := q.one(ctx, job.Name, lease, do)
				if err != nil {
					return err
				}
				more = more || did
			}
		}
	}
	return w.Err()
}

// one does a job, unless another worker has it.
func (q *queue) one(ctx context.Context, job string, lease time.Duration, do func([]byte)) (did bool, err error) {
	claim := q.c.Lock(q.name + ".claims." + job)
	if ok, err := claim.TryLock(ctx, lease, 0); !ok {
		return false, err
	}
	defer func() { err = errors.Join(err, claim.Close()) }()
	value, err := q.c.Get(ctx, q.name+".jobs."+job)
	if errors.Is(err, client.ErrNotFound) {
		return false, nil // It was done between List and TryLock.
	}
	if err != nil {
		return false, err
	}
	do(value)
	_, err = q.c.Remove(ctx, q.name+".jobs."+job)
	return true, err
}

func Example_queue() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q := must(openQueue(ctx, c, "mail"))

	finished := make(chan string)
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			_ = q.work(ctx, time.Minute, func(job []byte) { finished <- string(job) })
		})
	}
	sum := 0
	for i := range 20 {
		check(q.put(ctx, fmt.Appendf(nil, "%d", i)))
	}
	for range 20 {
		var i int
		must(fmt.Sscan(<-finished, &i))
		sum += i
	}
	for len(must(c.List(ctx, "mail.jobs", client.ListOptions{}))) > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	workers.Wait()
	fmt.Println(sum, "and nothing is left")
	// Output: 190 and nothing is left
}
