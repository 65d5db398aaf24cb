package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/client"
)

// settings are what a program can be told while it runs.
type settings struct {
	Level   string
	Workers int
}

// follow keeps current what stands in key, until ctx ends. What is no settings is told to complain, and changes nothing.
func follow(ctx context.Context, c *client.Client, key string, current *atomic.Pointer[settings], complain func(error)) {
	for ev := range c.Watch(ctx, key).Events() {
		if ev.Kind != client.KindValue { // A gap, or there is none: go on with what we have.
			continue
		}
		var s settings
		if err := json.Unmarshal(ev.Value, &s); err != nil {
			complain(fmt.Errorf("%s, written by log entry %d: %w", key, ev.Index, err))
			continue
		}
		current.Store(&s)
	}
}

func Example_configurationReload() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	must(c.MakeDir(ctx, "config"))

	var current atomic.Pointer[settings]
	current.Store(&settings{Level: "info", Workers: 1})
	complaints := make(chan error)
	go follow(ctx, c, "config.app", &current, func(err error) { complaints <- err })

	check(c.Set(ctx, "config.app", []byte(`{"Level":"debug","Workers":8}`), 0))
	for current.Load().Workers != 8 { // A program would just look at it whenever it needs it.
		time.Sleep(time.Millisecond)
	}
	check(c.Set(ctx, "config.app", []byte(`{"Level":`), 0))
	<-complaints
	fmt.Println(*current.Load())
	// Output: {debug 8}
}
