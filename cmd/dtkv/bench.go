package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dtkv/dtkv/latency"
	"github.com/dtkv/dtkv/server"
)

const benchHelp = `Usage: dtkv bench [flags]

Measures how fast a node answers, from this machine. It works in a directory of its own, dtkv-bench-.., and removes it.
It takes all the node can give: others will notice.

  --addr host:port    client address of a node (default %s)
  --loads list        what to do, one after the other (default set,get,lock): set and get values; take a lock of one's own
                      and give it back
  --for duration      how long to do each (default 5s, at most 10m)
  --clients n         how many do it at once (default 50, at most 1000)
  --pipeline n        how many requests each sends before it waits for the answers (default 1, at most 1000)
  --size bytes        how long the values are (default 256)
  --keys n            how many there are (default 10000)

A password is taken from DTKV_PASSWORD, or from the file that DTKV_PASSWORD_FILE names. Exit code 1: some requests were
answered with an error.
`

// bench is one run of the command.
type bench struct {
	program
	addr       string
	loads      []string
	length     time.Duration // of each load
	clients    int
	pipeline   int
	size, keys int
	dir        string // where the keys are
	value      string
	lastError  atomic.Pointer[error]
}

// bench measures a running node.
func (p program) bench(args []string) error {
	b := &bench{program: p, dir: fmt.Sprintf("dtkv-bench-%d-%d", os.Getpid(), time.Now().UnixMilli())}
	err := b.configure(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, benchHelp, server.Default().Addr)
		return nil
	case err != nil:
		return usageError{err.Error(), "dtkv bench --help"}
	}
	b.value = strings.Repeat("v", b.size)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.once("DTKV.MKDIR", b.dir); err != nil {
		return unasked(b.addr, err)
	}
	if err = b.fill(ctx); err == nil {
		err = b.run(ctx)
	}
	if gone := b.once("DTKV.RMDIR", b.dir, "RECURSIVE"); gone != nil {
		err = errors.Join(err, fmt.Errorf("%s is left behind: %w", b.dir, gone))
	}
	return err
}

// once sends one command on a connection of its own.
func (b *bench) once(args ...string) error {
	c, err := b.ask(b.addr)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do(args...)
	return err
}

func (b *bench) configure(args []string) error {
	flags := flag.NewFlagSet("dtkv bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var loads string
	flags.StringVar(&b.addr, "addr", b.anyNode(), "")
	flags.StringVar(&loads, "loads", "set,get,lock", "")
	flags.DurationVar(&b.length, "for", 5*time.Second, "")
	flags.IntVar(&b.clients, "clients", 50, "")
	flags.IntVar(&b.pipeline, "pipeline", 1, "")
	flags.IntVar(&b.size, "size", 256, "")
	flags.IntVar(&b.keys, "keys", 10_000, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	b.loads = strings.Split(loads, ",")
	for _, l := range b.loads {
		if !slices.Contains([]string{"set", "get", "lock"}, l) {
			return fmt.Errorf("--loads: there are set, get and lock, not %q", l)
		}
	}
	for _, bound := range []struct {
		name            string
		n, least, limit int
	}{{"clients", b.clients, 1, 1000}, {"pipeline", b.pipeline, 1, 1000}, {"size", b.size, 0, 1 << 20}, {"keys", b.keys, 1, 10_000_000}} {
		if bound.n < bound.least || bound.n > bound.limit {
			return fmt.Errorf("--%s: %d to %d", bound.name, bound.least, bound.limit)
		}
	}
	if b.length <= 0 || b.length > 10*time.Minute {
		return errors.New("--for: up to 10m")
	}
	return nil
}

// key is the n-th of the keys.
func (b *bench) key(n int) string { return fmt.Sprintf("%s.k%d", b.dir, n%b.keys) }

// fillBytes is about how much one command writes before the loads.
const fillBytes = 256 << 10

// fill writes every key once, so that each read finds something.
func (b *bench) fill(ctx context.Context) error {
	if !slices.Contains(b.loads, "get") {
		return nil
	}
	c, err := b.ask(b.addr)
	if err != nil {
		return err
	}
	defer c.close()
	piece := max(1, fillBytes/(b.size+len(b.key(b.keys-1))))
	for from := 0; from < b.keys && ctx.Err() == nil; from += piece {
		args := []string{"MSET"}
		for n := from; n < min(from+piece, b.keys); n++ {
			args = append(args, b.key(n), b.value)
		}
		if _, err := c.do(args...); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

// run does one load after the other, and prints what came of them.
func (b *bench) run(ctx context.Context) error {
	t := tabwriter.NewWriter(b.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "LOAD\tCLIENTS\tPIPELINE\tA SECOND\tP50 BELOW\tP99 BELOW\tLONGEST\tERRORS\t")
	var errs int64
	for _, load := range b.loads {
		if ctx.Err() != nil {
			break
		}
		r := b.measure(ctx, load)
		errs += r.errors
		fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\t%v\t%v\t%v\t%d\t\n", load, b.clients, b.depth(load), r.perSecond, r.p50, r.p99, r.longest.Round(time.Microsecond), r.errors)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if errs > 0 {
		return fmt.Errorf("%d requests failed, one of them with: %w", errs, *b.lastError.Load())
	}
	return nil
}

// depth is how many requests of a load travel together. Those of a lock follow one another.
func (b *bench) depth(load string) int {
	if load == "lock" {
		return 1
	}
	return b.pipeline
}

// benched is what came of a load. Times are from the sending of a pipeline to its last answer, and of a pair of lock and unlock.
type benched struct {
	perSecond         float64
	p50, p99, longest time.Duration
	errors            int64
}

// measure has all clients do a load for the length of a run.
func (b *bench) measure(ctx context.Context, load string) benched {
	ctx, cancel := context.WithTimeout(ctx, b.length)
	defer cancel()
	var took latency.Histogram
	var done, failed, longest atomic.Int64
	var clients sync.WaitGroup
	began := time.Now()
	for i := range b.clients {
		clients.Go(func() {
			w := &benchWorker{bench: b, load: load, last: i * 7919} // a prime, so that they begin at different keys
			defer w.end()
			for ctx.Err() == nil {
				since := time.Now()
				answered, errs, err := w.turn()
				done.Add(int64(answered))
				if err != nil {
					failed.Add(int64(errs))
					b.lastError.Store(&err)
					continue
				}
				d := time.Since(since)
				took.Observe(d, 1)
				for was := longest.Load(); int64(d) > was && !longest.CompareAndSwap(was, int64(d)); was = longest.Load() {
				}
			}
		})
	}
	b.watch(ctx, load, began, &done)
	clients.Wait()
	s := took.Snapshot()
	return benched{
		perSecond: float64(done.Load()) / time.Since(began).Seconds(), errors: failed.Load(),
		p50: s.Percentile(50), p99: s.Percentile(99), longest: time.Duration(longest.Load()),
	}
}

// watch shows on a terminal how a load goes, until it ends.
func (b *bench) watch(ctx context.Context, load string, began time.Time, done *atomic.Int64) {
	if !isTerminal(b.stderr) {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(progressPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintf(b.stderr, "\r%*s\r", 60, "")
			return
		case <-tick.C:
			so := time.Since(began)
			fmt.Fprintf(b.stderr, "\r%s: %v of %v, %.0f a second ", load, so.Round(time.Second/10), b.length, float64(done.Load())/so.Seconds())
		}
	}
}
