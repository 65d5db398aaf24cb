package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dtkv/dtkv/client"
)

// archive is something outside dtkv that must not be written by two at once: a file server, a printer, a bank. All it
// has to know of locks is to refuse a token that is smaller than one it has seen.
type archive struct {
	mu       sync.Mutex
	greatest int64
	rows     []string
}

var errFenced = errors.New("a later holder of the lock has been here")

func (a *archive) write(token int64, row string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token < a.greatest {
		return errFenced
	}
	a.greatest = token
	a.rows = append(a.rows, row)
	return nil
}

// record writes one row while no other does.
func record(ctx context.Context, c *client.Client, a *archive, row string) error {
	lock := c.Lock("archive")
	ok, err := lock.TryLock(ctx, 10*time.Second, time.Minute)
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("the archive is busy")
	}
	token := lock.Token() // Once: later it would be 0, if the lease has ended.
	return errors.Join(a.write(token, row), lock.Close())
}

func Example_lockWithFencing() {
	c, done := connect()
	defer done()
	ctx := context.Background()
	a := &archive{}

	// One takes the lock, and is then stopped for longer than its lease: by its garbage collector, by its machine.
	paused := c.Lock("archive")
	must(paused.TryLock(ctx, time.Second, 0))
	token := paused.Token()

	// Another waits, and takes over.
	check(record(ctx, c, a, "second"))

	// The first one wakes up, and does not know what happened.
	fmt.Println(a.write(token, "first"))
	fmt.Println(a.rows)
	// Output:
	// a later holder of the lock has been here
	// [second]
}
