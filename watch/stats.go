package watch

import "sync/atomic"

// counters are the numbers that only count.
type counters struct {
	subscribers atomic.Int64
	dispatched  atomic.Uint64
	compared    atomic.Uint64
	merged      atomic.Uint64
	lost        atomic.Uint64
	tooSlow     atomic.Uint64
	gaps        atomic.Uint64
	reads       atomic.Uint64
}

// Stats are numbers about a hub. Those that count do so since New.
type Stats struct {
	Subscribers   int // joined and not left
	Channels      int // with subscribers
	Patterns      int // the same
	ShardChannels int // the same
	Waits         int // streams that wait for an event
	Parked        int // requests that wait for a lock

	RingEvents int    // in the rings of all groups
	RingBytes  int64  // the same
	Lag        uint64 // events that the dispatcher has not taken yet

	Dispatched uint64 // events that the dispatcher has taken
	Compared   uint64 // names compared with patterns
	Merged     uint64 // messages replaced by a newer one about the same key before they were taken
	Lost       uint64 // times that a watching subscription was told "lost"
	TooSlow    uint64 // subscribers that ended with ErrTooSlow
	Gaps       uint64 // times that the dispatcher missed events of a group, or a snapshot replaced its state
	StateReads uint64 // calls of Options.State
}

// Stats returns the numbers of now.
func (h *Hub) Stats() Stats {
	s := Stats{
		Subscribers: int(h.stats.subscribers.Load()),
		Dispatched:  h.stats.dispatched.Load(),
		Compared:    h.stats.compared.Load(),
		Merged:      h.stats.merged.Load(),
		Lost:        h.stats.lost.Load(),
		TooSlow:     h.stats.tooSlow.Load(),
		Gaps:        h.stats.gaps.Load(),
		StateReads:  h.stats.reads.Load(),
	}
	h.mu.RLock()
	s.Channels, s.Patterns, s.ShardChannels = len(h.channels[Channel]), len(h.channels[Pattern]), len(h.channels[Shard])
	h.mu.RUnlock()
	h.eachGroup(func(g *group) {
		g.ring.mu.RLock()
		s.RingEvents += int(g.ring.next - g.ring.first)
		s.RingBytes += g.ring.bytes
		s.Lag += g.ring.next - g.ring.cursor
		g.ring.mu.RUnlock()
		g.mu.Lock()
		for _, some := range g.waits {
			s.Waits += len(some)
		}
		for _, some := range g.parked {
			s.Parked += len(some)
		}
		g.mu.Unlock()
	})
	return s
}
