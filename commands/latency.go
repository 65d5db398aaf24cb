package commands

import (
	"strings"

	"github.com/dtkv/dtkv/resp"
)

// Spike is the newest sample of an event that the latency monitor watches, and the worst one.
type Spike struct {
	Event       string
	Newest      Sample
	WorstMillis int64
}

// Sample is how long something took at its worst within a second.
type Sample struct{ Unix, Millis int64 }

// CommandLatency is how long the calls of a command took.
type CommandLatency struct {
	Name  string
	Calls uint64
	Below []Below // the bounds at which something is added, in order
}

// Below is how many calls took less than so many microseconds.
type Below struct {
	Micros int64
	Count  uint64
}

const latencyFlags = Admin | NoScript | Loading | Stale

var latencyCommand = Command{
	Name: "latency", Arity: -2,
	Group: "server", Since: "2.8.13", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about how long things take",
	Differs: "The monitor's events are command, fast-command and aof-fsync-always, which here is a write to the log. What the time of a " +
		"command is: see SLOWLOG. There is no LATENCY GRAPH.",
	Sub: []Command{
		{
			Name: "latency|doctor", Arity: 2, Flags: latencyFlags,
			Group: "server", Since: "2.8.13", Complexity: "O(1)",
			Summary: "Answers what the latency monitor has seen, in sentences, and what to do about it",
			Plan: func(*resp.Args, Settings) (Plan, error) {
				return local(func(w *resp.Writer, s Session) { w.Verbatim("txt", s.LatencyReport()) })
			},
		},
		helpOf("latency", "server", "2.8.13"),
		{
			Name: "latency|histogram", Arity: -2, Flags: latencyFlags,
			Group: "server", Since: "7.0.0", Complexity: "O(N) in the number of commands",
			Summary: "Answers how many calls of the commands took less than so many microseconds",
			Syntax:  "[command [command ...]]",
			Plan:    planLatencyHistogram,
		},
		{
			Name: "latency|history", Arity: 3, Flags: latencyFlags,
			Group: "server", Since: "2.8.13", Complexity: "O(1)",
			Summary: "Answers the samples of an event: when, in seconds since 1970, and how many milliseconds",
			Syntax:  "event",
			Plan: func(a *resp.Args, _ Settings) (Plan, error) {
				event := a.Text()
				return local(func(w *resp.Writer, s Session) { printSamples(w, s.SpikeHistory(event)) })
			},
		},
		{
			Name: "latency|latest", Arity: 2, Flags: latencyFlags,
			Group: "server", Since: "2.8.13", Complexity: "O(1)",
			Summary: "Answers each event with its newest sample and its worst time",
			Plan: func(*resp.Args, Settings) (Plan, error) {
				return local(func(w *resp.Writer, s Session) { printSpikes(w, s.Spikes()) })
			},
		},
		{
			Name: "latency|reset", Arity: -2, Flags: latencyFlags,
			Group: "server", Since: "2.8.13", Complexity: "O(1)",
			Summary: "Forgets the samples of these events, or of all, and answers how many events had some",
			Syntax:  "[event [event ...]]",
			Plan: func(a *resp.Args, _ Settings) (Plan, error) {
				var events []string
				for a.More() {
					events = append(events, a.Text())
				}
				return local(func(w *resp.Writer, s Session) { w.Int(int64(s.ResetSpikes(events))) })
			},
		},
	},
}

func planLatencyHistogram(a *resp.Args, _ Settings) (Plan, error) {
	var names []string
	for a.More() {
		names = append(names, strings.ToLower(a.Text()))
	}
	return local(func(w *resp.Writer, s Session) {
		list := s.CommandLatencies(names)
		w.Map(len(list))
		for _, c := range list {
			w.BulkString(c.Name)
			w.Map(2)
			w.BulkString("calls")
			w.Int(int64(c.Calls))
			w.BulkString("histogram_usec")
			w.Map(len(c.Below))
			for _, b := range c.Below {
				w.Int(b.Micros)
				w.Int(int64(b.Count))
			}
		}
	})
}

func printSamples(w *resp.Writer, list []Sample) {
	w.Array(len(list))
	for _, s := range list {
		w.Array(2)
		w.Int(s.Unix)
		w.Int(s.Millis)
	}
}

func printSpikes(w *resp.Writer, list []Spike) {
	w.Array(len(list))
	for _, s := range list {
		w.Array(4)
		w.BulkString(s.Event)
		w.Int(s.Newest.Unix)
		w.Int(s.Newest.Millis)
		w.Int(s.WorstMillis)
	}
}
