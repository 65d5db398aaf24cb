package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Every stream between nodes opens with one line of JSON, the hello, answered by "ok" or by what is wrong. It keeps a
// node of another cluster, an old address or a stray client from ever reaching a Raft library that trusts its peers.
const (
	peerVersion  = 1
	helloLimit   = 1 << 10 // bytes
	helloTimeout = 2 * time.Second
	helloOK      = "ok" // followed by who answers, as JSON
	helloLost    = "lost: "
)

// errLost means that another node says that this one has lost its data.
var errLost = errors.New("this node has lost its data directory")

// hello says who opens a stream, to whom, and what for.
type hello struct {
	Version int    `json:"dtkv"`
	Cluster string `json:"cluster"`
	From    string `json:"from"`
	To      string `json:"to"`
	Group   int    `json:"group"`
	Use     string `json:"use"`

	Generation uint64 `json:"generation,omitempty"` // of the group
	identity

	known *acquaintances // checks who answers; may be nil
}

// What streams are for.
const (
	useRaft    = "raft"    // messages of the Raft library
	useForward = "forward" // requests to the leader, see stream
)

// use says what a stream is for, and in which group.
type use struct {
	group int
	name  string
}

// door lets streams in.
type door struct {
	admit  func(hello) error // the reason to refuse a stream; may be nil
	accept func(net.Conn, hello)

	generation uint64 // of the group that it belongs to
}

// dialer opens a connection to the peer listener at an address.
type dialer func(address string, timeout time.Duration) (net.Conn, error)

// peerListener accepts the streams of all groups and hands each to the group it names.
//
// Goroutines: accept, and one for each stream until its hello is read or its question is answered. mu is a leaf.
type peerListener struct {
	listener net.Listener
	meta     metadata
	known    *acquaintances
	logger   *slog.Logger
	wg       sync.WaitGroup
	ctx      context.Context // ends with the listener
	cancel   context.CancelFunc

	mu     sync.Mutex
	closed bool
	doors  map[use]door
	shared map[string]door       // of all groups, by use
	greet  map[net.Conn]struct{} // streams whose hello has not come yet
}

func listenPeers(l net.Listener, meta metadata, known *acquaintances, logger *slog.Logger) *peerListener {
	p := &peerListener{listener: l, meta: meta, known: known, logger: logger, doors: map[use]door{}, shared: map[string]door{}, greet: map[net.Conn]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p
}

func (p *peerListener) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.logger.Warn("accepting a peer failed", "error", err)
			time.Sleep(50 * time.Millisecond) // out of file descriptors: do not spin
			continue
		}
		p.mu.Lock()
		if p.closed || len(p.greet) >= maxGreeting {
			conn.Close()
		} else {
			p.greet[conn] = struct{}{}
			p.wg.Go(func() { p.receive(conn) })
		}
		p.mu.Unlock()
	}
}

// maxGreeting bounds the streams that have not said hello yet; more are closed at once.
const maxGreeting = 256

// receive reads the hello of one stream and hands it on.
func (p *peerListener) receive(conn net.Conn) {
	h, d, err := p.readHello(conn)
	p.mu.Lock()
	delete(p.greet, conn)
	p.mu.Unlock()
	if err != nil {
		p.logger.Warn("refused a peer", "remote", conn.RemoteAddr().String(), "error", err)
		word := "refused: "
		if errors.Is(err, errStranger) {
			word = helloLost
		}
		fmt.Fprintf(conn, "%s%v\n", word, err)
		conn.Close()
		return
	}
	d.accept(conn, h)
}

func (p *peerListener) readHello(conn net.Conn) (h hello, d door, err error) {
	conn.SetDeadline(time.Now().Add(helloTimeout))
	line, err := readLine(conn, helloLimit)
	if err != nil {
		return h, d, fmt.Errorf("no hello: %w", err)
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, d, errors.New("no hello: not a dtkv peer")
	}
	joins := h.Use == useJoin // then it knows neither the cluster nor its nodes yet
	p.mu.Lock()
	group, known := p.doors[use{h.Group, useRaft}]
	d, open := p.doors[use{h.Group, h.Use}]
	if !open {
		d, open = p.shared[h.Use]
	}
	p.mu.Unlock()
	switch {
	case h.Version != peerVersion:
		err = fmt.Errorf("peer protocol version %d, this node speaks %d", h.Version, peerVersion)
	case !joins && h.Cluster != p.meta.ClusterID:
		err = fmt.Errorf("node %q is of cluster %q, this node of %q", h.From, h.Cluster, p.meta.ClusterID)
	case !joins && h.To != p.meta.NodeID:
		err = fmt.Errorf("the stream is for node %q, this is %q", h.To, p.meta.NodeID)
	case !known:
		err = fmt.Errorf("no group %d here", h.Group)
	case h.Generation != group.generation:
		err = fmt.Errorf("group %d here is of generation %d, not %d", h.Group, group.generation, h.Generation)
	case !open:
		err = fmt.Errorf("unknown use %q", h.Use)
	case d.admit != nil:
		err = d.admit(h)
	}
	if err == nil && !joins {
		err = p.known.meet(h.From, h.identity)
	}
	if err != nil {
		return h, d, err
	}
	self, err := json.Marshal(p.meta.identity)
	if err != nil {
		return h, d, err
	}
	if _, err := fmt.Fprintf(conn, "%s %s\n", helloOK, self); err != nil {
		return h, d, err
	}
	return h, d, conn.SetDeadline(time.Time{})
}

// readLine reads up to a newline byte by byte: whatever follows belongs to the stream's next reader.
func readLine(r io.Reader, limit int) ([]byte, error) {
	var line []byte
	var b [1]byte
	for len(line) < limit {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		if b[0] == '\n' {
			return line, nil
		}
		line = append(line, b[0])
	}
	return nil, bufio.ErrTooLong
}

// serve lets streams of a group in.
func (p *peerListener) serve(g place, doors map[string]door) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, d := range doors {
		d.generation = g.generation
		p.doors[use{g.id, name}] = d
	}
}

// serveAll lets streams of a use in, whatever their group, as long as that is open here.
func (p *peerListener) serveAll(use string, d door) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shared[use] = d
}

// forget closes all doors of a group.
func (p *peerListener) forget(g place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.doors, func(u use, _ door) bool { return u.group == g.id })
}

func (p *peerListener) close() {
	p.listener.Close()
	p.cancel()
	p.mu.Lock()
	p.closed = true
	for conn := range p.greet {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// raftStream is the network of one group's Raft: it dials peers with a hello and accepts what the listener hands over.
type raftStream struct {
	hello    hello
	addr     net.Addr
	dial     dialer
	incoming chan net.Conn
	done     chan struct{}
	once     sync.Once
}

// door hands what the listener lets in to Accept.
func (s *raftStream) door() door {
	return door{accept: func(conn net.Conn, _ hello) {
		select {
		case s.incoming <- conn:
		case <-s.done:
			conn.Close()
		}
	}}
}

// Accept implements net.Listener.
func (s *raftStream) Accept() (net.Conn, error) {
	select {
	case conn := <-s.incoming:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *raftStream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// Addr implements net.Listener.
func (s *raftStream) Addr() net.Addr { return s.addr }

// Dial implements raft.StreamLayer. The address is id@host:port, see tagged.
func (s *raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	to, at, ok := strings.Cut(string(address), addressTag)
	if !ok {
		return nil, fmt.Errorf("address %q names no node", address)
	}
	h := s.hello
	h.To = to
	conn, err := dialPeer(s.dial, at, h, timeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	return conn, nil
}

// errUnreached: no stream to the peer could be made.
var errUnreached = errors.New("not reached")

// dialPeer opens a stream to a peer and says hello.
func dialPeer(dial dialer, address string, h hello, timeout time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(timeout)
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	conn, err := dial(address, timeout)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(deadline)
	if _, err = conn.Write(append(line, '\n')); err == nil {
		err = h.answered(conn, address)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// answered reads what became of the hello.
func (h hello) answered(conn net.Conn, address string) error {
	answer, err := readLine(conn, helloLimit)
	if err != nil {
		return err
	}
	word, rest, _ := strings.Cut(string(answer), " ")
	var who identity
	switch {
	case word == strings.TrimSpace(helloLost):
		return fmt.Errorf("%w, says the node at %s: %s", errLost, address, rest)
	case word != helloOK:
		return fmt.Errorf("peer %s at %s: %s", h.To, address, answer)
	case h.known == nil:
		return nil
	}
	if err := json.Unmarshal([]byte(rest), &who); err != nil {
		return fmt.Errorf("peer %s at %s: %w", h.To, address, err)
	}
	return h.known.meet(h.To, who)
}
