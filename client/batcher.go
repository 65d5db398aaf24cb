package client

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// once is a command that go-redis sends at most once, whatever its MaxRetries.
type once struct{ *redis.Cmd }

// NoRetry is asked by go-redis before it repeats a command.
func (once) NoRetry() bool { return true }

// request is one command on its way.
type request struct {
	op    string
	write bool
	cmd   once
	size  int

	done  chan struct{} // closed once reply and err are there
	reply any
	err   error
	sent  bool // guarded by the batcher until done
}

func newRequest(op string, write bool, args []any) *request {
	r := &request{op: op, write: write, done: make(chan struct{})}
	r.cmd = once{redis.NewCmd(context.Background(), args...)}
	for _, a := range args {
		switch a := a.(type) {
		case string:
			r.size += len(a)
		case []byte:
			r.size += len(a)
		}
		r.size += 16
	}
	return r
}

// settle takes the outcome from the command, after it ran.
func (r *request) settle() {
	reply, err := r.cmd.Result()
	switch {
	case err == redis.Nil:
	case err != nil:
		r.err = classify(r.op, r.write, err)
	default:
		r.reply = reply
	}
	close(r.done)
}

const (
	batchCommands = 1000    // the most commands in one pipeline
	batchBytes    = 1 << 20 // and about the most bytes
)

// batcher gathers commands while a pipeline is on its way, and sends them together as the next. One pipeline at a time
// keeps the order, and lets batches grow exactly when the server or the network is slow.
type batcher struct {
	run      func([]*request) // runs them as one pipeline and settles each
	commands int              // the bounds
	bytes    int

	mu      sync.Mutex
	queue   []*request
	count   int // waiting and on their way
	size    int
	running bool
	closed  bool
	room    chan struct{} // closed when there may be room again; nil: nobody waits
	idle    sync.WaitGroup
}

func newBatcher(commands, bytes int, run func([]*request)) *batcher {
	return &batcher{run: run, commands: commands, bytes: bytes}
}

// submit hands a request over. At the bound it waits for room, or for the end of ctx.
func (b *batcher) submit(ctx context.Context, r *request) error {
	for {
		b.mu.Lock()
		switch {
		case b.closed:
			b.mu.Unlock()
			return &failure{r.op, ErrRefused, ErrClosed}
		case b.count < b.commands && b.size+r.size <= b.bytes || b.count == 0:
			b.count++
			b.size += r.size
			b.queue = append(b.queue, r)
			if !b.running {
				b.running = true
				b.idle.Go(b.loop)
			}
			b.mu.Unlock()
			return nil
		}
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return gaveUp(ctx, r.op, false)
		}
	}
}

// loop sends until nothing waits.
func (b *batcher) loop() {
	for {
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		b.run(batch)
		b.release(batch)
	}
}

// take is the next pipeline: empty, and the loop counts as ended, when nothing waits.
func (b *batcher) take() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.queue) && n < batchCommands && (n == 0 || size+b.queue[n].size <= batchBytes) {
		size += b.queue[n].size
		b.queue[n].sent = true
		n++
	}
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	if len(b.queue) == 0 {
		b.queue = nil // lets go of what was sent
	}
	b.running = n > 0
	return batch
}

func (b *batcher) release(batch []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count -= len(batch)
	for _, r := range batch {
		b.size -= r.size
	}
	b.wake()
}

func (b *batcher) wake() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// withdraw takes a request back, and reports whether it was in time. Then it has ended with the cause.
func (b *batcher) withdraw(r *request, cause error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.sent {
		return false
	}
	for i, q := range b.queue {
		if q == r {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			b.drop(r, &failure{r.op, ErrUnavailable, cause})
			b.wake()
			return true
		}
	}
	return false
}

// drop ends a request that was never sent.
func (b *batcher) drop(r *request, err error) {
	b.count--
	b.size -= r.size
	r.err = err
	close(r.done)
}

// close drops what was not sent, and waits for what was.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	for _, r := range b.queue {
		b.drop(r, &failure{r.op, ErrRefused, ErrClosed})
	}
	b.queue = nil
	b.wake()
	b.mu.Unlock()
	b.idle.Wait()
}

// pipeline runs a batch on the caller's go-redis client. Its timeouts bound it: a context would be everybody's.
func (c *Client) pipeline(batch []*request) {
	ctx := context.Background()
	pipe := c.rdb.Pipeline()
	for _, r := range batch {
		_ = pipe.Process(ctx, r.cmd) // Only gathers.
	}
	_, _ = pipe.Exec(ctx) // Each command carries its own outcome.
	for _, r := range batch {
		r.settle()
	}
}
