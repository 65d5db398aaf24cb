// Command dtkv is a coordination service that speaks the Redis protocol.
//
// Without arguments it serves on 127.0.0.1:6379 and keeps its data in ./dtkv-data. "dtkv help" lists the sub-commands.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/dtkv/dtkv/server"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it could not start, or could not go on
	exitUsage  = 2 // the command line makes no sense
)

const help = `dtkv is a coordination service that speaks the Redis protocol.

  dtkv [serve] [flags]             run a node (serve --help lists the flags)
  dtkv demo [flags]                run a cluster of three nodes on this machine, to try things out
  dtkv backup FILE [flags]         save all data of a running cluster in a file
  dtkv restore FILE [flags]        make a node of a new cluster from such a file, or check the file
  dtkv recover [flags]             go on with one node when most others are lost for good
  dtkv health [--ready]            ask the node of this machine how it is; for supervisors
  dtkv status [flags]              show the nodes and groups of a cluster; --watch goes on
  dtkv doctor [flags]              look for what is wrong with a cluster, and say what to do
  dtkv bench [flags]               measure how fast a node answers
  dtkv inspect log [flags]         print the log of a node as text
  dtkv inspect snapshot [flags]    print the newest snapshot of a node as text
  dtkv version                     print the release
  dtkv help                        print this

Without arguments it serves on 127.0.0.1:6379 with its data in ./dtkv-data. Then try: redis-cli
`

// explained are the sub-commands that have a --help of their own.
var explained = []string{"serve", "demo", "backup", "restore", "recover", "health", "status", "doctor", "bench", "inspect"}

// program is one run of the command: what main passes in, and tests replace.
type program struct {
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)
}

func main() {
	p := program{stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv}
	os.Exit(p.run(os.Args[1:]))
}

// run executes a command line and returns the exit code. Every error is one line on stderr.
func (p program) run(args []string) int {
	err := p.command(args)
	var misuse usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &misuse):
		fmt.Fprintf(p.stderr, "dtkv: %v (try: %s)\n", oneLine(err), misuse.try)
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "dtkv: %v\n", oneLine(err))
	return exitFailed
}

// usageError is a command line that makes no sense.
type usageError struct {
	text string
	try  string // the command that explains
}

func (e usageError) Error() string { return e.text }

func (p program) command(args []string) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		name = "help"
	} else if len(args) > 0 && args[0] == "--version" {
		name = "version"
	}
	switch name {
	case "serve":
		return p.serve(args)
	case "demo":
		return p.demo(args)
	case "backup":
		return p.backup(args)
	case "restore":
		return p.restore(args)
	case "recover":
		return p.recover(args)
	case "health":
		return p.health(args)
	case "status":
		return p.status(args)
	case "doctor":
		return p.doctor(args)
	case "bench":
		return p.bench(args)
	case "inspect":
		return p.inspect(args)
	case "version":
		fmt.Fprintf(p.stdout, "dtkv %s (%s, %s/%s)\n", server.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	case "help":
		if len(args) > 0 && slices.Contains(explained, args[0]) {
			return p.command([]string{args[0], "--help"})
		}
		fmt.Fprint(p.stdout, help)
		return nil
	}
	return usageError{fmt.Sprintf("unknown command %q", name), "dtkv help"}
}

// oneLine keeps an error to the one line that was promised: errors joined below us come with line ends.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
