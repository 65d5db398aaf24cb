package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// writer counts up through whichever node takes its writes, under a key of its own for each number, and remembers what was
// acknowledged.
type writer struct {
	c    *harness.Cluster
	name string
	stop chan struct{}
	done sync.WaitGroup
	gate sync.Mutex // held while a write is on its way: whoever holds it sees a state that stands still

	mu              sync.Mutex
	doubts, refused int
	kept            []int    // what was acknowledged, in ascending order
	wrong           []string // replies that no client is told to expect
}

// write begins to write.
func write(t *testing.T, c *harness.Cluster) *writer { return writeAs(t, c, "w", 0) }

// writeAs is write for one of several, which begins at the node of that number.
func writeAs(t *testing.T, c *harness.Cluster, name string, first int) *writer {
	w := &writer{c: c, name: name, stop: make(chan struct{})}
	w.done.Go(func() { w.run(first) })
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

func (w *writer) run(turn int) {
	for next := 1; ; turn++ {
		if nodes := w.c.Running(); len(nodes) > 0 {
			next = w.through(nodes[turn%len(nodes)], next)
		}
		select {
		case <-w.stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// key is where a number stands. There are many, so that a state has something to compare, and not too many.
func (w *writer) key(n int) string { return fmt.Sprint(w.name, "-", n%1000) }

// through writes to one node until that fails, or for a while, and returns the number to go on with.
func (w *writer) through(s *harness.Server, next int) int {
	conn, err := harness.Connect(s.Addr)
	if err != nil {
		return next
	}
	defer conn.Close()
	for range 200 {
		select {
		case <-w.stop:
			return next
		default:
		}
		w.gate.Lock()
		reply, err := conn.Do("SET", w.key(next), digits(next))
		w.gate.Unlock()
		w.mu.Lock()
		switch {
		case err != nil:
			w.doubts++
		case reply == "+OK\r\n":
			w.kept = append(w.kept, next)
		case strings.HasPrefix(reply, "-INDOUBT"):
			w.doubts++
		case strings.HasPrefix(reply, "-CLUSTERDOWN"), strings.HasPrefix(reply, "-LOADING"):
			w.refused++
		default:
			w.wrong = append(w.wrong, reply)
		}
		w.mu.Unlock()
		next++
		if err != nil || reply[0] == '-' {
			return next
		}
	}
	return next
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
	return len(w.kept)
}

// end stops writing and checks at every node that each key has what was acknowledged last, or what was tried after that.
func (w *writer) end(t *testing.T) {
	t.Helper()
	w.halt()
	for _, wrong := range w.wrong {
		t.Errorf("a write was answered %q", wrong)
	}
	newest := map[string]int{}
	for _, n := range w.kept {
		newest[w.key(n)] = n
	}
	for _, s := range w.c.Running() {
		conn := harness.Dial(t, s.Addr)
		for key, kept := range newest {
			reply := conn.Must(t, "GET", key)
			_, value, _ := strings.Cut(reply, "\r\n")
			var got int
			if _, err := fmt.Sscan(value, &got); err != nil || got < kept || w.key(got) != key {
				t.Errorf("at %s, %s is %q, and %d was acknowledged", w.c.Node(s), key, reply, kept)
			}
		}
	}
	t.Logf("%s: %d writes acknowledged, %d in doubt, %d refused for want of a leader", w.name, len(w.kept), w.doubts, w.refused)
}
