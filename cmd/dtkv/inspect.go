package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/server"
)

const inspectHelp = `Usage: dtkv inspect log|snapshot [flags]

Prints what a node has on disk as text. It changes nothing, and the node need not run.

  --data-dir path   the node's data directory (default %s)
  --group n         Raft group, which is the Redis database (default 0)
  --from index      log: first entry to print (default: the first there is)
  --to index        log: last entry to print (default: the last there is)
`

// inspection is what the flags of inspect ask for.
type inspection struct {
	dataDir  string
	group    int
	from, to uint64
}

// inspect prints a log or a snapshot.
func (p program) inspect(args []string) error {
	const try = "dtkv inspect --help"
	what := ""
	if len(args) > 0 && (args[0] == "log" || args[0] == "snapshot") {
		what, args = args[0], args[1:]
	}
	var in inspection
	flags := flag.NewFlagSet("dtkv inspect", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&in.dataDir, "data-dir", p.defaultDataDir(), "")
	flags.IntVar(&in.group, "group", 0, "")
	flags.Uint64Var(&in.from, "from", 0, "")
	flags.Uint64Var(&in.to, "to", 0, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, inspectHelp, server.Default().DataDir)
		return nil
	case err != nil:
		return usageError{err.Error(), try}
	case what == "" || flags.NArg() > 0:
		return usageError{"inspect what? log or snapshot", try}
	case in.to > 0 && in.to < in.from:
		return usageError{"--to is below --from", try}
	}
	out := bufio.NewWriter(p.stdout)
	if what == "log" {
		err = in.log(out)
	} else {
		err = in.snapshot(out)
	}
	return errors.Join(err, out.Flush())
}

func (p program) defaultDataDir() string {
	if dir, ok := p.lookupEnv("DTKV_DATA_DIR"); ok {
		return dir
	}
	return server.Default().DataDir
}

// log prints the entries in order. A damaged entry is printed as such and does not end the list.
func (i inspection) log(w io.Writer) error {
	return replica.InspectLog(i.dataDir, i.group, i.from, i.to, func(e replica.LogEntry) error {
		if i.from > 0 && e.Index < i.from || i.to > 0 && e.Index > i.to {
			return nil
		}
		_, err := fmt.Fprintf(w, "%d term %d %s %s%s\n", e.Index, e.Term, e.Type, stamp(e.Appended), note(e))
		if err != nil || e.Damaged || len(e.Data) == 0 {
			return err
		}
		return printOperations(w, e.Data)
	})
}

func note(e replica.LogEntry) string {
	switch {
	case e.Damaged:
		return " DAMAGED: the checksum does not match"
	case e.Text != "":
		return " " + e.Text
	}
	return ""
}

// printOperations prints what one command entry does, one operation on a line.
func printOperations(w io.Writer, data []byte) error {
	entry, err := fsm.OpenEntry(data)
	if err != nil {
		_, err = fmt.Fprintf(w, "    cannot be read: %v\n", err)
		return err
	}
	err = entry.Each(func(op fsm.Op) error {
		_, err := fmt.Fprintf(w, "    %s\n", op)
		return err
	})
	if err != nil {
		_, err = fmt.Fprintf(w, "    cannot be read: %v\n", err)
	}
	return err
}

// snapshot prints the nodes of the newest snapshot in its order, then what the snapshot says of itself.
func (i inspection) snapshot(w io.Writer) error {
	file, err := replica.OpenNewestSnapshot(i.dataDir, i.group)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := fsm.InspectSnapshot(file, func(n *fsm.Node) error {
		_, err := fmt.Fprintf(w, "%-5s %q %q created %d %s updated %d %s%s\n", n.Kind, n.Key, n.Value,
			n.Created.Index, millis(n.Created.Millis), n.Updated.Index, millis(n.Updated.Millis), lifetime(n))
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range info.Groups {
		if _, err := fmt.Fprintf(w, "group %d generation %d%s\n", g.ID, g.Generation, holders(g)); err != nil {
			return err
		}
	}
	for _, id := range info.Leaving {
		if _, err := fmt.Fprintf(w, "node %s is leaving\n", id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "snapshot version %d at index %d term %d: %d values, %d nodes, cluster clock %d, %d tokens, sha256 %x\n",
		info.Version, info.Index, info.Term, info.Values, info.Nodes, info.ClusterMillis, info.Tokens, info.SHA256)
	return err
}

// holders says who is to hold a group, and who founded it.
func holders(g fsm.GroupRecord) string {
	var b strings.Builder
	if g.Everywhere {
		b.WriteString(" everywhere")
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, " %s%s", n.ID, map[bool]string{true: "", false: " (learner)"}[n.Voter])
	}
	b.WriteString(", founded by")
	for _, f := range g.Founders {
		fmt.Fprintf(&b, " %s=%s", f.ID, f.Address)
	}
	return b.String()
}

// lifetime says when a node ends and whose it is, and of a lock who takes part. Deadlines are in milliseconds of the
// cluster clock, owners are digests.
func lifetime(n *fsm.Node) string {
	var b strings.Builder
	if at, ok := n.Deadline(); ok {
		fmt.Fprintf(&b, " deadline %d", at)
	}
	if n.Temporary() {
		fmt.Fprintf(&b, " owner %s", n.Owner().Digest())
	}
	if q := n.Lock(); q != nil {
		holder, _ := q.Holder()
		fmt.Fprintf(&b, " token %d held by %s until %d", q.Token(), holder.Owner.Digest(), holder.Deadline)
		q.Waiters(func(p fsm.Participant) bool {
			fmt.Fprintf(&b, ", %s waits until %d", p.Owner.Digest(), p.Deadline)
			return true
		})
	}
	return b.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func millis(ms int64) string { return stamp(time.UnixMilli(ms)) }
