package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dtkv/dtkv/client"
)

// meet waits until n participants are there, or have been: whoever comes later passes at once. name tells a participant
// from the others, and from a process that died under the same name. One that dies while it waits does not count after ttl.
func meet(ctx context.Context, c *client.Client, barrier, name string, n int, ttl time.Duration) error {
	if _, err := c.MakeDir(ctx, barrier+".waiting"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	me := barrier + ".waiting." + name
	if err := c.PutTemp(ctx, me, nil, ttl); err != nil {
		return err
	}
	go func() {
		for beat := time.Tick(ttl / 3); ; {
			select {
			case <-beat:
				_ = c.PutTemp(ctx, me, nil, ttl) // If it fails, the next one comes in time.
			case <-ctx.Done():
				return
			}
		}
	}()
	w := c.Watch(ctx, barrier)
	for range w.Events() {
		switch _, err := c.Get(ctx, barrier+".open"); {
		case err == nil:
			return nil
		case !errors.Is(err, client.ErrNotFound):
			return err
		}
		here, err := c.List(ctx, barrier+".waiting", client.ListOptions{NoValues: true})
		if err != nil {
			return err
		}
		if len(here) >= n { // Everybody may see this, and everybody may open it.
			if err := c.Set(ctx, barrier+".open", []byte("yes"), 0); err != nil {
				return err
			}
		}
	}
	return w.Err()
}

func Example_barrier() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	var mu sync.Mutex
	there, early := 0, 0
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			mu.Lock()
			there++
			mu.Unlock()
			check(meet(ctx, c, "start", fmt.Sprint(i), 5, time.Minute))
			mu.Lock()
			defer mu.Unlock()
			if there < 5 {
				early++
			}
		})
	}
	all.Wait()
	fmt.Println(there, "were there before anyone went on;", early, "went early")
	// Output: 5 were there before anyone went on; 0 went early
}
