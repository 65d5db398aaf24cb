// Package client is the Go client of dtkv: keys and values, temporary nodes, locks, elections and watches, over the
// go-redis client that a program has anyway.
//
//	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
//	c, err := client.New(rdb, client.Options{})
//
// # What an error says
//
// An error of a write is either [ErrInDoubt], and then the write may have happened or may still happen, or
// [ErrNotApplied], and then it did not and will not. What was not applied is either [ErrRefused], and would be refused
// again, or [ErrUnavailable], and may be repeated. An error of a read is never in doubt. [Word] is the server's own word
// for a refusal. The texts are for people.
//
//	switch err := c.Set(ctx, key, value, 0); {
//	case err == nil: // on the disks of a majority
//	case errors.Is(err, client.ErrInDoubt): // read back, then decide
//	case errors.Is(err, client.ErrRefused): // mend the command
//	default: // client.ErrUnavailable: later, perhaps
//	}
//
// This is what becomes of the errors that go-redis returns:
//
//	what go-redis returns                            a write                 a read
//	-ERR .., -WRONGTYPE .., and the other refusals   ErrRefused              ErrRefused
//	-CLUSTERDOWN, -TRYAGAIN, -LOADING, -READONLY,
//	-MASTERDOWN, -NOREPLICAS, -MOVED, -ASK,
//	-ERR max number of clients reached               ErrUnavailable          ErrUnavailable
//	-INDOUBT, and a word that is not known           ErrInDoubt              ErrUnavailable
//	no connection could be made (dial, DNS,
//	certificate), or the pool has none to spare      ErrUnavailable          ErrUnavailable
//	redis.ErrClosed                                  ErrRefused              ErrRefused
//	EOF, reset, closed socket, timeouts of reading
//	and writing, replies that cannot be read,
//	errors of hooks and limiters                     ErrInDoubt              ErrUnavailable
//	redis.Nil                                        no error                no error, or ErrNotFound
//	the caller's ctx ended                           ErrInDoubt if it was    ErrUnavailable
//	                                                 sent, ErrUnavailable
//	                                                 if it was not
//
// The line of the broken connections errs on the safe side: a connection may break while it is being set up, before the
// command was written, and go-redis does not say which it was.
//
// # What is repeated
//
// go-redis repeats a command by itself, three times unless told otherwise, also when the connection broke after the
// command was sent. That would run an INCR twice. So every command of this package forbids it, whatever MaxRetries the
// caller's client has. Calls that wait for their result repeat what is [ErrUnavailable], and reads, for
// [Options.RetryFor]. Commands that may be repeated without harm, those of locks, are repeated in doubt, too.
//
// # Pipelining
//
// Commands of all goroutines travel together: while one pipeline is on its way, the next one gathers. [Client.Async] has
// the same methods without the waiting. Commands that one goroutine hands over one after the other are run in this order.
//
// # Leases
//
// A lock and a leadership end, for the client, before they end for the server: the client counts from before it sent the
// request, and takes 1 % off for clocks that run apart. This bounds honest clocks. It cannot bound a process that was
// stopped between looking at the clock and writing: what a lock protects outside dtkv needs the fencing token
// ([Lock.Token]), and must refuse smaller ones than it has seen.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options say how a [Client] behaves. The zero value is good for most programs.
type Options struct {
	// RetryFor bounds how long a call goes on repeating what was [ErrUnavailable]. 0: 5 seconds. Negative: it is sent once.
	RetryFor time.Duration
	// MaxPending and MaxPendingBytes bound the commands, and the bytes of their arguments, that wait or are on their way.
	// Beyond, a call waits for room. 0: 10 000 and 32 MiB. One command alone may be larger.
	MaxPending, MaxPendingBytes int
	// MaxWaits bounds the connections for commands that wait at the server: one for each TryLock that waits, two for a
	// moment now and then, and one for each history. 0: 128. Beyond, they are [ErrUnavailable].
	MaxWaits int
	// Owner is the secret that makes temporary nodes this client's own. A program that gives the same one after a restart
	// goes on with its nodes. Empty: 128 random bits. Locks do not use it: each acquisition has an identity of its own.
	// Hooks of the go-redis client see both among the arguments of commands: a tracer should not write those down.
	Owner string
}

// Client is a dtkv client. Its methods may be called by many goroutines at once.
//
// Goroutines: one that sends pipelines while there is something to send, one for each waiting command, one for each
// watch, two for each AutoRenewLock, one for each leadership. All end with [Client.Close].
type Client struct {
	rdb    redis.UniversalClient // the caller's; it outlives us
	parked redis.UniversalClient // ours: the caller's options, but patient; for commands that wait at the server
	db     int
	owner  string
	o      Options
	batch  *batcher

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // a leaf
	closed bool
	locks  map[*Lock]struct{} // the caller's, as far as they may have something at the server
}

// New returns a client over rdb, which stays the caller's, to configure and to close. rdb must be a *redis.Client, also
// one of NewFailoverClient, or a *redis.ClusterClient. Any MaxRetries will do, see the package comment. Commands that
// wait at the server use connections of their own, made with rdb's options but without its hooks.
func New(rdb redis.UniversalClient, o Options) (*Client, error) {
	if o.RetryFor == 0 {
		o.RetryFor = 5 * time.Second
	}
	if o.MaxPending == 0 {
		o.MaxPending = 10_000
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = 32 << 20
	}
	if o.MaxWaits == 0 {
		o.MaxWaits = 128
	}
	if o.MaxPending < 1 || o.MaxPendingBytes < 1 || o.MaxWaits < 1 {
		return nil, refuse("New", "a bound is negative")
	}
	if o.Owner == "" {
		o.Owner = rand.Text()
	}
	parked, db, err := patient(rdb, o.MaxWaits)
	if err != nil {
		return nil, err
	}
	c := &Client{rdb: rdb, parked: parked, db: db, owner: o.Owner, o: o, locks: map[*Lock]struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.batch = newBatcher(o.MaxPending, o.MaxPendingBytes, c.pipeline)
	return c, nil
}

const (
	// parkFor is the longest that a command waits at the server. Waits that are longer are renewed at refreshAfter.
	parkFor      = 45 * time.Second
	refreshAfter = 20 * time.Second
	// patience is when a connection that waits is given up.
	patience = 60 * time.Second
)

// patient is a client like rdb whose replies may take their time.
func patient(rdb redis.UniversalClient, conns int) (parked redis.UniversalClient, db int, err error) {
	switch rdb := rdb.(type) {
	case *redis.Client:
		o := *rdb.Options()
		o.MaxRetries, o.ReadTimeout, o.PoolTimeout = -1, patience, time.Second
		o.PoolSize, o.MaxActiveConns, o.MinIdleConns, o.PipelinePoolSize = conns, conns, 0, -1
		o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
		return redis.NewClient(&o), o.DB, nil
	case *redis.ClusterClient:
		o := *rdb.Options()
		o.MaxRetries, o.ReadTimeout, o.PoolTimeout = -1, patience, time.Second
		o.PoolSize, o.MaxActiveConns, o.MinIdleConns, o.PipelinePoolSize = conns, conns, 0, -1
		return redis.NewClusterClient(&o), 0, nil
	case *redis.Ring:
		return nil, 0, refuse("New", "a Ring spreads keys over servers that know nothing of each other")
	default:
		return nil, 0, refuse("New", fmt.Sprintf("cannot make waiting connections like those of a %T; give the *redis.Client inside", rdb))
	}
}

// Close gives up what the client's locks hold, ends its watches and commands, and waits for its goroutines, which takes as
// long as the read timeout of the go-redis client when the server is silent. Temporary nodes end with their TTL. The
// go-redis client stays open. Futures that were not sent end with [ErrRefused].
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	locks := make([]*Lock, 0, len(c.locks))
	for l := range c.locks {
		locks = append(locks, l)
	}
	c.mu.Unlock()
	c.cancel() // Watches end. Who renews a lock by himself tells his listener, and then gives it up.
	errs := make([]error, len(locks)+1)
	var all sync.WaitGroup
	for i, l := range locks {
		all.Go(func() { errs[i] = l.Close() })
	}
	all.Wait()
	errs[len(locks)] = c.parked.Close()
	c.wg.Wait()
	c.batch.close()
	return errors.Join(errs...)
}

// spawn runs f on a goroutine that Close waits for. It reports false, and runs nothing, when the client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// milliseconds of a duration, as the wire has them: at least 1 for anything above 0.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
