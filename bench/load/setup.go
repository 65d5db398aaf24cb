package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Setup is what all measuring programs let their user choose.
type Setup struct {
	Dir    string        // below which the servers keep their data; empty: the system's folder for temporary files
	Out    string        // where the JSON goes; empty: a new file in bench/results
	Limit  time.Duration // bounds the whole measurement
	Binary string        // the dtkv to measure; empty: build the checkout
	Args   []string      // further flags of dtkv

	name   string // of the program
	strict bool   // fail when something misses what it must reach
}

// Register adds the flags that set s. The limit is the default for that flag.
func (s *Setup) Register(f *flag.FlagSet, limit time.Duration) {
	s.name = f.Name()
	f.BoolVar(&s.strict, "strict", false, "exit with 1 when something misses what it must reach")
	f.StringVar(&s.Dir, "dir", "", "where the servers keep their data, on the disk to be measured (default: the system's folder for temporary files)")
	f.StringVar(&s.Out, "out", "", "where to write the JSON (default: a new file in bench/results)")
	f.DurationVar(&s.Limit, "limit", limit, "give up after this")
	f.StringVar(&s.Binary, "binary", "", "measure this dtkv instead of building the checkout")
	f.Func("sync", "as dtkv's flag: always or os", s.pass("--sync"))
	f.Func("log-store", "as dtkv's flag: wal or bolt", s.pass("--log-store"))
	f.Func("dtkv-arg", "one more argument for dtkv; may be repeated", func(v string) error {
		s.Args = append(s.Args, v)
		return nil
	})
}

// pass hands a flag on to dtkv.
func (s *Setup) pass(name string) func(string) error {
	return func(v string) error {
		s.Args = append(s.Args, name, v)
		return nil
	}
}

// inFolder calls work with a folder of its own and a context that ends with the limit or with an interrupt, and removes the
// folder afterwards. work must have stopped what it started when it returns.
func (s *Setup) inFolder(work func(ctx context.Context, dir string) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, s.Limit, fmt.Errorf("not done within %s; see -limit", s.Limit))
	defer cancel()
	dir, err := os.MkdirTemp(s.Dir, "dtkv-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.Binary == "" {
		if s.Binary, err = Build(ctx, dir); err != nil {
			return err
		}
	}
	if err := work(ctx, dir); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause // What failed, failed because of it.
		}
		return err
	}
	return nil
}
