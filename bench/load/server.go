package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	readyWait = 2 * time.Minute  // a server that replays a long log must be ready within this
	stopWait  = 30 * time.Second // a server that was told to stop and has not is killed after this
	pollEvery = 2 * time.Millisecond
)

// Server is a running redis-server, dtkv or etcd on loopback.
//
// One goroutine per server waits for its process to end and then closes done.
type Server struct {
	Name string
	Addr string        // host:port of the client listener
	Dir  string        // where its data is
	Took time.Duration // from the start of the process to the first read answered

	cmd  *exec.Cmd
	ask  func(context.Context) error // whether it serves
	log  string                      // file that holds what it printed
	done chan struct{}
}

// StartRedis starts the yardstick: Redis with every write on disk before it is answered. Its data lies in dir.
func StartRedis(ctx context.Context, dir string, more ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--dir", dir,
	}
	return start(ctx, &Server{Name: "Redis", Addr: loopback(port), Dir: dir}, "redis-server", append(args, more...))
}

// StartDtkv starts a node alone, from a binary of [Build]. Its data lies in dir. More are further flags; they win.
func StartDtkv(ctx context.Context, binary, dir string, more ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	peer, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"--addr", loopback(port), "--peer-addr", loopback(peer), "--http-addr", "", "--data-dir", dir}
	return start(ctx, &Server{Name: "dtkv", Addr: loopback(port), Dir: dir}, binary, append(args, more...))
}

// StartEtcd starts an etcd alone, from a binary that [BuildEtcd] made. Its data lies in dir. [Server.Talk] and what rests
// on it is not for etcd.
func StartEtcd(ctx context.Context, binary, dir string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	peer, err := freePort()
	if err != nil {
		return nil, err
	}
	s := etcdMember(port, dir)
	peers := "http://" + loopback(peer)
	return start(ctx, s, binary, etcdArgs(s, "default", peers, "default="+peers))
}

// etcdMember is one member that is not started yet.
func etcdMember(port int, dir string) *Server {
	s := &Server{Name: "etcd", Addr: loopback(port), Dir: dir}
	s.ask = func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/health", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("etcd is not healthy: %s", answer.Status)
		}
		return nil
	}
	return s
}

func etcdArgs(s *Server, name, peer, members string) []string {
	client := "http://" + s.Addr
	return []string{
		"--name", name, "--data-dir", s.Dir, "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
	}
}

// EtcdPrograms are the paths of etcd and of what puts loads on it.
type EtcdPrograms struct{ Etcd, Locks, Puts string }

// BuildEtcd builds etcd and its load generators, from their module in this checkout, into dir/bin. It takes minutes the
// first time.
func BuildEtcd(ctx context.Context, dir string) (EtcdPrograms, error) {
	root, err := Root()
	if err != nil {
		return EtcdPrograms{}, err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return EtcdPrograms{}, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "./...")
	cmd.Dir = filepath.Join(root, "bench", "etcd")
	if out, err := cmd.CombinedOutput(); err != nil {
		return EtcdPrograms{}, fmt.Errorf("go build in bench/etcd: %w\n%s", err, out)
	}
	return EtcdPrograms{filepath.Join(bin, "etcd"), filepath.Join(bin, "locks"), filepath.Join(bin, "puts")}, nil
}

// Build builds the dtkv of this checkout into dir and returns its path, dir/bin/dtkv.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "bin", "dtkv")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/dtkv")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/dtkv: %w\n%s", err, out)
	}
	return binary, nil
}

func start(ctx context.Context, s *Server, program string, args []string) (*Server, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(filepath.Dir(s.Dir), s.Name+"-*.log")
	if err != nil {
		return nil, err
	}
	s.log = out.Name()
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.done = make(chan struct{})
	if s.ask == nil {
		s.ask = s.probe
	}
	began := time.Now()
	if err := errors.Join(startChild(s.cmd), out.Close()); err != nil { // the child has its own copy of the file
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // The process state tells how it ended.
	}()
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	s.Took = time.Since(began)
	return s, nil
}

// ready waits until the server answers a read, which a node without a leader or with a log to replay does not.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended at once (%s):\n%s", s.Name, s.cmd.ProcessState, s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", s.Name, err, s.lastWords())
		case <-time.After(pollEvery):
		}
	}
}

// probe asks the server for a key. It opens a connection of its own first, since the client library logs each refusal.
func (s *Server) probe(ctx context.Context) error {
	sock, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return err
	}
	if err := sock.Close(); err != nil {
		return err
	}
	return s.Talk(func(client *redis.Client) error {
		if err := client.Get(ctx, "ready").Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return nil
	})
}

// Talk calls fn with a client that tells the truth: it repeats nothing, and it sends nothing that it was not told to.
func (s *Server) Talk(fn func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{
		Addr: s.Addr, Protocol: 2, MaxRetries: -1, DisableIdentity: true, PoolSize: 64,
		DialTimeout: time.Second, DialerRetries: 1, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	return errors.Join(fn(client), client.Close())
}

// Done is closed when the server's process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server: politely first, then by force. It returns once the process has ended.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // Fails only when it has ended already.
	select {
	case <-s.done:
		return
	case <-time.After(stopWait):
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

// RSS is the memory that the server has resident, in bytes. It is read from /proc, so only Linux tells.
func (s *Server) RSS() (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", s.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		if rss, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rss), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("memory of %s: /proc does not tell", s.Name)
}

// Used is the memory that the server says its data takes (used_memory of INFO), in bytes.
func (s *Server) Used(ctx context.Context) (bytes int64, err error) {
	var info string
	err = s.Talk(func(client *redis.Client) error {
		info, err = client.Info(ctx, "memory").Result()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", s.Name, err)
	}
	for line := range strings.Lines(info) {
		if used, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseInt(strings.TrimSpace(used), 10, 64)
		}
	}
	return 0, fmt.Errorf("memory of %s: INFO does not tell", s.Name)
}

// lastWords is the end of what the server printed.
func (s *Server) lastWords() string {
	const most = 2000
	out, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(out[max(0, len(out)-most):])
}

// starter is where all children are started from. A child asks to die with its parent, and to the kernel the parent is
// the thread: so that thread must live as long as the program does.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startChild(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	err := make(chan error)
	starter() <- func() { err <- cmd.Start() }
	return <-err
}

// freePort returns a port that nothing listens on now, and never one twice: the system gives a port again once it is closed.
func freePort() (int, error) {
	for {
		l, err := net.Listen("tcp", loopback(0))
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if _, before := handedOut.LoadOrStore(port, true); !before {
			return port, nil
		}
	}
}

var handedOut sync.Map // ports

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
