package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/latency"
)

// slowlog keeps the commands that took long.
type slowlog struct {
	mu    sync.Mutex
	list  []commands.SlowCommand // the oldest first
	next  int64                  // id
	total atomic.Uint64
}

// add takes an entry in, and drops the oldest ones beyond max.
func (l *slowlog) add(e commands.SlowCommand, max int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.ID = l.next
	l.next++
	l.total.Add(1)
	l.list = append(l.list, e)
	l.trim(max)
}

func (l *slowlog) trim(max int) {
	if over := len(l.list) - max; over > 0 {
		l.list = slices.Delete(l.list, 0, over)
	}
}

func (l *slowlog) resize(max int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(max)
}

func (l *slowlog) newest(most int) []commands.SlowCommand {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Clone(l.list[max(0, len(l.list)-most):])
	slices.Reverse(list)
	return list
}

func (l *slowlog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list)
}

func (l *slowlog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// Events of the latency monitor, by the names that Redis gave them.
const (
	eventCommand     = "command"      // a command took long, or those that ran together with it
	eventFastCommand = "fast-command" // the same, when all of them are fast ones
	eventLogWrite    = "aof-fsync-always"
)

// spikeSamples is how many samples of an event are kept, one a second at the most. It is Redis's number.
const spikeSamples = 160

// spikes is the latency monitor.
type spikes struct {
	mu     sync.Mutex
	events map[string]*spike
}

type spike struct {
	samples []commands.Sample // the oldest first
	worst   int64
}

// add takes a sample in, if it is as long as the threshold; 0 takes none.
func (m *spikes) add(event string, took time.Duration, now time.Time, threshold time.Duration) {
	if threshold <= 0 || took < threshold {
		return
	}
	sample := commands.Sample{Unix: now.Unix(), Millis: took.Milliseconds()}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.events[event]
	if s == nil {
		if m.events == nil {
			m.events = map[string]*spike{}
		}
		s = &spike{}
		m.events[event] = s
	}
	s.worst = max(s.worst, sample.Millis)
	if n := len(s.samples); n > 0 && s.samples[n-1].Unix == sample.Unix {
		s.samples[n-1].Millis = max(s.samples[n-1].Millis, sample.Millis)
		return
	}
	if len(s.samples) == spikeSamples {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, sample)
}

func (m *spikes) latest() (list []commands.Spike) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for event, s := range m.events {
		list = append(list, commands.Spike{Event: event, Newest: s.samples[len(s.samples)-1], WorstMillis: s.worst})
	}
	slices.SortFunc(list, func(a, b commands.Spike) int { return cmp.Compare(a.Event, b.Event) })
	return list
}

func (m *spikes) history(event string) []commands.Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.events[event]; s != nil {
		return slices.Clone(s.samples)
	}
	return nil
}

func (m *spikes) reset(events []string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.events)
	if len(events) == 0 {
		m.events = nil
	}
	for _, event := range events {
		delete(m.events, event)
	}
	return before - len(m.events)
}

// advice is what to do about an event.
var advice = map[string]string{
	eventCommand: "look at SLOWLOG GET: which commands are they? One that lists or removes much can be cut into parts",
	eventFastCommand: "these commands do little by themselves, so they waited: for the log (see " + eventLogWrite + "), for other nodes " +
		"(see DTKV.CLUSTER STATUS), or for a processor",
	eventLogWrite: "the disk is slow, or busy with something else: give the data directory a disk of its own, and look at " +
		"dtkv doctor. With sync os nobody waits for it, at the price of the last writes in a power cut",
}

// report says what the monitor has seen.
func (m *spikes) report(threshold time.Duration) string {
	if threshold <= 0 {
		return "The latency monitor is off. CONFIG SET latency-monitor-threshold 100 makes it note what takes 100 ms or longer.\n"
	}
	var b strings.Builder
	list := m.latest()
	if len(list) == 0 {
		fmt.Fprintf(&b, "Nothing has taken %d ms or longer since the monitor began.\n", threshold.Milliseconds())
	}
	for i, e := range list {
		samples := m.history(e.Event)
		var sum int64
		for _, s := range samples {
			sum += s.Millis
		}
		fmt.Fprintf(&b, "%d. %s: in %d seconds something took long: %d ms on average, %d ms at worst, %d ms the last time. What to do: %s.\n",
			i+1, e.Event, len(samples), sum/max(int64(len(samples)), 1), e.WorstMillis, e.Newest.Millis, advice[e.Event])
	}
	return b.String()
}

// stored takes notice of a write to the log; see replica.Config.
func (s *Server) stored(took time.Duration) {
	if threshold := s.live.monitor(); threshold > 0 && took >= threshold {
		s.spikes.add(eventLogWrite, took, time.Now(), threshold)
	}
}

// SlowLog returns the newest entries of the slow log.
func (c *conn) SlowLog(most int) []commands.SlowCommand { return c.srv.slowlog.newest(most) }

// SlowLogLen is how many entries it has.
func (c *conn) SlowLogLen() int { return c.srv.slowlog.len() }

// ResetSlowLog forgets them.
func (c *conn) ResetSlowLog() { c.srv.slowlog.reset() }

// Spikes returns what the latency monitor has.
func (c *conn) Spikes() []commands.Spike { return c.srv.spikes.latest() }

// SpikeHistory returns the samples of an event.
func (c *conn) SpikeHistory(event string) []commands.Sample { return c.srv.spikes.history(event) }

// ResetSpikes forgets the samples of events.
func (c *conn) ResetSpikes(events []string) int { return c.srv.spikes.reset(events) }

// LatencyReport says what the latency monitor has seen.
func (c *conn) LatencyReport() string { return c.srv.spikes.report(c.srv.live.monitor()) }

// CommandLatencies returns how long commands took.
func (c *conn) CommandLatencies(names []string) (list []commands.CommandLatency) {
	if !c.srv.live.tracking.Load() {
		return nil
	}
	c.srv.lookBack(names, func(cmd *commands.Command, did *commandStats) {
		took := did.took.Snapshot()
		if took.Count == 0 {
			return
		}
		list = append(list, commands.CommandLatency{Name: cmd.Name, Calls: took.Count, Below: below(&took)})
	})
	return list
}

// below returns the bounds of a histogram at which something is added.
func below(took *latency.Snapshot) (list []commands.Below) {
	var last uint64
	took.Powers(func(bound time.Duration, n uint64) {
		if n > last {
			list = append(list, commands.Below{Micros: bound.Microseconds(), Count: n})
			last = n
		}
	})
	return list
}
