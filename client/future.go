package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Future is the result of a command that may still be on its way.
type Future[T any] struct {
	r     *request
	b     *batcher
	parse func(op string, reply any) (T, error)
}

// Done is closed once Wait has the result at hand.
func (f *Future[T]) Done() <-chan struct{} { return f.r.done }

// Wait waits for the result. When ctx ends first, it says that the write is in doubt: it goes on, and Wait may be called
// again.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-f.r.done:
		return f.result()
	default:
	}
	select {
	case <-f.r.done:
		return f.result()
	case <-ctx.Done():
		var none T
		return none, gaveUp(ctx, f.r.op, f.r.write)
	}
}

func (f *Future[T]) result() (T, error) {
	if f.r.err != nil {
		var none T
		return none, f.r.err
	}
	v, err := f.parse(f.r.op, f.r.reply)
	if err != nil && !f.r.write {
		var u *failure
		if errors.As(err, &u) && u.verdict == ErrInDoubt {
			err = &failure{u.op, ErrUnavailable, u.cause}
		}
	}
	return v, err
}

// start hands a command over to the batcher.
func start[T any](ctx context.Context, c *Client, op string, write bool, parse func(string, any) (T, error), args ...any) *Future[T] {
	f := &Future[T]{r: newRequest(op, write, args), b: c.batch, parse: parse}
	err := ctx.Err()
	if err != nil {
		err = gaveUp(ctx, op, false)
	} else {
		err = c.batch.submit(ctx, f.r)
	}
	if err != nil {
		f.r.err = err
		close(f.r.done)
	}
	return f
}

// wait starts a command and waits for its result. What surely was not run is repeated for a while. When ctx ends, a
// command that was not sent yet is withdrawn.
func wait[T any](ctx context.Context, c *Client, begin func() *Future[T]) (T, error) {
	return waitWhile(ctx, c, begin, func(err error) bool { return errors.Is(err, ErrUnavailable) })
}

// insist is wait for a command that does no harm when it is run twice.
func insist[T any](ctx context.Context, c *Client, begin func() *Future[T]) (T, error) {
	return waitWhile(ctx, c, begin, func(err error) bool { return !errors.Is(err, ErrRefused) })
}

func waitWhile[T any](ctx context.Context, c *Client, begin func() *Future[T], again func(error) bool) (T, error) {
	pause := backoff{most: 500 * time.Millisecond}
	for end := time.Now().Add(c.o.RetryFor); ; {
		f := begin()
		select {
		case <-f.r.done:
		case <-ctx.Done():
			if !f.b.withdraw(f.r, context.Cause(ctx)) {
				return f.Wait(ctx)
			}
		}
		v, err := f.result()
		if err == nil || !again(err) || !time.Now().Before(end) || !pause.sleep(ctx) {
			return v, err
		}
	}
}

// backoff is a pause that doubles, from 10 ms up to most, with a random half.
type backoff struct {
	next, most time.Duration
}

// sleep pauses, and reports false at once or early when ctx ends.
func (b *backoff) sleep(ctx context.Context) bool {
	b.next = min(max(2*b.next, 10*time.Millisecond), b.most)
	t := time.NewTimer(b.next/2 + rand.N(b.next/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
