package replica

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// stream is the asking end of a stream to another node.
//
// Goroutines: the framer's, and receive, from start to end.
type stream struct {
	*framer
	peer    string // id of the node at the other end
	next    uint64
	pending map[uint64]*request // sent or about to be; guarded by framer.mu
}

// request is one that has no answer yet.
type request struct {
	size int
	sent bool                                      // a part of it may have left this node; guarded by framer.mu
	done func(answer []byte, sent bool, err error) // nil when nobody waits any more
}

// refusedError is a refusal in the words of the node that answered.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// newStream begins to ask over a connection whose hello was accepted. Nothing may be heard from the other end for as
// long as patience, then it counts as gone.
func newStream(conn net.Conn, peer string, patience time.Duration) *stream {
	s := &stream{framer: newFramer(conn, patience), peer: peer, pending: map[uint64]*request{}}
	s.wg.Go(s.write)
	s.wg.Go(s.receive)
	return s
}

// call sends one request and waits for the answer, until ctx or the stream ends. When err is not nil, sent says whether
// the request may have reached the other node; a refusal has the type refusedError.
func (s *stream) call(ctx context.Context, kind byte, payload []byte) (answer []byte, sent bool, err error) {
	type result struct {
		answer []byte
		sent   bool
		err    error
	}
	answered := make(chan result, 1)
	id, err := s.start(kind, payload, func(answer []byte, sent bool, err error) { answered <- result{answer, sent, err} })
	if err != nil {
		return nil, false, err
	}
	select {
	case r := <-answered:
		return r.answer, r.sent, r.err
	case <-ctx.Done():
		s.drop(id, ctx.Err())
		r := <-answered // drop's word, or an answer that was quicker
		return r.answer, r.sent, r.err
	}
}

// start sends one request. done is called once, by the goroutine that reads answers or by the one that breaks the
// stream; it must not block. It is not called when start returns an error: then nothing was sent. The payload must
// not change before done is called.
func (s *stream) start(kind byte, payload []byte, done func(answer []byte, sent bool, err error)) (id uint64, err error) {
	if len(payload) > maxFrame {
		return 0, fmt.Errorf("a request of %d bytes, at most %d are allowed", len(payload), maxFrame)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if !s.reserve(len(payload)) {
		return 0, errStreamFull
	}
	s.next++
	r := &request{size: len(payload), done: done}
	s.pending[s.next] = r
	s.push(frame{kind: kind, status: statusRequest, id: s.next, payload: payload, request: r})
	return s.next, nil
}

// receive hands answers to those who asked, and when the stream has ended tells the others.
func (s *stream) receive() {
	s.end(s.read(maxAnswer, s.heard))
	s.mu.Lock()
	left, err := s.pending, s.err
	s.pending, s.queue = nil, nil
	s.mu.Unlock()
	for _, r := range left {
		if r.done != nil {
			r.done(nil, r.sent, err)
		}
	}
}

func (s *stream) heard(fr frame) error {
	switch {
	case fr.status != statusRequest:
	case fr.kind == kindAlive:
		return nil
	default:
		return fmt.Errorf("%w: a request from the answering end", errBadFrame)
	}
	s.mu.Lock()
	r := s.pending[fr.id]
	if r == nil {
		s.mu.Unlock()
		return fmt.Errorf("%w: an answer to nothing", errBadFrame)
	}
	delete(s.pending, fr.id)
	s.release(r.size)
	s.mu.Unlock()
	switch {
	case r.done == nil: // late
	case fr.status == statusRefusal:
		r.done(nil, true, refusedError(fr.payload))
	default:
		r.done(fr.payload, true, nil)
	}
	return nil
}

// drop gives up a request. If it was sent, its answer is still to come, and it counts until then.
func (s *stream) drop(id uint64, err error) {
	s.mu.Lock()
	r := s.pending[id]
	if r == nil {
		s.mu.Unlock()
		return // the answer has come
	}
	done, sent := r.done, r.sent
	r.done = nil
	if !sent {
		delete(s.pending, id)
		s.release(r.size)
		s.queue = slices.DeleteFunc(s.queue, func(fr frame) bool { return fr.request == r })
	}
	s.mu.Unlock()
	done(nil, sent, err)
}

// waiting reports whether the stream stands and answers are still to come.
func (s *stream) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && s.requests > 0
}

// close ends the stream and waits until everybody has been told.
func (s *stream) close() {
	s.end(errStreamClosed)
	s.wg.Wait()
}
