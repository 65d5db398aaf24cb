package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"

	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/server"
)

const recoverHelp = `Usage: dtkv recover [flags]

For when more than half of the voters are lost for good: makes this node, which must not run, the only voter of a new
cluster, with all that its log holds. What only the lost nodes had is lost. Nodes of the old cluster that turn up
later are kept out; others join with empty data directories.

Without --i-know-what-i-lose it changes nothing and prints how far this node's log goes: of several survivors, take
the one with the highest term, and among these the one with the highest index.

  --data-dir path         the node's data directory (default %s)
  --copy-to path          where the directory is copied to first (default: a free name beside it)
  --i-know-what-i-lose    do it
`

// recover makes the survivor of a lost majority a cluster of its own.
func (p program) recover(args []string) error {
	const try = "dtkv recover --help"
	r := replica.Recovery{Logger: slog.New(slog.DiscardHandler)}
	var sure bool
	flags := flag.NewFlagSet("dtkv recover", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&r.DataDir, "data-dir", p.defaultDataDir(), "")
	flags.StringVar(&r.CopyTo, "copy-to", "", "")
	flags.BoolVar(&sure, "i-know-what-i-lose", false, "")
	names, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, recoverHelp, server.Default().DataDir)
		return nil
	case err != nil:
		return usageError{err.Error(), try}
	case len(names) > 0:
		return usageError{fmt.Sprintf("unexpected argument %q", names[0]), try}
	}
	syscall.Umask(0o077) // what we write is for our own user
	if !sure {
		found, err := r.Survey()
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		p.printSurvivor(found)
		fmt.Fprintf(p.stdout, "\nNothing was changed. If no majority of the voters will ever come back, and no other survivor has more:\n"+
			"  dtkv recover --data-dir %s --i-know-what-i-lose\n", r.DataDir)
		return nil
	}
	found, err := r.Recover()
	p.printSurvivor(found)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	fmt.Fprintf(p.stdout, "\nNode '%s' is now the only voter of the new cluster %s. WRITES THAT ONLY LOST NODES HAD ARE LOST.\n"+
		"Start it, then let other nodes join with empty data directories (--join).\n", found.Node, found.Cluster)
	return nil
}

func (p program) printSurvivor(s replica.Survivor) {
	if s.Copy != "" {
		fmt.Fprintf(p.stdout, "the data directory as it was is in %s\n", s.Copy)
	}
	for _, g := range s.Groups {
		var members []string
		for _, m := range g.Members {
			role := "learner"
			if m.Voter {
				role = "voter"
			}
			members = append(members, fmt.Sprintf("%s (%s, %s)", m.ID, m.Address, role))
		}
		fmt.Fprintf(p.stdout, "group %d on node '%s': term %d, index %d, %d values; members: %s\n",
			g.Group, s.Node, g.Term, g.Last, g.Values, strings.Join(members, ", "))
		if g.Begins > 0 {
			fmt.Fprintf(p.stdout, "group %d: the new log begins behind index %d\n", g.Group, g.Begins)
		}
	}
	for _, id := range s.Lost {
		fmt.Fprintf(p.stdout, "group %d: THIS NODE HAS NOTHING OF IT; it will be gone\n", id)
	}
}
