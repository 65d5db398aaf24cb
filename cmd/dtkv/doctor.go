package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/dtkv/dtkv/server"
)

const doctorHelp = `Usage: dtkv doctor [flags]

Looks for what is wrong with a cluster, or will be, and says what to do about it. Exit code 0: nothing; 1: something.

  --addr host:port        client address of a node (default %s)
  --max-lag entries       what a member may lack (default 10000)
  --max-clock duration    how far clocks may be apart (default 500ms)
  --max-fsync duration    how long the 99th percentile of writes to the log may take (default 100ms)
  --min-disk percent      how much of a disk must be free (default 10)
  --min-files number      how many files a node must be able to open (default 4096)

A password is taken from DTKV_PASSWORD, or from the file that DTKV_PASSWORD_FILE names.
`

// limits are from where on something is wrong.
type limits struct {
	lag       int64 // entries
	clock     time.Duration
	fsync     time.Duration
	disk      int64 // percent
	openFiles int64
}

// errUnwell ends a doctor who has found something.
var errUnwell = errors.New("something should be done")

// doctor looks for what is wrong.
func (p program) doctor(args []string) error {
	var l limits
	flags := flag.NewFlagSet("dtkv doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", p.anyNode(), "")
	flags.Int64Var(&l.lag, "max-lag", 10_000, "")
	flags.DurationVar(&l.clock, "max-clock", 500*time.Millisecond, "")
	flags.DurationVar(&l.fsync, "max-fsync", 100*time.Millisecond, "")
	flags.Int64Var(&l.disk, "min-disk", 10, "")
	flags.Int64Var(&l.openFiles, "min-files", 4096, "")
	if err := parse(flags, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(p.stdout, doctorHelp, server.Default().Addr)
		return nil
	} else if err != nil {
		return usageError{err.Error(), "dtkv doctor --help"}
	}
	seen, err := p.look(*addr)
	if err != nil {
		return unasked(*addr, err)
	}
	found := seen.diagnose(l)
	fmt.Fprintf(p.stdout, "cluster %s: %s, %d nodes, %d groups\n", seen.cluster, seen.state(), len(seen.nodes), len(seen.groups))
	for i, f := range found {
		fmt.Fprintf(p.stdout, "\n%d. %s.\n   %s.\n", i+1, f.what, f.todo)
	}
	if len(found) > 0 {
		fmt.Fprintln(p.stdout)
		return errUnwell
	}
	fmt.Fprintln(p.stdout, "nothing is wrong")
	return nil
}
