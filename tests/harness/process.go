package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test started. Its output is kept, and shown when the test fails.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *log
	done chan struct{} // closed once the process has ended and its output is complete
}

// Run starts a program and leaves it running. The test's end ends it, by its process id.
func Run(t testing.TB, dir string, env []string, name string, args ...string) *Process {
	t.Helper()
	p := &Process{name: name, cmd: exec.Command(name, args...), log: &log{}, done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = time.Second // a grandchild that kept the output open must not hold the test
	if err := start(p.cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // The exit state says all: see ExitCode.
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s (pid %d, %s):\n%s", p.name, p.PID(), p.state(), p.log.ends(30))
		}
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is everything the process has printed so far.
func (p *Process) Log() string { return p.log.String() }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process as a power cut would: kill -9, then waits for the end. It does nothing to one that has ended.
func (p *Process) Kill() {
	if p.Alive() {
		_ = p.cmd.Process.Kill() // Fails only when it has just ended by itself.
	}
	<-p.done
}

// Signal sends a signal to the process.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %s: %v", s, p.name, err)
	}
}

// Pause stops the process with SIGSTOP and returns once each of its threads stands still: the signal takes a thread when
// that has a processor next, and the others run on until then.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGSTOP)
	Eventually(t, p.name+" to stand still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, runs)
	})
}

// runs reports whether the thread with that stat file may still run; see proc(5).
func runs(stat string) bool {
	line, _ := os.ReadFile(stat)
	_, state, _ := bytes.Cut(line[max(0, bytes.LastIndexByte(line, ')')):], []byte(" "))
	return !bytes.HasPrefix(state, []byte("T"))
}

// Resume lets a paused process go on.
func (p *Process) Resume(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGCONT)
}

// Stop asks the process to end (SIGTERM), waits, and returns its exit code.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	return p.Wait(t)
}

// Wait waits for the process to end by itself and returns its exit code; -1 means that a signal ended it.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		t.Fatalf("%s has not ended within %s", p.name, Patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *Process) state() string {
	if p.Alive() {
		return "running"
	}
	return p.cmd.ProcessState.String()
}

// Memory is what the process has resident now, and the most it ever had, in bytes. Where the system does not tell, ok is
// false.
func (p *Process) Memory() (now, peak int64, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0, false
	}
	found := 0
	for line := range strings.Lines(string(status)) {
		for _, f := range []struct {
			format string
			into   *int64
		}{{"VmRSS: %d kB", &now}, {"VmHWM: %d kB", &peak}} {
			if n, _ := fmt.Sscanf(line, f.format, f.into); n == 1 {
				*f.into <<= 10
				found++
			}
		}
	}
	return now, peak, found == 2
}

// Descriptors counts the files and sockets that the process has open. Where the system does not tell, ok is false.
func (p *Process) Descriptors() (n int, ok bool) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	return len(open), err == nil
}

// starter is where all processes are started from. A child asks to die with its parent, and to the kernel the parent is
// the thread: so that thread must live as long as the test process does.
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

func start(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	err := make(chan error)
	starter() <- func() { err <- cmd.Start() }
	return <-err
}

// log gathers what a process prints. What goes beyond its bound is dropped, and the log says so.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
	cut bool
}

const logMax = 8 << 20

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len()+len(p) <= logMax {
		return l.buf.Write(p)
	}
	if !l.cut {
		l.cut = true
		l.buf.WriteString("\n(the rest of the output was dropped)\n")
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// ends is the log, or when that is long its first and last lines.
func (l *log) ends(lines int) string {
	all := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	if len(all) > 2*lines { // A crash says first what happened, and then much else.
		all = slices.Concat(all[:lines], []string{"..."}, all[len(all)-lines:])
	}
	return strings.Join(all, "\n")
}
