package cluster

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// writer counts a key up through whichever node takes its writes, and remembers what was acknowledged.
type writer struct {
	c    *harness.Cluster
	stop chan struct{}
	done sync.WaitGroup

	mu                    sync.Mutex
	last, doubts, refused int
	wrong                 []string // replies that no client is told to expect
}

// write begins to write.
func write(t *testing.T, c *harness.Cluster) *writer {
	w := &writer{c: c, stop: make(chan struct{})}
	w.done.Go(w.run)
	t.Cleanup(w.halt)
	return w
}

func (w *writer) halt() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
}

func (w *writer) run() {
	for next := 1; ; {
		for _, s := range w.c.Running() {
			next = w.through(s, next)
		}
		select {
		case <-w.stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// through writes to one node until that fails, and returns the number to go on with.
func (w *writer) through(s *harness.Server, next int) int {
	conn, err := harness.Connect(s.Addr)
	if err != nil {
		return next
	}
	defer conn.Close()
	for {
		select {
		case <-w.stop:
			return next
		default:
		}
		reply, err := conn.Do("SET", "counter", digits(next))
		w.mu.Lock()
		switch {
		case err != nil:
			w.doubts++
		case reply == "+OK\r\n":
			w.last = next
		case strings.HasPrefix(reply, "-INDOUBT"):
			w.doubts++
		case strings.HasPrefix(reply, "-CLUSTERDOWN"), strings.HasPrefix(reply, "-LOADING"):
			w.refused++
		default:
			w.wrong = append(w.wrong, reply)
		}
		w.mu.Unlock()
		if err != nil || reply[0] == '-' {
			return next + 1
		}
		next++
	}
}

// hear waits for so many more acknowledged writes.
func (w *writer) hear(t *testing.T, more int) {
	t.Helper()
	goal := w.acknowledged() + more
	harness.Eventually(t, "acknowledged writes", func() bool { return w.acknowledged() >= goal })
}

func (w *writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// end stops writing and checks that the newest acknowledged write, or one after it that was in doubt, is there.
func (w *writer) end(t *testing.T) {
	t.Helper()
	w.halt()
	for _, wrong := range w.wrong {
		t.Errorf("a write was answered %q", wrong)
	}
	reply := harness.Dial(t, w.c.Leader().Addr).Must(t, "GET", "counter")
	_, value, _ := strings.Cut(reply, "\r\n")
	value = strings.TrimSuffix(value, "\r\n")
	if len(value) < len(digits(w.last)) || len(value) == len(digits(w.last)) && value < digits(w.last) {
		t.Errorf("the counter is %q, and %d was acknowledged", reply, w.last)
	}
}
