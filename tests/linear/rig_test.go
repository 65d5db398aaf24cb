package linear

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var (
	rounds = flag.Int("rounds", 2, "rounds of each history; the server is killed and restarted in the middle of each")
	seed   = flag.Uint64("seed", 0, "decides what clients do; 0: the clock decides")
)

func TestMain(m *testing.M) { harness.Main(m) }

// rig is a server that is killed now and then, or a cluster that suffers worse, and the clock of the clients.
type rig struct {
	server  *harness.Server  // nil of a cluster; for the test's own goroutine
	addr    string           // of the server
	cluster *harness.Cluster // nil of a single server
	began   time.Time
	seed    uint64
	sent    atomic.Int64 // commands that took effect or may have
	doubts  atomic.Int64 // of these, those whose effect is unknown
	refused atomic.Int64 // commands that were answered, and not run

	mu     sync.Mutex
	deaths []int64 // when the server was surely dead
	broken []string
}

// options are those of every server: it takes snapshots often.
var options = harness.Options{SnapshotEntries: 2000}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{began: time.Now(), seed: *seed}
	if r.seed == 0 {
		r.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", r.seed)
	return r
}

// newServerRig has one server.
func newServerRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.server = harness.Start(t, options)
	r.addr = r.server.Addr
	return r
}

// address is where a client that has been to so many nodes goes next.
func (r *rig) address(visit int) string {
	if r.cluster == nil {
		return r.addr
	}
	nodes := r.cluster.Running()
	if len(nodes) == 0 {
		return ""
	}
	return nodes[visit%len(nodes)].Addr
}

// now is the clients' clock: monotonic nanoseconds.
func (r *rig) now() int64 { return int64(time.Since(r.began)) }

// restart kills the server, notes when it was dead, and starts it again.
func (r *rig) restart(t *testing.T) {
	t.Helper()
	if !r.server.Alive() {
		t.Fatal("the server ended by itself")
	}
	r.server.Kill()
	r.mu.Lock()
	r.deaths = append(r.deaths, r.now())
	r.mu.Unlock()
	r.server = r.server.Restart(t)
}

// death waits until the server that served since then is surely dead, and returns when that was. What it had not put into its
// log by then never happens.
func (r *rig) death(since int64) (int64, error) {
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		r.mu.Lock()
		i, _ := slices.BinarySearch(r.deaths, since)
		if i < len(r.deaths) {
			defer r.mu.Unlock()
			return r.deaths[i], nil
		}
		r.mu.Unlock()
	}
	return 0, errors.New("a connection was closed, and not because the server was killed")
}

// fail notes what a client must not see. The test's own goroutine reports it.
func (r *rig) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

func (r *rig) report(t *testing.T) {
	t.Helper()
	for i, b := range r.broken {
		if i == 10 {
			t.Fatalf("and %d more", len(r.broken)-i)
		}
		t.Error(b)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// client is one connection at a time to a server of a rig. It is for one goroutine.
type client struct {
	rig    *rig
	random *rand.Rand
	visit  int // counts the nodes it has been to
	conn   *harness.Conn
	opened int64 // when, or before
}

func (r *rig) client(number int) *client {
	return &client{rig: r, random: rand.New(rand.NewPCG(r.seed, uint64(number))), visit: number}
}

// answer is what came of one command.
type answer struct {
	reply     string // without what frames it; of an error only the first word
	call, ret int64
	unknown   bool // it took effect before ret, or it never will
}

// send sends a command and reads its reply, and repeats it as long as it surely did not happen.
func (c *client) send(args ...string) answer {
	deadline := time.Now().Add(harness.Patience)
	for {
		a, err := c.once(args)
		if err == nil {
			c.rig.sent.Add(1)
			return a
		}
		if time.Now().After(deadline) {
			c.rig.fail("%q: not within %s: %v", args, harness.Patience, err)
			return answer{unknown: true}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

var errNotSent = errors.New("the server did nothing with it")

// once returns an error if the command surely had no effect.
func (c *client) once(args []string) (a answer, err error) {
	if err := c.connect(); err != nil {
		c.visit++
		return a, err
	}
	a.call = c.rig.now()
	reply, err := c.conn.Do(args...)
	a.ret = c.rig.now()
	if err != nil {
		c.leave()
		a.unknown = true
		if c.rig.cluster != nil { // another node may have it, and be long about it
			c.rig.doubts.Add(1)
			a.ret = never
			return a, nil
		}
		if a.ret, err = c.rig.death(c.opened); err == nil && a.ret < a.call {
			err = errNotSent // it was dead already
		}
		return a, err
	}
	a.reply = bare(reply)
	switch a.reply {
	case "CLUSTERDOWN", "TRYAGAIN", "LOADING":
		c.rig.refused.Add(1)
		c.leave()
		return a, fmt.Errorf("%w: %s", errNotSent, a.reply)
	case "INDOUBT":
		c.rig.doubts.Add(1)
		a.unknown, a.ret = true, never
	}
	return a, nil
}

// abandon sends a command and hangs up after a while. It returns when the server has noticed, so that the command took effect
// by then or never will.
func (c *client) abandon(after time.Duration, args ...string) (a answer, closed int64) {
	c.send("PING") // The server has accepted the connection: it will be on its list.
	for c.connect() != nil {
		time.Sleep(2 * time.Millisecond)
	}
	a = answer{call: c.rig.now(), unknown: true}
	_ = c.conn.Send(harness.Command(args...)) // Whether it arrived is unknown in any case.
	time.Sleep(after)
	mine := "addr=" + c.conn.LocalAddr().String() + " "
	closed = c.rig.now()
	c.close()
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(time.Millisecond) {
		if list := c.send("CLIENT", "LIST"); !list.unknown && !strings.Contains(list.reply, mine) {
			break
		}
		if time.Now().After(deadline) {
			c.rig.fail("the server still lists a client that hung up %s ago", harness.Patience)
			break
		}
	}
	a.ret = c.rig.now()
	return a, closed
}

func (c *client) connect() error {
	if c.conn != nil {
		return nil
	}
	c.opened = c.rig.now()
	conn, err := harness.Connect(c.rig.address(c.visit))
	if err != nil {
		return err
	}
	c.conn = conn
	return nil
}

// leave closes the connection; the next one goes to another node.
func (c *client) leave() {
	c.close()
	c.visit++
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// bare is a reply without its frame: "OK", "12", a value, "NOTOWNER", or "null". Arrays stay as they are.
func bare(reply string) string {
	body := strings.TrimSuffix(reply[1:], "\r\n")
	switch reply[0] {
	case '-':
		body, _, _ = strings.Cut(body, " ")
	case '$', '*':
		if body == "-1" {
			return "null"
		}
		if reply[0] == '*' {
			return reply
		}
		_, body, _ = strings.Cut(body, "\r\n")
	}
	return body
}

// number is a reply that is an integer, 0 if it is none.
func number(reply string) int64 {
	n, err := strconv.ParseInt(reply, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
