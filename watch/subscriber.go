package watch

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

// Errors of subscribing.
var (
	ErrLongPattern = errors.New("pattern is longer than 1024 bytes")
	ErrTooMany     = errors.New("too many subscriptions on this connection")
)

// maxNames is how many bytes the names and parsed patterns of one subscriber may take, each with a fixed
// overhead: about 50 000 channels.
const maxNames = 16 << 20

// SubscriberOptions says how a subscriber is reached.
type SubscriberOptions struct {
	// Wake is called when there is something to take and all had been taken before, and when Err begins to be an error. It
	// runs on any goroutine, must not block, and must not call the subscriber. It may still be called after Leave.
	Wake func()
}

// Subscriber is one connection's subscriptions and what waits to be written to it. Take is for one goroutine; the other
// methods may run on many.
type Subscriber struct {
	h    *Hub
	wake func()

	subs  [kinds]map[string]*subscription // guarded by h.mu
	names int                             // bytes of their names; guarded by h.mu
	left  bool                            // guarded by h.mu

	mu sync.Mutex // may be taken while h.mu is held; h.asks.mu may be taken while it is held
	queue
}

// Join adds a subscriber, who is subscribed to nothing. Leave must be called in the end.
func (h *Hub) Join(o SubscriberOptions) *Subscriber {
	s := &Subscriber{h: h, wake: o.Wake}
	if s.wake == nil {
		s.wake = func() {}
	}
	for k := range s.subs {
		s.subs[k] = make(map[string]*subscription)
	}
	h.stats.subscribers.Add(1)
	return s
}

// Subscribe subscribes to a channel and returns how many channels and patterns there are now, which is what SUBSCRIBE
// replies. For a watch channel the current state is read and comes as the first message. To be subscribed already
// changes nothing. Errors: ErrTooMany.
func (s *Subscriber) Subscribe(channel string) (int, error) {
	return s.h.subscribe(s, Channel, channel)
}

// PSubscribe does so for a pattern. One that begins with "__watch@<group>__:" gets the current state of the nodes it
// fits first, and then one message for each changed node that it fits; no other pattern is shown watch channels.
// Errors: ErrTooMany, ErrLongPattern.
func (s *Subscriber) PSubscribe(pattern string) (int, error) {
	if len(pattern) > MaxPattern {
		return s.Count(Pattern), ErrLongPattern
	}
	return s.h.subscribe(s, Pattern, pattern)
}

// SSubscribe does so for a shard channel, which is a channel in a space of names of its own, and returns how many of
// these there are now. Errors: ErrTooMany.
func (s *Subscriber) SSubscribe(channel string) (int, error) { return s.h.subscribe(s, Shard, channel) }

// Unsubscribe ends one subscription, and returns what Subscribe would. What waits of it is dropped: to send it
// still, take it before.
func (s *Subscriber) Unsubscribe(channel string) int { return s.h.unsubscribe(s, Channel, channel) }

// PUnsubscribe does so for a pattern.
func (s *Subscriber) PUnsubscribe(pattern string) int { return s.h.unsubscribe(s, Pattern, pattern) }

// SUnsubscribe does so for a shard channel.
func (s *Subscriber) SUnsubscribe(channel string) int { return s.h.unsubscribe(s, Shard, channel) }

// Names returns the channels, patterns or shard channels subscribed to, in order.
func (s *Subscriber) Names(k Kind) []string {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.subs[k]))
}

// Len returns how many channels, patterns or shard channels there are.
func (s *Subscriber) Len(k Kind) int {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	return len(s.subs[k])
}

// Count returns what a reply to a command for that kind says: shard channels, else channels and patterns together.
func (s *Subscriber) Count(k Kind) int {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	return s.total(k)
}

func (s *Subscriber) total(k Kind) int {
	if k == Shard {
		return len(s.subs[Shard])
	}
	return len(s.subs[Channel]) + len(s.subs[Pattern])
}

// Waiting returns how many bytes wait to be taken.
func (s *Subscriber) Waiting() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Err returns why the subscriber gets nothing any more: ErrTooSlow, ErrMissed, or nil as long as it does.
func (s *Subscriber) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Leave ends all subscriptions. The subscriber cannot be used afterwards; a second Leave does nothing.
func (s *Subscriber) Leave() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	for k := range s.subs {
		for _, b := range s.subs[k] {
			s.h.drop(b)
		}
		s.subs[k] = nil
	}
	s.h.stats.subscribers.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(nil)
}
