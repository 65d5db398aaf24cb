package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dtkv/dtkv/client"
)

// How do I let one of many processes lead, and find out which?
func ExampleElection() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	leaders := c.Election("cluster", 10*time.Second).Observe(ctx)
	fmt.Printf("%q leads\n", (<-leaders).Value)

	candidate := c.Election("cluster", 10*time.Second)
	leading := must(candidate.Campaign(ctx, "10.0.0.7:80")) // waits until it leads
	fmt.Printf("%q leads, with token %d\n", (<-leaders).Value, candidate.Token())

	check(candidate.Resign(ctx))
	<-leading.Done() // also when the leadership is lost: whatever a leader does ends with this context
	fmt.Printf("%q leads\n", (<-leaders).Value)
	// Output:
	// "" leads
	// "10.0.0.7:80" leads, with token 1
	// "" leads
}

// How do I hear of changes?
func ExampleClient_Watch() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	must(c.MakeDir(ctx, "config"))

	w := c.Watch(ctx, "config") // and all that is in it
	for ev := range w.Events() {
		switch {
		case ev.Gap:
			fmt.Println("something may have been missed; what is there now follows")
		case ev.Key == "config" && ev.Change == "state":
			check(c.Set(ctx, "config.color", []byte("blue"), 0)) // Now that it listens.
		case ev.Kind == client.KindValue:
			fmt.Println(ev.Key, "is", string(ev.Value))
			must(c.Remove(ctx, "config.color"))
		case ev.Kind == client.KindNone:
			fmt.Println(ev.Key, "is gone")
			cancel()
		}
	}
	fmt.Println(errors.Is(w.Err(), context.Canceled))
	// Output:
	// config.color is blue
	// config.color is gone
	// true
}

// How do I hear of every single change, also of those that I slept through?
func ExampleClient_History() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var last string // where to go on, which a program would keep with what it made of the events
	h := c.History(ctx, "", "0-0")
	for i := range 3 {
		must(c.Do(ctx, "INCR", "n"))
		ev := <-h.Events()
		fmt.Println(i, ev.Change, ev.Key, string(ev.Value))
		last = ev.ID
	}
	cancel()

	must(c.Do(context.Background(), "INCR", "n")) // while nobody listens
	ev := <-c.History(context.Background(), "", last).Events()
	fmt.Println(ev.Change, ev.Key, string(ev.Value))
	// Output:
	// 0 incrby n 1
	// 1 incrby n 2
	// 2 incrby n 3
	// incrby n 4
}
