package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dtkv/dtkv/client"
)

// How do I take a lock, and make sure that nobody writes after losing it?
func Example() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	lock := c.Lock("printer")
	defer func() { check(lock.Close()) }()
	if ok, err := lock.TryLock(ctx, 30*time.Second, 5*time.Second); err != nil || !ok {
		fmt.Println("somebody else prints", err)
		return
	}
	fmt.Println("printing with token", lock.Token(), "which the printer compares with the last one it saw")
	// Output: printing with token 1 which the printer compares with the last one it saw
}

// How do I store and read a value?
func ExampleClient_Set() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	must(c.MakeDir(ctx, "config")) // the directory must be there: a typing error makes no tree
	check(c.Set(ctx, "config.color", []byte("blue"), 0))
	check(c.Set(ctx, "config.session", []byte("for an hour"), time.Hour))

	color, err := c.Get(ctx, "config.color")
	fmt.Println(string(color), err)
	_, err = c.Get(ctx, "config.size")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// blue <nil>
	// true
}

// Did my write happen?
func ExampleClient_Set_errors() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	err := c.Set(ctx, "nowhere.color", []byte("blue"), 0)
	switch {
	case err == nil:
		fmt.Println("it is on the disks of a majority")
	case errors.Is(err, client.ErrInDoubt):
		fmt.Println("perhaps: read it back before going on")
	case errors.Is(err, client.ErrRefused):
		fmt.Println("no, and it never will:", client.Word(err))
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("no: nobody could take it; later, perhaps")
	}
	// Output: no, and it never will: NOPARENT
}

// How do I change a value without overwriting somebody else's change?
func ExampleClient_CAS() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	created := must(c.CAS(ctx, "color", nil, []byte("blue"))) // only if there is none
	fmt.Println(created)
	changed := must(c.CAS(ctx, "color", []byte("red"), []byte("green"))) // only if it is red
	fmt.Println(changed)
	removed := must(c.CAS(ctx, "color", []byte("blue"), nil)) // only if it is still blue
	fmt.Println(removed)
	// Output:
	// true
	// false
	// true
}

// How do I write much without waiting for each write?
func ExampleClient_Async() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	var written []*client.Future[struct{}]
	for i := range 1000 {
		written = append(written, c.Async().Set(ctx, fmt.Sprintf("key-%d", i), []byte("value"), 0))
	}
	for _, f := range written {
		_, err := f.Wait(ctx)
		check(err)
	}
	fmt.Println(must(c.Do(ctx, "DBSIZE")).Int())
	// Output: 1000
}

// How do I write several keys at one moment?
func ExampleClient_BatchPut() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	results := must(c.BatchPut(ctx,
		client.Pair{Key: "a", Value: []byte("1")},
		client.Pair{Key: "missing.b", Value: []byte("2")}, // refused, and only this one
		client.Pair{Key: "c", Value: []byte("3")},
	))
	for _, r := range results {
		fmt.Printf("%v %q\n", r.Done, client.Word(r.Err))
	}
	values := must(c.BatchGet(ctx, "a", "b", "c"))
	fmt.Printf("%s %v %s\n", values[0], values[1] == nil, values[2])
	// Output:
	// true ""
	// false "NOPARENT"
	// true ""
	// 1 true 3
}

// How do others see that I am alive?
func ExampleClient_PutTemp() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	must(c.MakeDir(ctx, "workers"))
	check(c.PutTemp(ctx, "workers.w1", []byte("10.0.0.7"), 30*time.Second)) // gone 30 s after I am
	alive := must(c.UpdateTTL(ctx, "workers.w1", 30*time.Second))           // again and again, every 10 s or so
	fmt.Println(alive)
	for _, w := range must(c.List(ctx, "workers", client.ListOptions{})) {
		fmt.Println(w.Name, string(w.Value), w.TTL > 25*time.Second)
	}
	must(c.Remove(ctx, "workers.w1")) // a clean end need not wait for the TTL
	// Output:
	// true
	// w1 10.0.0.7 true
}

// What is in this directory, and where did it come from?
func ExampleClient_List() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	must(c.MakeDir(ctx, "shop.fruit"))
	for _, name := range []string{"pear", "apple", "plum"} {
		check(c.Set(ctx, "shop.fruit."+name, []byte("fresh"), 0))
	}
	page := client.ListOptions{Limit: 2}
	for nodes := must(c.List(ctx, "shop.fruit", page)); len(nodes) > 0; nodes = must(c.List(ctx, "shop.fruit", page)) {
		for _, n := range nodes {
			fmt.Println(n.Name, n.Kind)
		}
		page.After = nodes[len(nodes)-1].Name
	}
	dir := must(c.Stat(ctx, "shop.fruit"))
	fmt.Println(dir.Kind, dir.Children)
	fmt.Println(must(c.RemoveDir(ctx, "shop")), "nodes removed")
	// Output:
	// apple value
	// pear value
	// plum value
	// dir 3
	// 5 nodes removed
}

// How do I run a command that this package has no method for?
func ExampleClient_Do() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	must(c.Do(ctx, "INCRBY", "visits", "41"))
	fmt.Println(must(c.Do(ctx, "INCR", "visits")).Int()) // never run twice, see the package comment
	_, err := c.Do(ctx, "LPUSH", "list", "x")
	fmt.Println(errors.Is(err, client.ErrRefused))
	// Output:
	// 42
	// true
}

// What if the holder of a lock dies?
func ExampleLock() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	dies := c.Lock("job") // in another process
	must(dies.TryLock(ctx, time.Second, 0))

	heir := c.Lock("job")
	fmt.Println(must(heir.TryLock(ctx, time.Minute, 0)))              // it is held
	fmt.Println(must(heir.TryLock(ctx, time.Minute, 30*time.Second))) // until its lease ends
	fmt.Println(heir.Token() == 2, dies.IsHeld())
	check(heir.Unlock(ctx))
	// Output:
	// false
	// true
	// true false
}

// How do I hold a lock for as long as my work takes?
func ExampleLock_UpdateLease() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	lock := c.Lock("job")
	must(lock.TryLock(ctx, 10*time.Second, 0))
	for step := range 3 {
		check(lock.UpdateLease(ctx, 10*time.Second)) // ErrLost: stop here
		fmt.Println("step", step, "with time to spare:", lock.Remaining() > 9*time.Second)
	}
	check(lock.Unlock(ctx))
	// Output:
	// step 0 with time to spare: true
	// step 1 with time to spare: true
	// step 2 with time to spare: true
}

// How do I hold a lock for ever, and hear of it when I do not?
func ExampleClient_AutoRenewLock() {
	c, done := connect()
	defer done()

	lock := must(c.AutoRenewLock("scheduler", 10*time.Second, client.Listener{
		OnAcquired: func(ctx context.Context, token int64) {
			fmt.Println("scheduling with token", token)
			<-ctx.Done() // until the lock is lost, or closed
		},
		OnLost:  func() { fmt.Println("not scheduling any more") },
		OnError: func(err error) { fmt.Println("cannot take it:", err) },
	}))
	for !lock.IsHeld() {
		time.Sleep(time.Millisecond)
	}
	lock.Close()
	<-lock.Done()
	// Output:
	// scheduling with token 1
	// not scheduling any more
}

// How do many workers wait for one lock?
func ExampleLock_TryLock() {
	c, done := connect()
	defer done()
	ctx := context.Background()

	var mu sync.Mutex // of the counter's memory; the lock of the cluster keeps its meaning
	counter := 0
	var workers sync.WaitGroup
	for range 10 {
		workers.Go(func() {
			lock := c.Lock("counter") // each its own
			if must(lock.TryLock(ctx, time.Minute, time.Minute)) {
				mu.Lock()
				counter++
				mu.Unlock()
				check(lock.Unlock(ctx))
			}
		})
	}
	workers.Wait()
	fmt.Println(counter)
	// Output: 10
}
