// Package server runs one node: the sockets, and the road from a command to its answer.
//
// [Open] starts a node from a [Config], [Server.Serve] runs it until it is told to stop. Whatever a client sends, it gets
// an answer in order; an error says what became of the write; nothing a client does harms another client or grows
// without a bound. Package cmd/dtkv is the only caller.
//
// A pipeline is one unit of work ([conn.runUnit]): of everything a socket holds, consecutive writes become one proposal and
// consecutive reads one look at the state, and one socket write carries the replies.
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/watch"
)

// Version is the release. The build sets it to the tag.
var Version = "0.1.0-dev"

// drainTime bounds how long a stop waits for clients that are being answered.
const drainTime = 10 * time.Second

// Server is one node.
//
// Goroutines: accept takes in clients; the loops serve them, and give those with much to do at a time a goroutine of their
// own (conn); the hub of events has its own, and so has the HTTP server. All of them end before Close returns. No lock is taken on the way of a command but the connection's own and the group's.
type Server struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	runID   string // 40 hexadecimal digits, new at every start
	live    live

	ctx       context.Context // ends when the stop has waited long enough
	cancel    context.CancelFunc
	node      *replica.Node                      // nil in tests
	atlas     atomic.Pointer[catalogue]          // nil while loading
	groups    atomic.Pointer[func(db int) group] // nil while loading
	hub       *watch.Hub
	broadcast *broadcast
	tickets   atomic.Uint64 // given to those who wait for locks
	draining  atomic.Bool

	passwords *passwords    // nil: clients need none
	certs     *certificates // nil: there is no TLS
	tls       *tls.Config   // of the client port; nil: plaintext
	greeting  atomic.Int64  // clients that have not agreed on how to encrypt yet
	open      context.Context
	shut      context.CancelFunc // ends open: no more clients
	leaving   chan struct{}      // closed when a client wants the node to stop
	leave     func()             // closes it

	clients registry
	errors  errorCounts
	stats   []commandStats // by the number of the command
	slowlog slowlog
	spikes  spikes
	panics  atomic.Uint64
	pace    pace
	saves   saves
	foreign seldom // log lines about clients that do not speak RESP
	crowded seldom // log lines about refused clients
	slow    seldom // log lines about subscribers that did not keep up

	loops     []*loop
	looping   sync.WaitGroup
	listener  net.Listener
	accepting sync.WaitGroup
	http      *http.Server
	serving   sync.WaitGroup // HTTP
}

// newServer makes a server that listens nowhere and has no groups yet.
func newServer(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.logger(), started: time.Now(), stats: make([]commandStats, commands.Numbers)}
	var id [20]byte
	rand.Read(id[:])
	s.runID = hex.EncodeToString(id[:])
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.open, s.shut = context.WithCancel(s.ctx)
	s.leaving = make(chan struct{})
	s.leave = sync.OnceFunc(func() { close(s.leaving) })
	s.live.init(&s.cfg)
	s.hub = s.newHub()
	s.broadcast = newBroadcast(s.ctx, s.publish)
	return s
}

// Open starts a node. Its addresses are bound first, so that a port in use costs nothing; clients that come while the
// data is read are answered LOADING. The error is one line that names the option to change.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := newServer(cfg)
	if err := s.listen(); err != nil {
		s.cancel()
		s.hub.Close()
		return nil, err
	}
	rc, err := cfg.replica()
	if err == nil {
		if s.certs != nil && cfg.PeerTLS {
			rc.PeerTLS = s.certs.forPeers()
		}
		rc.Observer, rc.OnGroups = s.hub, s.onGroups
		rc.Stored = s.stored
		if rc.Client == "" {
			rc.Client = cfg.clientAddress(s.Addr())
		}
		s.node, err = replica.Open(rc)
	}
	if err != nil {
		err = explainPort(err, "peer-addr", rc.PeerAddr)
		s.stopClients()
		return nil, err
	}
	s.useCatalogue(s.node)
	s.node.Serve(usePublish, s.broadcast.accept)
	var others neighbours = s.node
	s.broadcast.neighbours.Store(&others)
	s.useGroups(func(db int) group {
		if g, ok := s.node.Group(db); ok {
			return g
		}
		return nil
	})
	s.node.Serve(useClient, s.takeIn)
	return s, nil
}

// listen binds the client and the HTTP address and begins to serve both.
func (s *Server) listen() (err error) {
	s.limitClients()
	if err := s.openDoors(); err != nil {
		return err
	}
	if s.listener, err = listen(s.cfg.Addr); err != nil {
		return explainPort(err, "addr", s.cfg.Addr)
	}
	if err := s.listenHTTP(); err != nil {
		s.listener.Close()
		return explainPort(err, "http-addr", s.cfg.HTTPAddr)
	}
	if s.loops, err = newLoops(s); err != nil {
		s.listener.Close()
		return err
	}
	for _, l := range s.loops {
		s.looping.Go(l.run)
	}
	s.accepting.Go(func() { s.accept(s.listener) })
	return nil
}

// explainPort says which option to change when an address is taken.
func explainPort(err error, option, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another process; choose another address with --%s", addr, option)
	}
	return err
}

func (s *Server) useCatalogue(c catalogue) { s.atlas.Store(&c) }

// catalogue is what there is beside the groups that are open here.
func (s *Server) catalogue() catalogue {
	if c := s.atlas.Load(); c != nil {
		return *c
	}
	return alone{}
}

// useGroups ends the loading.
func (s *Server) useGroups(groups func(db int) group) { s.groups.Store(&groups) }

// group is the group behind a database, or nil if there is none. While loading, database 0 is one that refuses.
func (s *Server) group(db int) group {
	if groups := s.groups.Load(); groups != nil {
		return (*groups)(db)
	}
	if db == 0 {
		return loading{}
	}
	return nil
}

// Addr is where clients connect, with the port that was chosen if the configuration left it open.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Ready returns nil once the node serves reads and writes.
func (s *Server) Ready(ctx context.Context) error { return s.group(0).Ready(ctx) }

// Serve runs until ctx ends or a client wants the node to stop, then stops as Close does. It returns early with the reason when the node must not go on,
// and then the process should end: the disk that failed may hang whatever touches it.
func (s *Server) Serve(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return s.Close()
	case <-s.leaving:
		return s.Close()
	case err := <-s.node.Fatal():
		s.draining.Store(true)
		s.pokeClients()
		time.Sleep(100 * time.Millisecond) // for those who can still be told INDOUBT
		return fmt.Errorf("this node cannot go on: %w", err)
	}
}

// Close hands leadership over, stops accepting, answers what is in flight, and closes connections, groups and data
// directory.
func (s *Server) Close() error {
	s.handOver()
	s.stopClients()
	if s.node == nil {
		return nil
	}
	return s.node.Close()
}

// stopClients ends everything that listens. Clients get the answers to what they have sent; those who do not take them
// within drainTime are cut off.
func (s *Server) stopClients() {
	s.draining.Store(true)
	if s.listener != nil {
		s.listener.Close()
		s.shut()
		s.accepting.Wait()
	}
	s.pokeClients()
	for _, c := range s.clients.all() {
		c.hurry()
	}
	done := make(chan struct{})
	go func() {
		s.clients.idle.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTime):
		s.log.Warn("some clients did not take their answers; they are cut off")
		s.cancel()
		for _, c := range s.clients.all() {
			c.cutOff()
		}
	}
	for _, l := range s.loops {
		l.stop()
	}
	s.looping.Wait()
	s.cancel()
	s.broadcast.close()
	s.hub.Close()
	if s.http != nil {
		_ = s.http.Close()
	}
	s.serving.Wait()
}

// pokeClients makes idle connections notice that the node stops.
func (s *Server) pokeClients() {
	for _, c := range s.clients.all() {
		c.poke()
	}
}

// limitClients keeps the number of clients below what the operating system lets the process open.
func (s *Server) limitClients() {
	const reserve = 64 // descriptors for the log, snapshots, peers and HTTP
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return
	}
	if room := int64(limit.Cur) - reserve; int64(s.cfg.MaxClients) > room {
		s.log.Warn("max-clients is lowered to what the limit of open files allows (ulimit -n)",
			"max-clients", max(room, 1), "wanted", s.cfg.MaxClients, "limit", limit.Cur)
		s.live.maxClients.Store(max(room, 1))
	}
}
