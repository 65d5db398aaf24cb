package watch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dtkv/dtkv/fsm"
)

// Options are the limits of a hub and its way to the state. Zero values mean the defaults.
type Options struct {
	// State runs fn on a state of that group that holds every write acknowledged before the call, and at least
	// every entry that Applied has been told of. fn takes some milliseconds at most and keeps nothing of the view. State
	// returns when ctx ends. It returns ErrNoGroup for a group that this node does not have; after other errors it is
	// called again a little later, for as long as somebody wants to know. If it is nil, no group has states.
	State func(ctx context.Context, group int, fn func(fsm.View)) error

	RingEvents int   // how many events each group's ring holds, 200 000 by default
	RingBytes  int64 // of keys, values and 128 bytes for each event; 64 MiB by default. The newest event always fits.
	Output     int64 // bytes that may wait for one subscriber, 32 MiB by default; SetOutput changes it
}

const (
	defaultRingEvents = 200_000
	defaultRingBytes  = 64 << 20
	defaultOutput     = 32 << 20
)

// Hub takes the events of all groups of a node and brings them to those who asked for them.
//
// Goroutines, which Close ends:
//
//	dispatch  one, from New on: takes records from the rings, alone calls those who wait or are parked.
//	readers   at most maxReaders, each as long as there are states to be read.
//
// Locks, each taken in this order: mu, Subscriber.mu, asks.mu. group.mu and ring.mu are leaves. None is held
// while State, a wake or the function of a parked lock runs. Applied takes ring.mu only.
type Hub struct {
	o      Options
	output atomic.Int64
	notify atomic.Uint32

	groups  sync.Map      // int to *group; what is in it stays
	hearing atomic.Int64  // topics, waits and parked locks that events may concern
	signal  chan struct{} // of one place: there is something to dispatch

	mu       sync.RWMutex
	channels [kinds]map[string]*topic // by name
	plain    trie                     // patterns
	watched  trie                     // those of them that watch

	asks  asks
	stats counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// group is what the hub knows of one group.
type group struct {
	id   int
	ring ring

	// Guarded by the hub's mu.
	keyspace map[string]*topic // by key
	keyevent map[string]*topic // by name of the event
	watch    map[string]*topic // by key
	patterns map[*topic]struct{}

	asked   []*subscription // see asks; guarded by asks.mu
	queued  bool            // the same
	unknown bool            // the same: State said ErrNoGroup, and nothing was heard of the group since

	mu     sync.Mutex
	waits  map[string]map[*wait]struct{} // by path
	parked map[place]map[*parked]struct{}
}

// New returns a hub at work.
func New(o Options) *Hub {
	if o.RingEvents <= 0 {
		o.RingEvents = defaultRingEvents
	}
	if o.RingBytes <= 0 {
		o.RingBytes = defaultRingBytes
	}
	if o.State == nil {
		o.State = func(context.Context, int, func(fsm.View)) error { return ErrNoGroup }
	}
	h := &Hub{o: o, signal: make(chan struct{}, 1)}
	h.SetOutput(o.Output)
	h.SetNotify(DefaultNotify)
	for k := range h.channels {
		h.channels[k] = make(map[string]*topic)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.done.Add(1)
	go h.dispatch()
	return h
}

// Close ends the hub's goroutines. Those who wait are woken and parked locks hear Unknown; subscribers hear nothing more.
func (h *Hub) Close() {
	h.cancel()
	h.asks.close()
	h.done.Wait()
	h.eachGroup(func(g *group) { g.wakeAll(Unknown) })
}

// SetOutput sets how many bytes may wait for one subscriber; 0 or less means the default.
func (h *Hub) SetOutput(bytes int64) {
	if bytes <= 0 {
		bytes = defaultOutput
	}
	h.output.Store(bytes)
}

// SetNotify says which keyspace notifications are published from now on. A new hub publishes DefaultNotify.
func (h *Hub) SetNotify(n Notify) { h.notify.Store(uint32(n)) }

// Notify returns what SetNotify set.
func (h *Hub) Notify() Notify { return Notify(h.notify.Load()) }

// group returns the group of that number and makes it if need be.
func (h *Hub) group(id int) *group {
	if g, ok := h.groups.Load(id); ok {
		return g.(*group)
	}
	g, _ := h.groups.LoadOrStore(id, &group{
		id:       id,
		ring:     ring{maxEvents: h.o.RingEvents, maxBytes: h.o.RingBytes},
		keyspace: make(map[string]*topic),
		keyevent: make(map[string]*topic),
		watch:    make(map[string]*topic),
		patterns: make(map[*topic]struct{}),
		waits:    make(map[string]map[*wait]struct{}),
		parked:   make(map[place]map[*parked]struct{}),
	})
	return g.(*group)
}

func (h *Hub) eachGroup(fn func(*group)) {
	h.groups.Range(func(_, g any) bool {
		fn(g.(*group))
		return true
	})
}

// Applied takes the events of one applied entry. Calls for one group come in the order of its log. It costs what
// the events cost to copy, whoever listens: it waits for no subscriber and no reader.
func (h *Hub) Applied(group int, index uint64, events []fsm.Event) {
	if len(events) == 0 {
		return
	}
	if h.group(group).ring.append(index, events, &h.hearing) {
		h.poke()
	}
}

// Restored says that a snapshot has replaced the group's state, which is now that of index. Streams begin anew after it,
// watchers get the current state again, subscribers of keyspace notifications end with ErrMissed, and parked locks
// hear Unknown.
func (h *Hub) Restored(group int, index uint64, _ fsm.View) {
	h.group(group).ring.restart(index)
	h.poke()
}

// Removed says that this node does not have the group any more. What was remembered of it is forgotten: a group of that
// number that comes later has a log of its own. Subscribers who asked for events of this group end with ErrRemoved, parked locks
// hear Unknown, streams that wait are woken. Call it after the last Applied of the one and before the first of the other.
func (h *Hub) Removed(id int) {
	if g, ok := h.groups.Load(id); ok {
		g.(*group).ring.forget()
		h.poke()
	}
}

// Opened says that State knows the group from now on: those who watch there have waited for it.
func (h *Hub) Opened(id int) {
	if g, ok := h.groups.Load(id); ok {
		h.revive(g.(*group))
	}
}

func (h *Hub) poke() {
	select {
	case h.signal <- struct{}{}:
	default: // it is awake, and will see this too
	}
}

// subscribe adds s to a topic, which it makes if need be.
func (h *Hub) subscribe(s *Subscriber, k Kind, name string) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, have := s.subs[k][name]; have || s.left {
		return s.total(k), nil
	}
	t := h.channels[k][name]
	if t == nil {
		t = h.newTopic(k, name)
	}
	if s.names+t.size() > maxNames {
		return s.total(k), ErrTooMany
	}
	if len(t.subs) == 0 {
		h.add(t)
	}
	b := &subscription{s: s, t: t}
	t.add(b)
	s.subs[k][name] = b
	s.names += t.size()
	if t.from == fromWatch {
		h.ask([]*subscription{b})
	}
	return s.total(k), nil
}

func (h *Hub) unsubscribe(s *Subscriber, k Kind, name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := s.subs[k][name]; b != nil {
		delete(s.subs[k], name)
		s.names -= b.t.size()
		h.drop(b)
	}
	return s.total(k)
}

// drop ends a subscription.
func (h *Hub) drop(b *subscription) {
	b.t.drop(b)
	if len(b.t.subs) == 0 {
		h.remove(b.t)
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.gone = true
	b.s.unknow(b)
}

// add puts a topic into the indexes.
func (h *Hub) add(t *topic) {
	h.channels[t.kind][t.name] = t
	if t.hears() {
		h.hearing.Add(1)
	}
	switch {
	case t.kind == Pattern && t.from == fromWatch:
		h.watched.insert(t.prefix, t)
		t.group.patterns[t] = struct{}{}
	case t.kind == Pattern:
		h.plain.insert(t.prefix, t)
	case t.from != fromNobody:
		t.group.index(t.from)[t.key] = t
	}
}

// remove takes a topic out of the indexes.
func (h *Hub) remove(t *topic) {
	delete(h.channels[t.kind], t.name)
	if t.hears() {
		h.hearing.Add(-1)
	}
	switch {
	case t.kind == Pattern && t.from == fromWatch:
		h.watched.remove(t.prefix, t)
		delete(t.group.patterns, t)
	case t.kind == Pattern:
		h.plain.remove(t.prefix, t)
	case t.from != fromNobody:
		delete(t.group.index(t.from), t.key)
	}
}

func (g *group) index(from source) map[string]*topic {
	switch from {
	case fromKeyspace:
		return g.keyspace
	case fromKeyevent:
		return g.keyevent
	default:
		return g.watch
	}
}

// Channels returns the channels that have subscribers and whose names fit the pattern, in order; an empty pattern fits
// all. A pattern longer than MaxPattern fits none.
func (h *Hub) Channels(pattern string) []string { return h.names(Channel, pattern) }

// ShardChannels does so for shard channels.
func (h *Hub) ShardChannels(pattern string) []string { return h.names(Shard, pattern) }

func (h *Hub) names(k Kind, pattern string) []string {
	if len(pattern) > MaxPattern {
		return nil
	}
	h.mu.RLock()
	all := slices.Collect(maps.Keys(h.channels[k]))
	h.mu.RUnlock()
	if pattern != "" {
		g := newGlob(pattern)
		all = slices.DeleteFunc(all, func(name string) bool { return !g.matches(name) })
	}
	slices.Sort(all)
	return all
}

// NumSub returns how many subscribers a channel has, those by pattern not counted.
func (h *Hub) NumSub(channel string) int { return h.subscribers(Channel, channel) }

// ShardNumSub does so for a shard channel.
func (h *Hub) ShardNumSub(channel string) int { return h.subscribers(Shard, channel) }

func (h *Hub) subscribers(k Kind, name string) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if t := h.channels[k][name]; t != nil {
		return len(t.subs)
	}
	return 0
}

// NumPat returns how many different patterns have subscribers.
func (h *Hub) NumPat() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.channels[Pattern])
}
