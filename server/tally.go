package server

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/latency"
)

// Commands that run together are measured together: the clock is read when they begin and when their replies are ready,
// which is once or twice for a pipeline, and each of them took all that time. It is what their client waits for at this node:
// the way of writes through the log and the word of other nodes for reads are in it; the sockets are not, and neither is
// waiting for a lock or an event.

// commandStats are what calls of one command did.
type commandStats struct {
	took     latency.Histogram
	failed   atomic.Uint64 // calls answered with an error
	rejected atomic.Uint64 // not called: wrong number of arguments, not allowed now
}

// tally counts commands of a unit that run together.
type tally struct {
	since time.Time // when they began
	runs  []run
	first *commands.Command // that the slow log may show
	argv  [][]byte          // of first; good until the connection reads on
	count int               // commands in runs
}

// maxRuns bounds the runs of fast commands, which end no time by themselves.
const maxRuns = 256

// run is a number of calls of one command.
type run struct {
	cmd *commands.Command
	n   uint64
}

// add counts a call.
func (t *tally) add(cmd *commands.Command, argv [][]byte) {
	t.count++
	if n := len(t.runs); n > 0 && t.runs[n-1].cmd == cmd {
		t.runs[n-1].n++
		return
	}
	t.begin(cmd, argv)
}

// begin begins another run.
func (t *tally) begin(cmd *commands.Command, argv [][]byte) {
	if t.first == nil && !cmd.Flags.Has(commands.SkipSlowlog) {
		t.first, t.argv = cmd, argv
	}
	t.runs = append(t.runs, run{cmd, 1})
}

// clear makes room for the next commands that run together.
func (t *tally) clear(now time.Time) {
	clear(t.runs)
	*t = tally{since: now, runs: t.runs[:0]}
}

// pause leaves the time since then out.
func (t *tally) pause(since time.Time) { t.since = t.since.Add(time.Since(since)) }

// lap ends the time of the commands that were tallied.
func (c *conn) lap() {
	t := &c.unit.tally
	if len(t.runs) == 0 {
		return
	}
	took := time.Since(t.since)
	for _, r := range t.runs {
		c.srv.stats[r.cmd.Number()].took.Observe(took, r.n)
	}
	if int64(took) >= c.srv.live.slow.Load() {
		c.noteSlowCommands(took)
	}
	t.clear(t.since.Add(took))
}

// noteSlowCommands tells the slow log and the latency monitor.
func (c *conn) noteSlowCommands(took time.Duration) {
	t, s := &c.unit.tally, c.srv
	now := time.Now()
	if over := s.live.slowlog.Load(); over >= 0 && took >= time.Duration(over)*time.Microsecond && t.first != nil {
		s.slowlog.add(commands.SlowCommand{
			Unix: now.Unix(), Micros: took.Microseconds(), Args: commands.Shown(t.first, t.argv, t.count-1),
			Address: addrText(c.sock.RemoteAddr()), Name: c.face.name,
		}, int(s.live.slowlogLen.Load()))
	}
	fast := !slices.ContainsFunc(t.runs, func(r run) bool { return !r.cmd.Flags.Has(commands.Fast) })
	event := eventCommand
	if fast {
		event = eventFastCommand
	}
	s.spikes.add(event, took, now, s.live.monitor())
}

// lookBack returns what the commands of those names did; all that were called without names. The name of a container
// stands for its subcommands.
func (s *Server) lookBack(names []string, fn func(c *commands.Command, did *commandStats)) {
	one := func(c *commands.Command) {
		if did := &s.stats[c.Number()]; did.used() {
			fn(c, did)
		}
	}
	for i := range commands.Table {
		c := &commands.Table[i]
		whole := len(names) == 0 || slices.Contains(names, c.Name)
		if whole {
			one(c)
		}
		for j := range c.Sub {
			if sub := &c.Sub[j]; whole || slices.Contains(names, sub.Name) {
				one(sub)
			}
		}
	}
}

// used reports whether anybody has sent the command.
func (s *commandStats) used() bool {
	return s.took.Used() || s.failed.Load()+s.rejected.Load() > 0
}

func (s *Server) resetCommandStats() {
	for i := range s.stats {
		s.stats[i].took.Reset()
		s.stats[i].failed.Store(0)
		s.stats[i].rejected.Store(0)
	}
}
