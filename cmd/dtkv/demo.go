package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const demoHelp = `Usage: dtkv demo [flags]

Runs a cluster of several nodes on this machine until SIGINT or SIGTERM, each in a process of its own. A node that
is killed is started again after a while. The data stays for the next run. With a password in DTKV_PASSWORD, or in the
file that DTKV_PASSWORD_FILE names, the nodes ask for it.

  --addr host:port    client address of the first node; the others follow on the next ports (default 127.0.0.1:6379)
  --nodes number      how many nodes, 1 to 9 (default 3)
  --data-dir path     where the data and the logs of the nodes live (default ./dtkv-demo)
`

// Bounds of a demonstration.
const (
	demoMost    = 9
	demoReady   = 30 * time.Second // for the nodes to form a cluster
	demoPoll    = 50 * time.Millisecond
	demoRestart = 3 * time.Second // between the end of a node and its next start
	demoPeers   = 10_000          // from a client port to the peer port
)

// demo is a cluster on this machine.
//
// Goroutines: run waits; each node has one that keeps its process going, which start makes.
type demo struct {
	program
	binary string
	dir    string
	nodes  []*demoNode
	secret string // the nodes' password; empty: none
	wg     sync.WaitGroup
	failed chan error // a node could not go on by itself

	mu sync.Mutex // guards printing
}

type demoNode struct {
	id, addr, peer string
	log            string // path

	mu      sync.Mutex
	process *os.Process
}

func (p program) demo(args []string) error {
	d, err := p.planDemo(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.stdout, demoHelp)
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, and its children with it
	return d.run(ctx)
}

// planDemo reads the flags.
func (p program) planDemo(args []string) (*demo, error) {
	flags := flag.NewFlagSet("dtkv demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:6379", "")
	count := flags.Int("nodes", 3, "")
	dir := flags.String("data-dir", "./dtkv-demo", "")
	misuse := func(text string) error { return usageError{text, "dtkv demo --help"} }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, misuse(strings.ReplaceAll(err.Error(), ": -", ": --"))
	}
	host, text, err := net.SplitHostPort(*addr)
	port, perr := strconv.Atoi(text)
	switch {
	case flags.NArg() > 0:
		return nil, misuse(fmt.Sprintf("unexpected argument %q", flags.Arg(0)))
	case *count < 1 || *count > demoMost:
		return nil, misuse(fmt.Sprintf("--nodes: want 1 to %d", demoMost))
	case err != nil || perr != nil || port < 1 || port+*count+demoPeers > 65535:
		return nil, misuse(fmt.Sprintf("--addr %q: want host:port, the port at most %d", *addr, 65535-demoPeers-*count))
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	secret, err := p.password()
	if err != nil {
		return nil, err
	}
	// Nodes that formed a cluster know each other by their ports, so other ports are another cluster.
	d := &demo{program: p, binary: binary, secret: secret, dir: filepath.Join(*dir, text), failed: make(chan error, *count)}
	for i := range *count {
		n := &demoNode{id: fmt.Sprintf("n%d", i+1)}
		n.addr = net.JoinHostPort(host, strconv.Itoa(port+i))
		n.peer = net.JoinHostPort(host, strconv.Itoa(port+i+demoPeers))
		n.log = filepath.Join(d.dir, n.id+".log")
		d.nodes = append(d.nodes, n)
	}
	return d, nil
}

// run starts the nodes, says what to try, and ends them all when ctx ends.
func (d *demo) run(ctx context.Context) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer d.wg.Wait()
	defer cancel()
	for _, n := range d.nodes {
		d.wg.Go(func() { d.keep(ctx, n) })
	}
	if err := d.ready(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	d.welcome()
	select {
	case <-ctx.Done():
		d.say("\nending all nodes\n")
		return nil
	case err := <-d.failed:
		return err
	}
}

func (d *demo) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.stdout, format, args...)
}

// keep runs the process of one node, again and again, until ctx ends. It returns when the process has ended.
func (d *demo) keep(ctx context.Context, n *demoNode) {
	for {
		state, err := d.once(ctx, n)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.failed <- fmt.Errorf("%s: %w", n.id, err)
			return
		case state.Exited(): // it says why by itself
			d.say("%s has ended: %s\n", n.id, lastLine(n.log))
			if len(d.nodes) == 1 || !d.someServe() {
				d.failed <- fmt.Errorf("%s cannot go on; see %s", n.id, n.log)
			}
			return
		}
		d.say("%s has ended (%s); it is started again in %s\n", n.id, state, demoRestart)
		select {
		case <-time.After(demoRestart):
		case <-ctx.Done():
			return
		}
	}
}

// once runs a node's process to its end. When ctx ends, the process is asked to end, too.
func (d *demo) once(ctx context.Context, n *demoNode) (*os.ProcessState, error) {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	peers := make([]string, len(d.nodes))
	for i, other := range d.nodes {
		peers[i] = other.id + "=" + other.peer
	}
	cmd := exec.CommandContext(ctx, d.binary, "serve", "--node-id", n.id, "--addr", n.addr, "--peer-addr", n.peer,
		"--http-addr", "", "--data-dir", filepath.Join(d.dir, n.id), "--peers", strings.Join(peers, ","))
	cmd.Stdout, cmd.Stderr = log, log
	if d.secret != "" {
		cmd.Env = append(os.Environ(), "DTKV_REQUIREPASS="+d.secret, "DTKV_REQUIREPASS_FILE=")
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := startChild(cmd); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.process = cmd.Process
	n.mu.Unlock()
	_ = cmd.Wait() // the state says all
	return cmd.ProcessState, nil
}

// ready waits until all nodes serve.
func (d *demo) ready(ctx context.Context) error {
	d.say("starting %d nodes, data and logs in %s ", len(d.nodes), d.dir)
	defer d.say("\n")
	for deadline := time.Now().Add(demoReady); !d.all(); time.Sleep(demoPoll) {
		select {
		case err := <-d.failed:
			return err
		case <-ctx.Done():
			return nil
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the nodes do not serve after %s; see the logs in %s", demoReady, d.dir)
		}
	}
	return nil
}

func (d *demo) all() bool {
	for _, n := range d.nodes {
		if !d.serves(n) {
			return false
		}
	}
	return true
}

func (d *demo) someServe() bool {
	for _, n := range d.nodes {
		if d.serves(n) {
			return true
		}
	}
	return false
}

// serves reports whether the node answers a read.
func (d *demo) serves(n *demoNode) bool {
	conn, err := d.dial(n.addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(conn, "EXISTS ready\r\n"); err != nil {
		return false
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(reply, ":")
}

// welcome says what there is, and what to try.
func (d *demo) welcome() {
	var text strings.Builder
	fmt.Fprintf(&text, "\nThe nodes are one cluster, and any of them serves any client:\n\n")
	for _, n := range d.nodes {
		n.mu.Lock()
		fmt.Fprintf(&text, "  %s  %s  process %d\n", n.id, n.addr, n.process.Pid)
		n.mu.Unlock()
	}
	first, last := d.nodes[0], d.nodes[len(d.nodes)-1]
	fmt.Fprintf(&text, "\nTry in another terminal:\n\n")
	for _, try := range []string{
		cli(first.addr) + " SET hello world",
		cli(last.addr) + " GET hello",
		cli(first.addr) + " DTKV.CLUSTER NODES",
		cli(first.addr) + " DTKV.CLUSTER TRANSFER " + last.id,
		"kill -9 <process>     # the others go on; it comes back after a while",
	} {
		fmt.Fprintf(&text, "  %s\n", try)
	}
	fmt.Fprintf(&text, "\nCtrl-C ends them all.\n")
	d.say("%s", text.String())
}

// cli is how redis-cli is called for an address.
func cli(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if host == "127.0.0.1" {
		return "redis-cli -p " + port
	}
	return fmt.Sprintf("redis-cli -h %s -p %s", host, port)
}

// lastLine is the last line of a log.
func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}
