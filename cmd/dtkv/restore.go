package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/server"
)

const restoreHelp = `Usage: dtkv restore [flags] FILE

Makes the data directory of a node of a new cluster from a backup. All nodes of that cluster are made from the same
file with the same --peers, each under its own --node-id, and then started as usual. Or, with --check, verifies the
file and says what is in it.

  --check             read the file to its end, and change nothing
  --data-dir path     the directory to make; it must be empty or missing (default %s)
  --node-id name      this node's id (default n1)
  --peers list        id=host:port,..: the nodes that form the new cluster, the same on all of them (default: this node alone)
  --log-store name    wal or bolt: which library is to keep the Raft log (default wal)
  --attempt number    which new cluster this is that is made from the file: 2 for the second one, and so on, so that their
                      fencing tokens differ (default 1)
`

// restore makes a data directory from a backup, or checks the backup.
func (p program) restore(args []string) error {
	const try = "dtkv restore --help"
	cfg := server.Default()
	cfg.DataDir = p.defaultDataDir()
	var check bool
	r := replica.Restoration{Logger: slog.New(slog.DiscardHandler)}
	flags := flag.NewFlagSet("dtkv restore", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&check, "check", false, "")
	flags.IntVar(&r.Attempt, "attempt", 1, "")
	for _, name := range []string{"data-dir", "node-id", "peers", "log-store"} {
		flags.Func(name, "", func(v string) error { return cfg.Set(name, v) })
	}
	names, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, restoreHelp, server.Default().DataDir)
		return nil
	case err != nil:
		return usageError{err.Error(), try}
	case len(names) != 1:
		return usageError{"want the name of one file", try}
	case r.Attempt < 1 || r.Attempt > replica.MaxAttempt:
		return usageError{fmt.Sprintf("--attempt: want 1 to %d", replica.MaxAttempt), try}
	}
	r.DataDir, r.NodeID, r.Peers, r.LogStore = cfg.DataDir, cfg.NodeID, cfg.Peers, cfg.LogStore
	file, err := os.Open(names[0])
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	progress := p.progress(names[0], bufio.NewReaderSize(file, 1<<20))
	if check {
		err = p.check(progress)
	} else {
		syscall.Umask(0o077) // what we write is for our own user
		err = p.rebuild(r, progress)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", names[0], err)
	}
	return nil
}

// check reads a file to its end and prints what is in it.
func (p program) check(r *progress) error {
	defer r.end()
	f, err := backup.NewReader(r)
	if err != nil {
		return err
	}
	type found struct {
		backup.Header
		values int
	}
	var groups []found
	for {
		h, m, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		groups = append(groups, found{h, m.View().Len()})
	}
	r.end()
	for _, g := range groups {
		p.printGroup(g.Header, g.values)
	}
	fmt.Fprintf(p.stdout, "whole: sum %x\n", f.Sum())
	return nil
}

// rebuild makes the data directory.
func (p program) rebuild(r replica.Restoration, file *progress) error {
	cluster, groups, err := replica.Restore(file, r)
	file.end()
	if err != nil {
		return err
	}
	for _, g := range groups {
		p.printGroup(g.Header, g.Values)
		fmt.Fprintf(p.stdout, "group %d: the new log begins behind index %d\n", g.Group, g.Begins)
	}
	fmt.Fprintf(p.stdout, "%s is now the data of a node of the new cluster %s\n", r.DataDir, cluster)
	return nil
}
