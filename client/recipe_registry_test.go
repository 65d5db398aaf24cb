package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/dtkv/dtkv/client"
)

// serve tells others where an instance of a service is, until ctx ends. When the process dies instead, the others hear
// of it when ttl is over.
func serve(ctx context.Context, c *client.Client, service, instance, addr string, ttl time.Duration) error {
	if _, err := c.MakeDir(ctx, "services."+service); err != nil {
		return err
	}
	key := "services." + service + "." + instance
	beat := time.NewTicker(ttl / 3)
	defer beat.Stop()
	for {
		// PutTemp is a heartbeat, too: it restarts the TTL, and makes the node again if it was gone.
		if err := c.PutTemp(ctx, key, []byte(addr), ttl); errors.Is(err, client.ErrRefused) {
			return err
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			_, err := c.Remove(context.WithoutCancel(ctx), key)
			return err
		}
	}
}

// instances sends the addresses of a service, by instance, now and after each change, until ctx ends.
func instances(ctx context.Context, c *client.Client, service string) <-chan map[string]string {
	dir := "services." + service
	out := make(chan map[string]string)
	go func() {
		defer close(out)
		known := map[string]string{}
		for ev := range c.Watch(ctx, dir).Events() {
			instance := strings.TrimPrefix(ev.Key, dir+".")
			switch {
			case ev.Gap, ev.Key == dir: // What is there now follows, one by one.
				clear(known)
				continue
			case ev.Kind == client.KindValue:
				known[instance] = string(ev.Value)
			case ev.Kind == client.KindNone:
				delete(known, instance)
			}
			select {
			case out <- maps.Clone(known):
			case <-ctx.Done():
			}
		}
	}()
	return out
}

func Example_serviceRegistry() {
	c, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	first, stopFirst := context.WithCancel(ctx)
	stopped := make(chan error)
	go func() { stopped <- serve(first, c, "web", "w1", "10.0.0.1:80", time.Minute) }()
	seen := instances(ctx, c, "web")
	await(seen, "map[w1:10.0.0.1:80]")

	// The second one is never heard of again: its process dies.
	check(c.PutTemp(ctx, "services.web.w2", []byte("10.0.0.2:80"), time.Second))
	await(seen, "map[w1:10.0.0.1:80 w2:10.0.0.2:80]")
	await(seen, "map[w1:10.0.0.1:80]")

	stopFirst()
	check(<-stopped)
	await(seen, "map[]")
	// Output:
	// map[w1:10.0.0.1:80]
	// map[w1:10.0.0.1:80 w2:10.0.0.2:80]
	// map[w1:10.0.0.1:80]
	// map[]
}

// await waits until what is seen is what is wanted, and prints it.
func await(seen <-chan map[string]string, want string) {
	for m := range seen {
		if fmt.Sprint(m) == want {
			fmt.Println(m)
			return
		}
	}
}
