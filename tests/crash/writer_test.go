package crash

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

const (
	writers = 8
	slots   = 40 // keys of each writer: few enough that they are overwritten again and again
)

// load is a number of clients that write until the server is gone.
type load struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	oddity []string // replies that a healthy server never gives
}

// begin starts the writers. Values are unique in all cycles, so that an old one can be told from a new one.
func begin(t *testing.T, addr string, l *ledger, cycle int) *load {
	t.Helper()
	load := &load{}
	for w := range writers {
		raw, err := net.DialTimeout("tcp", addr, harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		load.wg.Go(func() {
			c := harness.NewConn(raw)
			defer c.Close()
			for n := 0; ; n++ {
				if !load.write(c, l, w, fmt.Sprintf("%d-%d-%d", cycle, w, n), n%slots) {
					return
				}
			}
		})
	}
	return load
}

// write makes one request of the writer's kind, and reports whether it was answered.
func (d *load) write(c *harness.Conn, l *ledger, w int, value string, slot int) bool {
	key := fmt.Sprintf("w%d:%d", w, slot)
	fill := value + strings.Repeat(".", 100+slot*10)
	var s step
	var raw []byte
	var want string
	switch w % 4 {
	case 0:
		s = step{set: map[string]string{key: fill}}
		raw, want = harness.Command("SET", key, fill), "+OK\r\n"
	case 1:
		s = step{set: map[string]string{key: fill, key + ":twin": fill}}
		raw, want = harness.Command("MSET", key, fill, key+":twin", fill), "+OK\r\n"
	case 2:
		s = step{add: []string{"count:all"}}
		raw, want = harness.Command("INCR", "count:all"), ":"
	case 3:
		own := fmt.Sprintf("count:%d", w)
		s = step{set: map[string]string{key: fill, key + ":twin": fill}, add: []string{own}}
		for _, args := range [][]string{{"MULTI"}, {"SET", key, fill}, {"INCR", own}, {"SET", key + ":twin", fill}, {"EXEC"}} {
			raw = append(raw, harness.Command(args...)...)
		}
		want = "*3\r\n+OK\r\n:"
	}
	l.sent(s)
	if c.Send(raw) != nil {
		return false
	}
	reply, err := c.Reply()
	for i := 0; i < 4 && w%4 == 3 && err == nil; i++ {
		reply, err = c.Reply() // OK, three times QUEUED, and then the result
	}
	if err != nil {
		return false
	}
	if !strings.HasPrefix(reply, want) {
		d.mu.Lock()
		d.oddity = append(d.oddity, reply)
		d.mu.Unlock()
		return false
	}
	l.done(s)
	return true
}

// end waits for the writers, which find the server gone.
func (d *load) end(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { d.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * harness.Patience):
		t.Fatal("writers hang although the server is gone")
	}
	for _, o := range d.oddity {
		t.Errorf("a write was answered with %q", o)
	}
}

func twins() [][2]string {
	var all [][2]string
	for w := range writers {
		for slot := 0; slot < slots && w%2 == 1; slot++ {
			key := fmt.Sprintf("w%d:%d", w, slot)
			all = append(all, [2]string{key, key + ":twin"})
		}
	}
	return all
}
