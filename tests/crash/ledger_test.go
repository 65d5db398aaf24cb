package crash

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// ledger is what clients know about the keys they wrote. A key may hold the last value that was acknowledged, or one that
// was sent since and never answered. Nothing else: an acknowledged write is never lost, and no value comes from nowhere.
type ledger struct {
	mu      sync.Mutex
	acked   map[string]string   // "" means that the key was never written
	pending map[string][]string // sent after the acknowledged value, outcome unknown
	counted map[string]count
	writes  int // acknowledged since the ledger was opened
}

// count is what clients know about a counter.
type count struct{ acked, sent int64 }

func newLedger() *ledger {
	return &ledger{acked: map[string]string{}, pending: map[string][]string{}, counted: map[string]count{}}
}

// step is a group of changes that one request makes, all of them or none.
type step struct {
	set map[string]string
	add []string // counters that grow by one
}

// sent records a request before it is written to the socket.
func (l *ledger) sent(s step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, v := range s.set {
		l.pending[k] = append(l.pending[k], v)
	}
	for _, k := range s.add {
		c := l.counted[k]
		c.sent++
		l.counted[k] = c
	}
}

// done records the acknowledgement of a request. Each key has one writer, with one request in flight.
func (l *ledger) done(s step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, v := range s.set {
		l.acked[k] = v
		delete(l.pending, k)
	}
	for _, k := range s.add {
		c := l.counted[k]
		c.acked++
		l.counted[k] = c
	}
	l.writes++
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// audit reads every key back and compares. What it finds is then settled: a write whose outcome was unknown has either
// happened by now or never will.
func (l *ledger) audit(t *testing.T, addr string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	c := harness.Dial(t, addr)
	defer c.Close()
	keys := map[string]bool{}
	for k := range l.acked {
		keys[k] = true
	}
	for k := range l.pending {
		keys[k] = true
	}
	for k := range keys {
		got := get(t, c, k)
		if got != l.acked[k] && !slices.Contains(l.pending[k], got) {
			t.Errorf("%s holds %q; acknowledged was %q, in doubt %q", k, got, l.acked[k], l.pending[k])
		}
		l.acked[k] = got
		delete(l.pending, k)
	}
	for k, n := range l.counted {
		got, err := strconv.ParseInt(get(t, c, k), 10, 64)
		if err != nil || got < n.acked || got > n.sent {
			t.Errorf("%s holds %d (%v); %d increments were acknowledged, %d sent", k, got, err, n.acked, n.sent)
		}
		l.counted[k] = count{got, got}
	}
}

// pairs checks that what one request wrote to two keys is there together.
func (l *ledger) pairs(t *testing.T, addr string, pairs [][2]string) {
	t.Helper()
	c := harness.Dial(t, addr)
	defer c.Close()
	for _, p := range pairs {
		if a, b := get(t, c, p[0]), get(t, c, p[1]); a != b {
			t.Errorf("one request wrote %s and %s, but they hold %q and %q", p[0], p[1], a, b)
		}
	}
}

// get returns a key's value, or "" when it is missing: the tests write no empty values.
func get(t *testing.T, c *harness.Conn, key string) string {
	t.Helper()
	reply := c.Must(t, "GET", key)
	if reply == "$-1\r\n" {
		return ""
	}
	head, value, ok := strings.Cut(strings.TrimSuffix(reply, "\r\n"), "\r\n")
	if !ok || head != fmt.Sprintf("$%d", len(value)) {
		t.Fatalf("GET %s: %q", key, reply)
	}
	return value
}

func TestTheLedgerNoticesLossAndInvention(t *testing.T) {
	l := newLedger()
	first, second := step{set: map[string]string{"k": "1"}}, step{set: map[string]string{"k": "2"}, add: []string{"n"}}
	l.sent(first)
	l.done(first)
	l.sent(second)
	if l.acked["k"] != "1" || !slices.Equal(l.pending["k"], []string{"2"}) || l.counted["n"] != (count{0, 1}) {
		t.Errorf("after one acknowledged and one open request: %+v", l)
	}
	l.done(second)
	if l.acked["k"] != "2" || len(l.pending["k"]) != 0 || l.counted["n"] != (count{1, 1}) || l.total() != 2 {
		t.Errorf("after both were acknowledged: %+v", l)
	}
}
