package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// fakeGroup is a group without a log: the state machine behind a lock.
type fakeGroup struct {
	id        int
	mu        sync.RWMutex
	machine   *fsm.Machine
	fail      error         // of the next calls
	hold      chan struct{} // Propose waits for it to be closed; nil: does not wait
	late      chan struct{} // what is submitted waits for it to be closed; nil: does not wait
	entered   chan struct{} // told when Propose begins to wait, or something submitted does
	proposals int
	reads     int
	onRead    func() // called by each
	frozen    int
	stale     int // both kinds of reads of what is here
	observer  replica.Observer
	clock     int64 // cluster milliseconds
}

func newFakeGroup() *fakeGroup {
	g := &fakeGroup{machine: fsm.New(), entered: make(chan struct{}, 16)}
	start := fsm.LeaderStart{Term: 1, Node: "n1"}
	if _, err := g.apply(start.AppendTo(nil), 1, nil); err != nil {
		panic(err)
	}
	return g
}

func (g *fakeGroup) apply(ops []byte, n int, see func(op, pos int, v fsm.View)) ([]fsm.Result, error) {
	data := append(make([]byte, fsm.HeaderSize), ops...)
	fsm.SealEntry(data, fsm.Header{Term: 1, ClusterMillis: g.clock, WallMillis: 1_700_000_000_000, MaxValue: 1 << 20}, n)
	entry, err := fsm.OpenEntry(data)
	if err != nil {
		return nil, err
	}
	entry.Index, entry.LogTerm = g.machine.View().Index()+1, 1
	results, err := g.machine.Apply(&entry, see)
	if g.observer != nil {
		g.observer.Applied(g.id, entry.Index, g.machine.Events())
	}
	return results, err
}

func (g *fakeGroup) Origin() uint64 { return 7 }

func (g *fakeGroup) Propose(ctx context.Context, p *replica.Proposal) error {
	g.mu.Lock()
	hold := g.hold
	g.mu.Unlock()
	if hold != nil {
		g.entered <- struct{}{}
		<-hold
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return g.fail
	}
	g.proposals++
	results, err := g.apply(p.Ops, p.N, p.See)
	p.Results = append(p.Results[:0], results...)
	return err
}

func (g *fakeGroup) Read(ctx context.Context, fn func(fsm.View)) error {
	g.mu.Lock()
	g.reads++
	fail, onRead := g.fail, g.onRead
	g.mu.Unlock()
	if onRead != nil {
		onRead()
	}
	if fail != nil {
		return fail
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	fn(g.machine.View())
	return nil
}

func (g *fakeGroup) Confirm(done func(error)) {
	g.mu.Lock()
	fail := g.fail
	g.mu.Unlock()
	done(fail)
}

func (g *fakeGroup) Frozen(context.Context) (fsm.View, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen++
	if g.fail != nil {
		return fsm.View{}, g.fail
	}
	return g.machine.Freeze(), nil
}

func (g *fakeGroup) Stale(fn func(fsm.View)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stale++
	if errors.Is(g.fail, replica.ErrClosed) {
		return g.fail
	}
	fn(g.machine.View())
	return nil
}

func (g *fakeGroup) FrozenStale() (fsm.View, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stale++
	return g.machine.Freeze(), nil
}

func (g *fakeGroup) Status() replica.Status {
	return replica.Status{
		Group: g.id, Role: "leader", Ready: true, Term: 1, LeaderID: "n1", Sync: replica.SyncAlways, LogStore: replica.StoreWAL,
		Members: []replica.Member{{ID: "n1", Voter: true}},
	}
}

func (g *fakeGroup) Save() bool                  { return true }
func (g *fakeGroup) Ready(context.Context) error { return nil }

func (g *fakeGroup) setFail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = err
}

// counts returns how often the group was asked to propose, to read and to freeze since the last call.
func (g *fakeGroup) counts() (proposals, reads, frozen int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	proposals, reads, frozen = g.proposals, g.reads, g.frozen
	g.proposals, g.reads, g.frozen = 0, 0, 0
	return proposals, reads, frozen
}

// quiet drops log lines.
var quiet = slog.New(slog.DiscardHandler)

// newTestServer makes a server of one fake group that listens nowhere; see startTestServer.
func newTestServer(cfg Config) (*Server, *fakeGroup) {
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s := newServer(cfg)
	g := newFakeGroup()
	g.observer = s.hub
	s.useGroups(func(db int) group {
		if db == 0 {
			return g
		}
		return nil
	})
	return s, g
}

// startTestServer serves a fake group on a free port until the test ends.
func startTestServer(t *testing.T, change func(*Config)) (*Server, *fakeGroup) {
	t.Helper()
	cfg := Default()
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", ""
	if change != nil {
		change(&cfg)
	}
	s, g := newTestServer(cfg)
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stopClients)
	return s, g
}

// patience bounds waits that end at once when all is well.
const patience = 10 * time.Second

// client is a peer of a test.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, s *Server) *client {
	t.Helper()
	sock, err := net.DialTimeout("tcp", s.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, sock}
}

// send writes inline commands, one a line.
func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatalf("send %q: %v", lines, err)
	}
}

// want reads as many bytes as the expected text has and compares.
func (c *client) want(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(c, got)
	if string(got[:n]) != text {
		c.t.Fatalf("got %q (%v), want %q", got[:n], err, text)
	}
}

// wantEnd reads the connection's last bytes.
func (c *client) wantEnd(text string) {
	c.t.Helper()
	got, err := io.ReadAll(c)
	if string(got) != text || err != nil {
		c.t.Fatalf("got %q (%v), want %q and the end", got, err, text)
	}
}

// talk sends inline commands in one piece on a connection of its own and returns all that comes back.
func talk(t *testing.T, s *Server, lines ...string) string {
	t.Helper()
	c := dial(t, s)
	go func() {
		fmt.Fprint(c, strings.Join(lines, "\r\n")+"\r\n")
		c.CloseWriteNow()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

// crlf lets expectations be written one line each.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func (g *fakeGroup) Submit(list []*replica.Proposal) bool {
	g.mu.Lock()
	busy, late := g.hold != nil || g.fail != nil, g.late
	g.mu.Unlock()
	if busy {
		return false
	}
	run := func() {
		for _, p := range list {
			p.Done(g.Propose(context.Background(), p))
		}
	}
	if late == nil {
		run()
		return true
	}
	go func() {
		g.entered <- struct{}{}
		<-late
		run()
	}()
	return true
}

func (g *fakeGroup) Current() bool { return true }
