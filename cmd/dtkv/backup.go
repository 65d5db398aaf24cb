package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/server"
)

const backupHelp = `Usage: dtkv backup [flags] FILE

Saves all data of a running cluster in FILE, as it is at one moment for each database. Any node will do; writes go on
meanwhile. FILE appears, or takes the place of an older one, when it is complete and has been verified.

  --addr host:port    client address of a node (default %s)

A password is taken from DTKV_PASSWORD, or from the file that DTKV_PASSWORD_FILE names; certificates from the files that
DTKV_TLS_CA_CERT_FILE, DTKV_TLS_CERT_FILE and DTKV_TLS_KEY_FILE name.
`

// backup writes what a node sends to a file.
func (p program) backup(args []string) error {
	const try = "dtkv backup --help"
	addr := server.Default().Addr
	if set, ok := p.lookupEnv("DTKV_ADDR"); ok {
		addr = set
	}
	flags := flag.NewFlagSet("dtkv backup", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&addr, "addr", addr, "")
	names, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, backupHelp, server.Default().Addr)
		return nil
	case err != nil:
		return usageError{err.Error(), try}
	case len(names) != 1:
		return usageError{"want the name of one file", try}
	}
	c, err := p.ask(addr)
	if err != nil {
		return fmt.Errorf("%w; name a node with --addr", err)
	}
	defer c.close()
	return p.save(c, names[0])
}

// interspersed parses flags before and behind names, and returns the names.
func interspersed(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errors.New(strings.ReplaceAll(err.Error(), ": -", ": --"))
		}
		if flags.NArg() == 0 {
			return names, nil
		}
		names, args = append(names, flags.Arg(0)), flags.Args()[1:]
	}
}

// partial is what a backup is called until it is complete.
const partial = ".partial"

// save makes the file. Whatever goes wrong, no file of that name is there that was not there before.
func (p program) save(c *client, name string) (err error) {
	file, err := os.OpenFile(name+partial, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err == nil {
			err = errors.Join(os.Rename(name+partial, name), syncFolder(filepath.Dir(name)))
		}
		if err != nil {
			_ = os.Remove(name + partial) // gone already, if it is complete
		}
	}()
	if err := p.gather(c, file); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := p.readBack(file); err != nil {
		return fmt.Errorf("the backup is not what was written: %w", err)
	}
	fmt.Fprintf(p.stdout, "saved in %s\n", name)
	return nil
}

// readBack reads the file to its end and prints what is in it.
func (p program) readBack(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := backup.NewReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return err
	}
	for {
		h, state, err := f.Inspect()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.printGroup(h, state.Values)
	}
}

// gatherTries is how often a backup is begun anew because a group was removed meanwhile.
const gatherTries = 5

// errGroupGone says that a group of the catalogue is not there any more.
var errGroupGone = errors.New("a group was removed meanwhile")

// gather copies all groups to the file: group 0 first, and then those that its catalogue names.
func (p program) gather(c *client, file *os.File) error {
	for try := 1; ; try++ {
		err := p.gatherOnce(c, file)
		if !errors.Is(err, errGroupGone) || try == gatherTries {
			return err
		}
		if err := file.Truncate(0); err != nil {
			return err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

func (p program) gatherOnce(c *client, file io.Writer) error {
	out := bufio.NewWriterSize(file, 1<<20)
	w, err := backup.NewWriter(out)
	if err != nil {
		return err
	}
	base, err := p.copyGroup(c, w, 0)
	if err != nil {
		return err
	}
	for _, g := range base.Groups {
		if _, err := p.copyGroup(c, w, g.ID); err != nil {
			return fmt.Errorf("group %d: %w", g.ID, err)
		}
	}
	return errors.Join(w.Close(), out.Flush())
}

func (p program) copyGroup(c *client, w *backup.Writer, id int) (fsm.SnapshotInfo, error) {
	if err := c.selectDB(id); err != nil {
		return fsm.SnapshotInfo{}, err
	}
	r, err := c.pieces("DTKV.BACKUP")
	if err != nil {
		return fsm.SnapshotInfo{}, err
	}
	progress := p.progress(fmt.Sprintf("group %d", id), r)
	_, state, err := w.Add(progress)
	progress.end()
	if err != nil {
		return fsm.SnapshotInfo{}, err
	}
	_, err = io.Copy(io.Discard, r) // the empty string at its end
	return state, err
}

func (p program) printGroup(h backup.Header, values int) {
	fmt.Fprintf(p.stdout, "group %d: %d values, %s, index %d, term %d, of cluster %s by node %s (%s) at %s, digest %x\n",
		h.Group, values, size(h.Size), h.Index, h.Term, h.Cluster, h.Node, h.Release, h.Taken.UTC().Format(time.RFC3339), h.Digest)
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// progress passes bytes on and shows on a terminal how many there were.
type progress struct {
	io.Reader
	w     io.Writer // nil: nobody looks
	what  string
	bytes int64
	shown time.Time
}

const progressPause = 200 * time.Millisecond

func (p program) progress(what string, r io.Reader) *progress {
	shown := &progress{Reader: r, what: what}
	if isTerminal(p.stderr) {
		shown.w = p.stderr
	}
	return shown
}

// Read implements io.Reader.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.bytes += int64(n)
	if p.w != nil && time.Since(p.shown) >= progressPause {
		p.shown = time.Now()
		fmt.Fprintf(p.w, "\r%s: %s ", p.what, size(p.bytes))
	}
	return n, err
}

// end wipes the line.
func (p *progress) end() {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r%*s\r", len(p.what)+16, "")
	}
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
