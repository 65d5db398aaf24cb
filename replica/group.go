package replica

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/ttl"
)

// Group is this node's part in one Raft group.
//
// Goroutines, and what each may touch:
//
//	raft's own    the state methods; the apply goroutine alone writes machine
//	lead          proposes LeaderStart when this node is elected
//	followFates   reads futures; fails proposals that Raft gave up
//	keepMark      alone writes the high-water mark
//	keepSnapshots asks Raft for snapshots
//	voices        hear the other voters confirm leadership, once reads have needed them
//	follow        keeps a stream to the leader while another node leads
//	answers       two for each node that asks this one, and one for each read index, while this node leads
//	expiry        proposes that what is due goes, while this node leads
//	keepPlace     asks for what this node's place in the cluster lacks
//	retain        proposes that waiters of processes that have ended leave, while this node leads
//	ahead         one for each entry on its way to a follower that Raft has not sent yet
//	watchdog      reads how long a store call has taken
//
// mu is a leaf: nothing is called, sent or logged while it is held, but the machine and the callbacks of Read.
type Group struct {
	place
	node   *Node
	cfg    Config
	origin uint64 // tells this process's proposals from all others'

	stores    *stores
	watch     *watchdog
	transport *transport
	raft      *raft.Raft
	notify    chan bool // hints from Raft that leadership may have changed
	proposals *proposals
	rounds    rounds
	voices    voices
	expiry    *ttl.Loop
	answers   *answerer            // of what other nodes ask the leader
	crew      crew                 // who they are
	link      atomic.Pointer[link] // to the leader; nil if none stands
	unlinked  chan struct{}        // a link has been given up
	deposed   chan struct{}        // this node does not lead, or not any more
	arrivals  arrivals
	counts    counts
	timings   timings

	mu      sync.RWMutex
	machine *fsm.Machine
	tip     struct{ index, term uint64 } // of the newest entry folded in

	ready      atomic.Uint64                     // the newest term in which this node leads and has applied its LeaderStart
	leaderTerm uint64                            // the machine's newest leader term; of the apply goroutine
	catalogued uint64                            // the machine's catalogue index; of the apply goroutine
	applied    atomic.Uint64                     // index of the newest entry folded in
	logged     atomic.Int64                      // bytes of log since the newest snapshot was begun
	snapshots  atomic.Uint64                     // taken since the start of the process
	saving     atomic.Bool                       // one is being taken, or will be at once
	unsaved    atomic.Bool                       // the newest one failed
	saves      chan struct{}                     // holds one value while one was asked for
	newest     atomic.Pointer[raft.SnapshotMeta] // the newest snapshot on disk, zero if there is none

	configured atomic.Pointer[configuration] // the newest committed configuration, never nil
	changing   chan struct{}                 // holds one value while this node changes the configuration
	stirred    chan struct{}                 // holds one value when keepPlace is to look at once

	turn    turn          // wakes those who wait for a leader
	stopped chan struct{} // closed when the group ends; every wait selects on it
	wg      sync.WaitGroup
	fates   chan struct{} // closed when followFates has ended
}

// turn lets any number of waiters learn that something changed.
type turn struct {
	mu sync.Mutex
	ch chan struct{}
}

// next returns a channel that the next change closes.
func (t *turn) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch == nil {
		t.ch = make(chan struct{})
	}
	return t.ch
}

func (t *turn) changed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch != nil {
		close(t.ch)
		t.ch = nil
	}
}

// place is a group as this node is to open it.
type place struct {
	id         int
	generation uint64
	founders   []raft.Server // if nothing is on disk, found the group with these; if there are none, wait for its leader
}

// name is that of the group's directory.
func (p place) name() string {
	if p.id == 0 {
		return "0"
	}
	return fmt.Sprintf("%d-%d", p.id, p.generation)
}

// openGroup opens what the group has on disk, or founds it, and starts its Raft.
func openGroup(n *Node, p place) (*Group, error) {
	var seed [8]byte
	rand.Read(seed[:])
	g := &Group{
		place:   p,
		node:    n,
		cfg:     n.cfg,
		origin:  binary.LittleEndian.Uint64(seed[:]),
		machine: fsm.New(),
		notify:  make(chan bool, 16),
		stopped: make(chan struct{}),
		fates:   make(chan struct{}),

		changing: make(chan struct{}, 1),
		stirred:  make(chan struct{}, 1),
		saves:    make(chan struct{}, 1),
		unlinked: make(chan struct{}, 1),
		deposed:  make(chan struct{}, 1),
	}
	if p.id == 0 {
		n.base = g
	} else {
		g.cfg.lean = true
	}
	g.configured.Store(&configuration{})
	g.answers = newAnswerer(g.patience(), g.admitMember)
	g.proposals = newProposals(g)
	g.voices = voices{group: g, lines: map[raft.ServerID]*voice{}}
	g.listen()
	g.expiry = ttl.NewLoop(&expiring{group: g})
	g.watch = newWatchdog(g.cfg.DiskStall, n.fail)
	named := g.cfg.Logger.With("group", p.id)
	logger := raftLog{slog: named, hclog: raftLogger(named)}
	dir := filepath.Join(g.cfg.DataDir, groupDir, p.name())
	var err error
	if g.stores, err = openStores(dir, g.cfg, g.watch, logger); err != nil {
		return nil, err
	}
	if err := g.refreshNewest(); err != nil {
		return nil, errors.Join(err, g.stores.close())
	}
	stream := &raftStream{
		hello:    n.hello("", p, useRaft),
		addr:     announced{n.address},
		dial:     g.cfg.dial,
		incoming: make(chan net.Conn),
		done:     make(chan struct{}),
	}
	g.transport = newTransport(n.meta.NodeID, stream, logger, 2*g.cfg.heartbeat, g.applied.Load)
	g.stores.log.storing, g.stores.log.after = g.transport.storing, g.transport.stored
	if err := g.startRaft(logger); err != nil {
		return nil, errors.Join(err, g.transport.close(), g.stores.close())
	}
	g.openDoors(stream)
	g.wg.Go(g.watch.run)
	g.wg.Go(g.lead)
	g.wg.Go(g.follow)
	g.wg.Go(g.keepMark)
	g.wg.Go(g.keepSnapshots)
	g.wg.Go(func() { g.expiry.Run(g.stopped) })
	g.wg.Go(g.retain)
	g.wg.Go(g.keepPlace)
	go g.followFates()
	return g, nil
}

// openDoors lets the streams of other nodes in.
func (g *Group) openDoors(raft *raftStream) {
	peers := g.node.peers
	doors := map[string]door{
		useRaft:    raft.door(),
		useChange:  peers.responder(g.answerChange),
		useOrder:   peers.responder(g.answerOrder),
		useMeet:    peers.responder(g.answerMeet),
		useTerm:    {admit: g.admitMember, accept: g.answerTerms},
		useForward: {admit: g.admitMember, accept: g.answers.accept},
	}
	if g.id == 0 {
		doors[useJoin] = peers.responder(g.answerJoin)
	}
	peers.serve(g.place, doors)
}

// Origin is the number of this process in the tickets of those who wait for locks, unlike that of any other process.
func (g *Group) Origin() uint64 { return g.origin }

// announced is an address that others use for this node; it need not be one that the node is bound to.
type announced struct{ address string }

// Network implements net.Addr.
func (announced) Network() string { return "tcp" }

// String implements net.Addr.
func (a announced) String() string { return a.address }

func (g *Group) raftConfig(logger raftLog) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(g.node.meta.NodeID)
	c.HeartbeatTimeout = g.cfg.heartbeat
	c.ElectionTimeout = g.cfg.heartbeat
	c.LeaderLeaseTimeout = g.cfg.heartbeat * 4 / 5
	c.CommitTimeout = 10 * time.Millisecond
	c.MaxAppendEntries = maxAppend
	c.BatchApplyCh = true // room in the queue, so that ApplyLog never waits
	c.NotifyCh = g.notify
	c.Logger = logger.hclog
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // Raft would also shut a leader down that is demoted
	// keepSnapshots decides; Raft's own rule knows entries only.
	c.SnapshotInterval = never
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = minTrailing
	return c
}

const (
	maxAppend = 64 // entries per message; of entryTarget bytes each, a message stays below 16 MiB
	never     = 10 * 365 * 24 * time.Hour
)

// startRaft forms the group if this is its first start, and runs Raft.
func (g *Group) startRaft(logger raftLog) error {
	c := g.raftConfig(logger)
	exists, err := raft.HasExistingState(g.stores.log, g.stores.stable, g.stores.snaps)
	if err != nil {
		return err
	}
	if !exists && len(g.founders) > 0 {
		err := raft.BootstrapCluster(c, g.stores.log, g.stores.stable, g.stores.snaps, g.transport, raft.Configuration{Servers: g.founders})
		if err != nil {
			return fmt.Errorf("form group %d: %w", g.id, err)
		}
	}
	if err := g.node.recordGroup(g.place, true); err != nil { // before the group can promise anything to anybody
		return err
	}
	if g.raft, err = raft.NewRaft(c, state{g}, g.stores.log, g.stores.stable, g.stores.snaps, g.transport); err != nil {
		return fmt.Errorf("%s: %w", g.stores.dir, err)
	}
	g.transport.raft = g.raft
	g.watch.armed.Store(true)
	if f := g.raft.GetConfiguration(); f.Error() == nil && exists {
		g.stores.log.configure(0, f.Configuration())
		g.stores.log.settle(0)
	}
	if g.stores.log.sole.Load() {
		g.transport.electNow()
	}
	return nil
}

// Ready returns once this node may serve the group: it leads, or a stream to a leader that is ready stands. Errors:
// ErrNoLeader when ctx ends first, ErrClosed.
func (g *Group) Ready(ctx context.Context) error {
	for {
		changed := g.turn.next()
		if g.leads(g.ready.Load()) || g.link.Load() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-g.stopped:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
		}
	}
}

// leading is Ready within the election wait, and free when this node serves.
func (g *Group) leading(ctx context.Context) error {
	if g.leads(g.ready.Load()) || g.link.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.ElectionWait)
	defer cancel()
	return g.Ready(ctx)
}

// leads reports whether this node leads in that term now, as far as it knows.
func (g *Group) leads(term uint64) bool {
	return term != 0 && g.raft.State() == raft.Leader && g.raft.CurrentTerm() == term
}

// closeWait bounds how long close waits for what is in flight.
const closeWait = 3 * time.Second

// close finishes what is in flight and ends the group.
func (g *Group) close() error {
	g.node.peers.forget(g.place)
	g.proposals.close()
	select {
	case <-g.proposals.idle:
	case <-time.After(closeWait):
	}
	close(g.stopped)
	g.proposals.abandon()
	close(g.watch.stopped)
	g.closeRounds()
	g.voices.close()
	g.answers.close()
	g.transport.quiet.end()
	err := g.raft.Shutdown().Error()
	err = errors.Join(err, g.transport.close())
	g.wg.Wait()
	select {
	case <-g.fates:
	case <-time.After(closeWait): // Raft lost a future; see followFates
	}
	return errors.Join(err, g.stores.mark.write(), g.stores.close())
}
