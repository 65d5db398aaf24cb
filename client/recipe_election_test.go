package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dtkv/dtkv/client"
)

// lead runs work on one of all processes that call it, and on another when that one dies. work gets a context that ends
// with the leadership, and a token for whatever it writes outside dtkv.
func lead(ctx context.Context, c *client.Client, name string, work func(ctx context.Context, token int64)) error {
	e := c.Election("scheduler", 10*time.Second)
	for ctx.Err() == nil {
		leading, err := e.Campaign(ctx, name)
		if err != nil {
			return err
		}
		both, stop := context.WithCancel(leading)
		release := context.AfterFunc(ctx, stop) // The leadership outlives ctx: it ends when we say so.
		work(both, e.Token())
		release()
		stop()
		if err := e.Resign(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func Example_leaderElection() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	// Three processes, of which one leads at a time. Each steps down after a while.
	turns := make(chan int64)
	for i := range 3 {
		go func() {
			ctx, leave := context.WithCancel(ctx)
			defer leave()
			_ = lead(ctx, c, fmt.Sprintf("process %d", i), func(_ context.Context, token int64) {
				turns <- token
				leave()
			})
		}()
	}
	fmt.Println(<-turns, <-turns, <-turns)
	// Output: 1 2 3
}
