// Command watch measures what subscribers cost one node, and how soon they hear: the time from the acknowledgement of a write to
// the message about it, and what writes become when a thousand subscribers watch ten thousand keys, one of whom never
// reads.
//
//	go run ./bench/watch           three rounds; about two minutes
//	go run ./bench/watch -quick    fewer of everything: does it run at all?
//
// It prints a report and keeps it as JSON. The exit code is 0 whenever everything ran; with -strict it is 1 when a message
// takes longer than docs/testing.md says it may.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

// options are the flags.
type options struct {
	load.Setup
	messages    int     // that each kind of channel is measured with
	pace        float64 // of them, in a second
	writes      load.Writes
	clients     int // that write as fast as they can
	subscribers int
	rounds      int
	seconds     float64 // of each load in each round
}

func main() {
	o, err := parse(os.Args[1:])
	o.Main(err, func(ctx context.Context, dir string, progress *load.Progress) (load.Report, error) {
		return measure(ctx, o, dir, progress)
	})
}

func parse(args []string) (options, error) {
	var o options
	var quick bool
	f := flag.NewFlagSet("watch", flag.ContinueOnError)
	o.Register(f, 10*time.Minute)
	f.IntVar(&o.messages, "messages", 5000, "messages that each kind of channel is measured with")
	f.Float64Var(&o.pace, "pace", 500, "of them, how many in a second")
	f.IntVar(&o.writes.Keys, "channels", 10_000, "keys, each of them watched by one subscriber")
	f.IntVar(&o.writes.Bytes, "bytes", 256, "bytes of each of their values")
	f.Float64Var(&o.writes.Rate, "rate", 2000, "writes a second of the steady load")
	f.IntVar(&o.writes.Writers, "writers", 100, "connections that share the rate; each has its turn so rarely that a slow write seldom holds up the next")
	f.IntVar(&o.clients, "clients", 50, "connections that write as fast as they can")
	f.IntVar(&o.subscribers, "subscribers", 1000, "subscribers that share the keys; one of them never reads")
	f.IntVar(&o.rounds, "rounds", 3, "how often each load runs with each crowd")
	f.Float64Var(&o.seconds, "seconds", 5, "how long each load takes")
	f.BoolVar(&quick, "quick", false, "500 messages, 1000 keys, 100 subscribers, one round of a second")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.messages, o.writes.Keys, o.subscribers, o.rounds, o.seconds = 500, 1000, 100, 1, 1
	}
	w := o.writes
	positive := min(o.messages, w.Keys, w.Bytes, w.Writers, o.clients, o.rounds) > 0 && min(o.pace, w.Rate, o.seconds) > 0
	if !positive || o.subscribers < 2 || o.subscribers > w.Keys || f.NArg() > 0 {
		return o, o.Refuse("want positive numbers, two subscribers at least and no more than channels, and no other arguments")
	}
	return o, nil
}
