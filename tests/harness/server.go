package harness

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Options say how a dtkv is started. The zero value is a fresh node with the binary's own defaults on free ports.
type Options struct {
	DataDir         string // default: a folder of the test's own
	Addr            string // client address; default: a free port
	PeerAddr        string // default: a free port
	CA              *CA    // everything is encrypted, and clients need a certificate, as [Connect] has by itself; default: nothing is
	HTTPAddr        string // default: none; with port 0: a free port
	Sync            string // always or os
	LogStore        string // wal or bolt
	SnapshotEntries int    // log entries between snapshots; 0 leaves the default
	AutoMkdir       bool
	Password        string   // clients must log in with it, as [Connect] does by itself; default: none
	Network         *Network // where it runs, at Addr and PeerAddr; default: on loopback
	More            []string // further flags
	Env             []string // NAME=value

	cluster *Cluster // of a node that was handed out because it follows
}

// Server is a running dtkv.
type Server struct {
	*Process
	Options               // with the defaults filled in: Start it again to restart it
	Took    time.Duration // from the start of the process to the first read answered
	started time.Time
}

// Start starts a dtkv and waits until it answers a linearizable read. With [ThroughFollower] it is a node of a cluster of
// three, and another one leads; then Restart and signals are for this node only.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	var s *Server
	switch {
	case o.cluster != nil:
		s = o.again(t)
	case ThroughFollower():
		s = startFollower(t, o)
	default:
		s = Launch(t, o)
	}
	if err := Ready(s.Addr, s.Process); err != nil {
		t.Fatalf("dtkv on %s: %v\n%s", s.Addr, err, s.Log())
	}
	s.Took = time.Since(s.started)
	return s
}

// Launch starts a dtkv and waits for nothing: for tests of a start that must fail.
func Launch(t testing.TB, o Options) *Server {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	for _, addr := range []*string{&o.Addr, &o.PeerAddr} {
		if *addr == "" {
			*addr = Loopback(Port(t))
		}
	}
	if host, ok := strings.CutSuffix(o.HTTPAddr, ":0"); ok {
		o.HTTPAddr = net.JoinHostPort(host, strconv.Itoa(Port(t)))
	}
	binary := Binary(t)
	env := append([]string{"GORACE=halt_on_error=1"}, o.Env...) // A race ends the server, and so the test.
	if o.Password != "" {
		env = append(env, "DTKV_REQUIREPASS="+o.Password)
	}
	door := door{password: o.Password}
	if o.CA != nil {
		cert, key := o.CA.Node(t, "node-"+SplitPort(t, o.Addr)) // its own: others may be reading theirs
		env = append(env, "DTKV_TLS_CERT_FILE="+cert, "DTKV_TLS_KEY_FILE="+key, "DTKV_TLS_CA_CERT_FILE="+o.CA.File)
		door.tls = o.CA.Client(t, "client-of-"+SplitPort(t, o.Addr))
	}
	doors.Store(o.Addr, door)
	command := append([]string{binary}, o.args()...)
	if o.Network != nil {
		command = o.Network.inside(o.PeerAddr, command)
	}
	started := time.Now()
	return &Server{Process: Run(t, "", env, command[0], command[1:]...), Options: o, started: started}
}

func (o Options) args() []string {
	args := []string{"--addr", o.Addr, "--peer-addr", o.PeerAddr, "--http-addr", o.HTTPAddr, "--data-dir", o.DataDir}
	if o.Sync != "" {
		args = append(args, "--sync", o.Sync)
	}
	if o.LogStore != "" {
		args = append(args, "--log-store", o.LogStore)
	}
	if o.SnapshotEntries > 0 {
		args = append(args, "--snapshot-entries", strconv.Itoa(o.SnapshotEntries))
	}
	if o.AutoMkdir {
		args = append(args, "--auto-mkdir", "yes")
	}
	return append(args, o.More...)
}

// Restart starts a stopped or killed server again: same addresses, same data.
func (s *Server) Restart(t testing.TB) *Server {
	t.Helper()
	return Start(t, s.Options)
}

// StartRedis starts Debian's Redis with every write on disk before it is answered, and returns its address. Clients must
// log in if there is a password.
func StartRedis(t testing.TB, password string) (*Process, string) {
	t.Helper()
	NeedRedis(t)
	port := Port(t)
	p := Run(t, "", nil, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir(), "--requirepass", password)
	addr := Loopback(port)
	doors.Store(addr, door{password: password})
	if err := Ready(addr, p); err != nil {
		t.Fatalf("redis-server on %s: %v", addr, err)
	}
	return p, addr
}

// Ready waits until a server answers a read. It ends early, with the log, when the process does.
func Ready(addr string, p *Process) error {
	deadline := time.Now().Add(Patience)
	for {
		err := probe(addr)
		if err == nil {
			return nil
		}
		if !p.Alive() {
			return fmt.Errorf("it ended (%s):\n%s", p.state(), p.log.ends(30))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within %s: %w", Patience, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// probe asks for something that only a node with a leader and an applied log can answer. PING would not do.
func probe(addr string) error {
	c, err := ConnectWithin(addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Do("EXISTS", "ready")
	if err == nil && reply != ":0\r\n" && reply != ":1\r\n" {
		err = errors.New(strings.TrimSpace(reply))
	}
	return err
}

// Output runs a program to its end and returns what it printed. The test fails when it fails or takes longer than
// [Patience].
func Output(t testing.TB, dir string, input string, name string, args ...string) string {
	t.Helper()
	out, err := TryOutput(dir, input, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// TryOutput is [Output] for a program that may fail.
func TryOutput(dir string, input string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	out := &log{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	if err := start(cmd); err != nil {
		return "", err
	}
	stop := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return out.String(), err
}
