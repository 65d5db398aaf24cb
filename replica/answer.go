package replica

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// answerer is the answering end of the streams of one group and use.
//
// Goroutines: two for each stream, and one for each request of a kind given to handle. mu is a leaf.
type answerer struct {
	admit    func(hello) error // tells whether a node may ask, and why not; asked again while its stream stands
	patience time.Duration
	ended    func(*session) // called when a stream has ended and nothing more comes from it; may be nil
	kinds    map[byte]func(s *session, payload []byte, answer func([]byte, error))

	mu       sync.Mutex
	sessions map[string]*session // by node
	closed   bool
	wg       sync.WaitGroup
}

// session is one stream at its answering end.
type session struct {
	*framer
	hello  hello
	ctx    context.Context // ends with the stream
	cancel context.CancelFunc
	gone   chan struct{} // closed when nothing more comes from it
	guest  guest         // what it wants to have proposed; see proposals
}

func newAnswerer(patience time.Duration, admit func(hello) error) *answerer {
	return &answerer{
		admit: admit, patience: patience, sessions: map[string]*session{},
		kinds: map[byte]func(*session, []byte, func([]byte, error)){},
	}
}

// handle sets what answers requests of a kind. It runs on a goroutine of its own; requests that came one after the other
// may be answered side by side. The context ends with the stream. An error goes back as its text. All kinds must be set
// before the first stream is accepted.
func (a *answerer) handle(kind byte, fn func(ctx context.Context, payload []byte) ([]byte, error)) {
	a.handleInOrder(kind, func(s *session, payload []byte, answer func([]byte, error)) {
		a.wg.Go(func() { answer(fn(s.ctx, payload)) })
	})
}

// handleInOrder sets what takes requests of a kind in the order in which they come. It must not block; answer may be
// called later, once, from anywhere, also with a lock held.
func (a *answerer) handleInOrder(kind byte, fn func(s *session, payload []byte, answer func([]byte, error))) {
	a.kinds[kind] = fn
}

// accept serves a stream whose hello was admitted. An older stream of the same node ends first, and what it asked for and
// was not taken up yet goes with it.
func (a *answerer) accept(conn net.Conn, h hello) {
	s := &session{framer: newFramer(conn, a.patience), hello: h, gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		s.end(errStreamClosed)
		s.cancel()
		return
	}
	older := a.sessions[h.From]
	a.sessions[h.From] = s
	a.wg.Go(func() { a.serve(s, older) })
	a.mu.Unlock()
}

func (a *answerer) serve(s, older *session) {
	defer s.cancel()
	if older != nil {
		older.end(fmt.Errorf("%w: node %s has opened a new one", errStreamClosed, s.hello.From))
		<-older.gone
	}
	s.wg.Go(s.write)
	s.end(s.read(maxFrame, func(fr frame) error { return a.take(s, fr) }))
	s.wg.Wait()
	if a.ended != nil {
		a.ended(s)
	}
	close(s.gone)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions[s.hello.From] == s {
		delete(a.sessions, s.hello.From)
	}
}

// take begins one request.
func (a *answerer) take(s *session, fr frame) error {
	if fr.status != statusRequest {
		return fmt.Errorf("%w: an answer from the asking end", errBadFrame)
	}
	if fr.kind == kindAlive {
		return a.admit(s.hello)
	}
	size := len(fr.payload)
	s.mu.Lock()
	ok := s.reserve(size)
	s.mu.Unlock()
	if !ok {
		return errStreamFull
	}
	answer := func(payload []byte, err error) { s.answer(fr.kind, fr.id, size, payload, err) }
	if take, ok := a.kinds[fr.kind]; ok {
		take(s, fr.payload, answer)
	} else {
		answer(nil, fmt.Errorf("unknown request %d", fr.kind))
	}
	return nil
}

// answer queues an answer, or the text of err.
func (s *session) answer(kind byte, id uint64, weight int, payload []byte, err error) {
	status := byte(statusAnswer)
	if err == nil && len(payload) > maxAnswer {
		err = fmt.Errorf("the answer has %d bytes, at most %d are allowed", len(payload), maxAnswer)
	}
	if err != nil {
		text := err.Error()
		status, payload = statusRefusal, []byte(text[:min(len(text), maxAnswer)])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.push(frame{kind: kind, status: status, id: id, payload: payload, weight: weight})
	}
}

// desertedPoll is how often deserted looks.
const desertedPoll = 2 * time.Millisecond

// deserted waits until all streams have been closed by those who opened them, or ctx ends.
func (a *answerer) deserted(ctx context.Context) {
	tick := time.NewTicker(desertedPoll)
	defer tick.Stop()
	for {
		a.mu.Lock()
		left := len(a.sessions)
		a.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// close ends all streams and waits for what they started.
func (a *answerer) close() {
	a.mu.Lock()
	a.closed = true
	sessions := slices.Collect(maps.Values(a.sessions))
	a.mu.Unlock()
	for _, s := range sessions {
		s.end(errStreamClosed)
	}
	a.wg.Wait()
}
