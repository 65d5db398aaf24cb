package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dtkv/dtkv/server"
)

// patience bounds waits that end at once when all is well.
const patience = 20 * time.Second

// The test binary is also the program: with this variable set it runs main instead of the tests.
const actAsProgram = "DTKV_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(actAsProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// runProgram runs a command line in this process.
func runProgram(env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, lookupEnv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
	return p.run(args), out.String(), errs.String()
}

func TestCommandLinesThatEndAtOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dtkv.conf")
	if err := os.WriteFile(file, []byte("# ours\naddr 127.0.0.1:0\nport 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letters"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	here := func(args ...string) []string {
		return append([]string{"--addr", "127.0.0.1:0", "--http-addr", "", "--data-dir", dir}, args...)
	}
	tests := []struct {
		name string
		args []string
		env  map[string]string
		code int
		out  string // begins or ends like this
		err  string
	}{
		{"help", []string{"help"}, nil, 0, "dtkv is a coordination service", ""},
		{"help as a flag", []string{"--help"}, nil, 0, "dtkv is a coordination service", ""},
		{"help of a command", []string{"help", "serve"}, nil, 0, "Usage: dtkv [serve]", ""},
		{"help of serve", []string{"serve", "--help"}, nil, 0, "Usage: dtkv [serve]", ""},
		{"help of inspect", []string{"inspect", "--help"}, nil, 0, "Usage: dtkv inspect", ""},
		{"help of demo", []string{"help", "demo"}, nil, 0, "Usage: dtkv demo", ""},
		{"a demo of nothing", []string{"demo", "--nodes", "0"}, nil, 2, "", "--nodes: want 1 to 9"},
		{"a demo nowhere", []string{"demo", "--addr", "here"}, nil, 2, "", "want host:port"},
		{"a demo without room for its ports", []string{"demo", "--addr", "127.0.0.1:60000"}, nil, 2, "", "the port at most 55532"},
		{"a demo of more", []string{"demo", "now"}, nil, 2, "", `unexpected argument "now"`},
		{"help of bench", []string{"help", "bench"}, nil, 0, "Usage: dtkv bench", ""},
		{"a bench of what there is not", []string{"bench", "--loads", "set,fly"}, nil, 2, "", `not "fly"`},
		{"a bench by nobody", []string{"bench", "--clients", "0"}, nil, 2, "", "--clients: 1 to 1000"},
		{"a bench without end", []string{"bench", "--for", "11m"}, nil, 2, "", "--for: up to 10m"},
		{"a bench of nobody", []string{"bench", "--addr", "127.0.0.1:1"}, nil, 1, "", "name a node that runs"},
		{"the release", []string{"version"}, nil, 0, "dtkv " + server.Version, ""},
		{"an unknown command", []string{"fly"}, nil, 2, "", `unknown command "fly"`},
		{"an unknown flag", []string{"--colour", "red"}, nil, 2, "", "not defined: --colour"},
		{"a flag without its value", []string{"--addr"}, nil, 2, "", "needs an argument"},
		{"an argument too many", []string{"serve", "now"}, nil, 2, "", `unexpected argument "now"`},
		{"inspect nothing", []string{"inspect"}, nil, 2, "", "log or snapshot"},
		{"inspect backwards", []string{"inspect", "log", "--from", "5", "--to", "4"}, nil, 2, "", "--to is below --from"},
		{"inspect an empty place", []string{"inspect", "log", "--data-dir", filepath.Join(dir, "none")}, nil, 1, "", "no log"},
		{"a wrong value", here("--sync", "never"), nil, 1, "", `--sync "never": want always or os`},
		{"a wrong value in the environment", here(), map[string]string{"DTKV_SYNC": "never"}, 1, "", `DTKV_SYNC "never"`},
		{"a wrong line in the file", []string{"--config", file}, nil, 1, "", file + ` line 3: unknown option "port"`},
		{"a file that is not there", []string{"--config", file + "x"}, nil, 1, "", "no such file"},
		{"a file named by the environment", nil, map[string]string{"DTKV_CONFIG": file}, 1, "", "line 3"},
		{"an address that others can reach", here("--addr", "0.0.0.0:0"), nil, 1, "", "set requirepass-file or requirepass"},
		{"a client port in use", here("--addr", taken.Addr().String(), "--peer-addr", "127.0.0.1:0"), nil, 1, "", "in use by another process; choose another address with --addr"},
		{"a peer port in use", here("--peer-addr", taken.Addr().String(), "--data-dir", t.TempDir()), nil, 1, "", "choose another address with --peer-addr"},
		{"an HTTP port in use", here("--http-addr", taken.Addr().String()), nil, 1, "", "choose another address with --http-addr"},
		{"somebody else's directory", here("--data-dir", foreign), nil, 1, "", "is not a dtkv data directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, out, errs := runProgram(test.env, test.args...)
			if code != test.code || !strings.HasPrefix(out, test.out) || !strings.Contains(errs, test.err) {
				t.Errorf("exit %d, %q, %q; want %d, %q, %q", code, out, errs, test.code, test.out, test.err)
			}
			if test.code != 0 && (strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "dtkv: ")) {
				t.Errorf("want one line on stderr, got %q", errs)
			}
		})
	}
}

func TestFlagsWinOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dtkv.conf")
	if err := os.WriteFile(file, []byte("addr 127.0.0.1:1\nsync os\nmax-clients 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DTKV_ADDR": "127.0.0.1:2", "DTKV_SYNC": "always"}
	p := program{lookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	cfg, err := p.configure([]string{"--config", file, "--addr", "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Addr != "127.0.0.1:3" || cfg.Sync != "always" || cfg.MaxClients != 5 {
		t.Errorf("got %s, %s, %d", cfg.Addr, cfg.Sync, cfg.MaxClients)
	}
}

// node is a dtkv in a process of its own.
type node struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	log  *logBuffer
}

// logBuffer collects what a process writes while others read it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a node on a free port and waits until it says that it is ready.
func start(t *testing.T, dir string) *node {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	n := &node{t: t, cmd: exec.CommandContext(ctx, exe, "--addr", "127.0.0.1:0", "--http-addr", "", "--data-dir", dir), log: &logBuffer{}}
	n.cmd.Env = append(os.Environ(), actAsProgram+"=1")
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.cmd.Process.Kill() })
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, rest, ok := strings.Cut(n.log.String(), `"msg":"ready"`); ok {
			_, rest, _ = strings.Cut(rest, `"addr":"`)
			n.addr, _, _ = strings.Cut(rest, `"`)
			return n
		}
	}
	t.Fatalf("not ready: %s", n.log)
	return nil
}

// do sends one inline command and returns the first line of the answer.
func (n *node) do(command string) string {
	n.t.Helper()
	sock, err := net.DialTimeout("tcp", n.addr, patience)
	if err != nil {
		n.t.Fatal(err)
	}
	defer sock.Close()
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		n.t.Fatal(err)
	}
	fmt.Fprintf(sock, "%s\r\n", command)
	reply := make([]byte, 256)
	size, err := sock.Read(reply)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(reply[:size])
}

func (n *node) stop(sig os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		n.t.Fatalf("%v ended it with %v:\n%s", sig, err, n.log)
	}
}

func TestANodeServesStopsAndRemembers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir)
	if got := n.do("SET greeting hello"); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v, want 0700", info.Mode(), err)
	}
	if code, _, errs := runProgram(nil, "--addr", "127.0.0.1:0", "--http-addr", "", "--data-dir", dir); code != 1 || !strings.Contains(errs, "in use by another process") {
		t.Errorf("a second one on the same data: exit %d, %q", code, errs)
	}
	n.stop(syscall.SIGTERM)

	code, out, errs := runProgram(nil, "inspect", "log", "--data-dir", dir)
	if code != 0 || !strings.Contains(out, `set "greeting" "hello"`) {
		t.Errorf("inspect log: exit %d, %q, %q", code, out, errs)
	}
	if code, out, _ := runProgram(nil, "inspect", "log", "--data-dir", dir, "--from", "2", "--to", "2"); code != 0 || strings.Count(out, " term ") != 1 || !strings.HasPrefix(out, "2 term") {
		t.Errorf("inspect one entry: exit %d, %q", code, out)
	}

	n = start(t, dir)
	if got := n.do("GET greeting"); got != "$5\r\nhello\r\n" {
		t.Errorf("GET after a restart: %q", got)
	}
	n.stop(os.Interrupt)
}
