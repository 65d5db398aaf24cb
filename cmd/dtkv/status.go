package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dtkv/dtkv/server"
)

const statusHelp = `Usage: dtkv status [flags]

Shows the nodes and groups of a cluster, as any node tells.

  --addr host:port      client address of a node (default %s)
  --watch               show it again and again, until Ctrl-C; where no terminal is, a line for each node
  --interval duration   how often (default 2s)

A password is taken from DTKV_PASSWORD, or from the file that DTKV_PASSWORD_FILE names.
`

// status shows the cluster.
func (p program) status(args []string) error {
	flags := flag.NewFlagSet("dtkv status", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", p.anyNode(), "")
	watch := flags.Bool("watch", false, "")
	interval := flags.Duration("interval", 2*time.Second, "")
	if err := parse(flags, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(p.stdout, statusHelp, server.Default().Addr)
		return nil
	} else if err != nil {
		return usageError{err.Error(), "dtkv status --help"}
	}
	if *interval < 100*time.Millisecond {
		return usageError{"--interval: want 100ms or more", "dtkv status --help"}
	}
	if !*watch {
		seen, err := p.look(*addr)
		if err != nil {
			return unasked(*addr, err)
		}
		seen.table(p.stdout)
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return p.watchStatus(ctx, *addr, *interval)
}

// anyNode is the address of a node that was not named.
func (p program) anyNode() string {
	if set, ok := p.lookupEnv("DTKV_ADDR"); ok {
		return set
	}
	return server.Default().Addr
}

// parse reads flags, where nothing else may be.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errors.New(strings.ReplaceAll(err.Error(), ": -", ": --"))
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return nil
}

// unasked says that the first node did not tell.
func unasked(addr string, err error) error {
	return fmt.Errorf("%s: %w; name a node that runs with --addr", addr, err)
}

// watchStatus shows the cluster until ctx ends. A node that does not answer may answer the next time; the others are asked
// instead, once they are known.
func (p program) watchStatus(ctx context.Context, addr string, interval time.Duration) error {
	terminal := isTerminal(p.stdout)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	others := []string{addr}
	for {
		seen, err := p.lookAny(others)
		now := time.Now()
		if terminal {
			fmt.Fprint(p.stdout, "\x1b[H\x1b[2J") // to the top, and clear
		}
		switch {
		case err != nil:
			fmt.Fprintf(p.stdout, "%s %v\n", now.Format(time.RFC3339), unasked(addr, err))
		case terminal:
			fmt.Fprintf(p.stdout, "%s, every %s; Ctrl-C ends\n\n", now.Format(time.TimeOnly), interval)
			seen.table(p.stdout)
		default:
			seen.lines(p.stdout, now)
		}
		if seen != nil {
			others = []string{addr}
			for i := range seen.nodes {
				if at := seen.nodes[i].record["client"]; at != "" && at != addr {
					others = append(others, at)
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// lookAny asks the first node that answers.
func (p program) lookAny(addrs []string) (seen *picture, err error) {
	var first error
	for _, addr := range addrs {
		if seen, err = p.look(addr); err == nil {
			return seen, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// table prints the cluster for people.
func (s *picture) table(w io.Writer) {
	fmt.Fprintf(w, "cluster %s: %s\n\n", s.cluster, s.state())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tSTATE\tLEADER\tVOTERS\tLEARNERS\tKEYS")
	for i := range s.groups {
		g := &s.groups[i]
		keys := g.record["keys"]
		if g.id == 0 && keys == "" {
			keys = s.keys()
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", g.id, g.record["state"], dash(g.record["leader"]), g.names(true), g.names(false), dash(keys))
	}
	fmt.Fprintln(t, "\nNODE\tSTATE\tROLE\tCLIENTS AT\tPEERS AT\tRELEASE\tLACKS\tCLIENTS\tOPS/S\tMEMORY\tFSYNC P99\tDISK FREE\tUP")
	for i := range s.nodes {
		n := &s.nodes[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.name(), n.record["state"], n.record["role"], dash(n.record["client"]), n.record["address"],
			dash(n.record["version"]), s.lacks(n), strings.Join(n.figures(), "\t"))
	}
	_ = t.Flush() // a reader that is gone ends the program
	for i := range s.nodes {
		if n := &s.nodes[i]; n.err != nil {
			fmt.Fprintf(w, "\n%s could not be asked: %v\n", n.name(), n.err)
		}
	}
}

// keys is how many values group 0 has, as some node tells.
func (s *picture) keys() string {
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.answered {
			return fmt.Sprint(n.info.part("db0", "keys"))
		}
	}
	return ""
}

// lacks is how many entries of group 0 a node does not have.
func (s *picture) lacks(n *nodeView) string {
	if n.record["state"] != "up" {
		return "-"
	}
	return fmt.Sprint(max(0, s.groups[0].last()-n.record.number("last-index")))
}

// figures are what a node says of its work.
func (n *nodeView) figures() []string {
	if !n.answered {
		return []string{"-", "-", "-", "-", "-", "-"}
	}
	up := (time.Duration(n.info.number("uptime_in_seconds")) * time.Second).String()
	fsync := time.Duration(n.info.part("raft_log_write_usec", "p99")) * time.Microsecond
	return []string{
		n.info["connected_clients"], n.info["instantaneous_ops_per_sec"], n.info["used_memory_rss_human"], fsync.String(), n.diskFree(), up,
	}
}

// diskFree is how much of the data directory's disk is free.
func (n *nodeView) diskFree() string {
	size := n.info.number("disk_size_bytes")
	if size == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", n.info.number("disk_free_bytes")*100/size)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// lines prints the cluster for programs: a line for each group and node.
func (s *picture) lines(w io.Writer, now time.Time) {
	at := now.Format(time.RFC3339)
	for i := range s.groups {
		g := &s.groups[i]
		fmt.Fprintf(w, "%s group=%d state=%s leader=%s voters=%s learners=%s\n", at, g.id, g.record["state"], dash(g.record["leader"]),
			strings.ReplaceAll(g.names(true), " ", ","), strings.ReplaceAll(g.names(false), " ", ","))
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		f := n.figures()
		fmt.Fprintf(w, "%s node=%s state=%s role=%s release=%s lacks=%s clients=%s ops=%s memory=%s fsync_p99=%s disk_free=%s up=%s\n", at, n.name(),
			n.record["state"], n.record["role"], dash(n.record["version"]), s.lacks(n), f[0], f[1], f[2], f[3], f[4], f[5])
	}
}
