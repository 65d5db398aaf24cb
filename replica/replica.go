// Package replica runs Raft groups on this node: proposals go in, applied results come out, reads are current.
//
// It is the only package that imports a Raft library and the only one that touches the disk. It promises:
//
//   - [Group.Propose] answers success only after a quorum has the entry on disk (or, in [SyncOS], with its operating
//     system) and this node has applied it;
//   - an error of Propose says whether the write can have happened: see the errors of this package;
//   - [Group.Read] sees every write that was acknowledged, by any node, before Read was called;
//   - a broken log, snapshot or disk stops the node ([Node.Fatal]); nothing is ever skipped, repaired by guesswork or
//     rolled back to an older snapshot.
//
// Package server and the inspect sub-command of cmd/dtkv may call it.
package replica

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// SyncMode says when a node counts an entry as stored.
type SyncMode string

// The two modes of storing an entry.
const (
	SyncAlways SyncMode = "always" // after fsync: survives the loss of power
	SyncOS     SyncMode = "os"     // after write: survives the death of the process, not of the machine
)

// LogStore names the library that keeps the log.
type LogStore string

// The two log stores.
const (
	StoreWAL  LogStore = "wal"  // hashicorp/raft-wal: segments, one fsync per batch
	StoreBolt LogStore = "bolt" // hashicorp/raft-boltdb: one B+tree file, slower, older
)

// Peer is one voter of the first configuration.
type Peer struct {
	ID      string
	Address string // host:port of its peer listener
}

// Config is what a Node needs to know. Zero durations and sizes take the defaults named beside them.
type Config struct {
	DataDir  string
	NodeID   string   // default: the id in the data directory, or n1 in a new one
	PeerAddr string   // where the peer listener binds, host:port
	Peers    []Peer   // the voters that form the cluster; empty: this node alone, or see Join
	Join     []string // peer addresses of members that a new node asks to take it in; later starts ignore them
	Learner  bool     // a node that joins asks for no vote

	Stop <-chan struct{} // ends the wait of a node that joins; may be nil

	// Advertise is where other nodes reach this one, host:port. Default: its address among the Peers, else PeerAddr.
	Advertise string

	// PeerTLS encrypts the streams between nodes and says who may open them; it serves both ends. nil: plaintext.
	PeerTLS *tls.Config

	Client  string // where clients reach this node; other nodes are told
	Version string // release; other nodes are told

	Sync     SyncMode // default SyncAlways
	LogStore LogStore // default StoreWAL

	MaxValue  int  // bytes; the longest value any operation may produce; default 1 MiB
	AutoMkdir bool // create missing parent directories

	SnapshotEntries  uint64        // entries since the last snapshot that call for one; default 1,000,000
	SnapshotBytes    int64         // bytes of log since the last snapshot that call for one; default 64 MiB
	SnapshotInterval time.Duration // time since the last snapshot that calls for one if anything changed; default 1 h

	ElectionWait time.Duration // how long a request waits for a leader; default 2 s
	DiskStall    time.Duration // a store call that takes longer stops the node; default 5 s

	Observer Observer // is told what is applied; may be nil

	// OnGroups is told that a group was opened here, before the Observer hears of it, and that it was closed, after the
	// Observer has heard the last; the other argument is -1. It is called for group 0 too, by one goroutine at a time,
	// and must not block for long. May be nil.
	OnGroups func(opened, closed int)

	// Stored is told how long each write to the log of a group took. Raft's main goroutine calls it: it must not block. May
	// be nil.
	Stored func(took time.Duration)

	Logger *slog.Logger // default slog.Default()

	grace time.Duration // how long waiters may come back after their node started, before retain; default 2 s
	lean  bool          // of a group that may stay empty: no blocks are reserved for its log

	spreadPoll time.Duration // how often leadership is spread; default see there

	heartbeat time.Duration // election and heartbeat timeout; tests shorten it; default 500 ms
	stall     *stallPoint   // tests hold store calls here; nil otherwise

	// stable lets tests stand before the store of term and vote; nil otherwise
	stable func(raft.StableStore) raft.StableStore

	now func() time.Time // tests step the clock on the wall; default time.Now

	// dial opens a stream to a peer address; tests cut nodes off here; default TCP
	dial dialer
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.SnapshotInterval, time.Hour)
	set(&c.ElectionWait, 2*time.Second)
	set(&c.DiskStall, 5*time.Second)
	set(&c.heartbeat, 500*time.Millisecond)
	set(&c.grace, 2*time.Second)
	set(&c.spreadPoll, spreadPoll)
	if c.Sync == "" {
		c.Sync = SyncAlways
	}
	if c.LogStore == "" {
		c.LogStore = StoreWAL
	}
	if c.MaxValue == 0 {
		c.MaxValue = 1 << 20
	}
	if c.SnapshotEntries == 0 {
		c.SnapshotEntries = 1_000_000
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = 64 << 20
	}
	if c.dial == nil {
		c.dial = func(address string, timeout time.Duration) (net.Conn, error) {
			conn, err := net.DialTimeout("tcp", address, timeout)
			if err != nil {
				return nil, err
			}
			return newRawConn(conn), nil
		}
	}
	if c.PeerTLS != nil {
		plain := c.dial
		c.dial = func(address string, timeout time.Duration) (net.Conn, error) {
			conn, err := plain(address, timeout)
			if err != nil {
				return nil, err
			}
			return encrypted{tls.Client(conn, c.PeerTLS)}, nil // its first bytes are the hello, which has a deadline
		}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Node is this process's part in every group it belongs to.
//
// Goroutines: one accepts peer connections (peers); one opens and closes groups and one spreads their leaders (keeper); one
// takes removed groups off the disk (discards); each group lists its own on Group. mu guards groups and is a leaf.
type Node struct {
	cfg     Config
	metaMu  sync.Mutex
	meta    metadata // what can change after Open is guarded by metaMu
	lock    *os.File // holds the data directory
	address string   // where other nodes reach this one
	known   *acquaintances
	peers   *peerListener
	clients addresses // of the nodes that were met
	fatal   chan error

	stopping atomic.Bool // it gives leadership away and takes none

	base     *Group // group 0
	keeper   *keeper
	discards *discards // of groups that were removed

	mu     sync.Mutex
	groups map[int]*Group
}

// Open starts the node on its data directory, which it creates if need be and locks against a second process. Group 0
// exists when Open returns, but may not have a leader yet: see [Group.Ready]. A new node that is to join a cluster waits
// up to 30 s to be taken in.
func Open(cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	lock, meta, err := openDataDir(cfg)
	if err != nil {
		return nil, err
	}
	cfg.NodeID = meta.NodeID
	n := &Node{cfg: cfg, meta: meta, lock: lock, fatal: make(chan error, 1), groups: map[int]*Group{}}
	listener, err := net.Listen("tcp", cfg.PeerAddr)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("peer address: %w", err)
	}
	listener = rawListener{listener}
	if cfg.PeerTLS != nil {
		listener = encryptedListener{listener, cfg.PeerTLS}
	}
	n.address = announce(cfg, listener)
	if n.known, err = openAcquaintances(cfg.DataDir); err == nil && meta.Joining {
		err = n.join()
	}
	if err != nil {
		listener.Close()
		lock.Close()
		return nil, err
	}
	n.peers = listenPeers(listener, n.meta, n.known, cfg.Logger)
	n.discards = newDiscards(cfg.Logger)
	n.keeper = newKeeper(n)
	if err := n.openGroups(); err != nil {
		err = errors.Join(err, n.closeGroups())
		n.peers.close()
		return nil, errors.Join(err, n.discards.close(), lock.Close())
	}
	n.keeper.start()
	return n, nil
}

// openGroups opens group 0 and the others that this node held when it stopped.
func (n *Node) openGroups() error {
	if err := n.open(place{founders: n.founders()}); err != nil {
		return err
	}
	held, err := n.heldGroups()
	if err != nil {
		return err
	}
	if err := n.sweep(held); err != nil {
		return err
	}
	for _, p := range held {
		if err := n.open(p); err != nil {
			return err
		}
	}
	return nil
}

// founders returns the first configuration of group 0, nil when this node has joined a cluster.
func (n *Node) founders() (servers []raft.Server) {
	switch {
	case n.meta.Joined != 0:
		return nil
	case len(n.cfg.Peers) == 0:
		return []raft.Server{{ID: raft.ServerID(n.meta.NodeID), Address: raft.ServerAddress(n.address)}}
	}
	for _, p := range n.cfg.Peers {
		servers = append(servers, raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	return servers
}

// open opens a group and lets it be found.
func (n *Node) open(p place) error {
	n.onGroups(p.id, -1)
	g, err := openGroup(n, p)
	if err != nil {
		n.onGroups(-1, p.id)
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups[p.id] = g
	return nil
}

func (n *Node) onGroups(opened, closed int) {
	if n.cfg.OnGroups != nil {
		n.cfg.OnGroups(opened, closed)
	}
}

// Group returns the group with that id if it is open here. Group 0 always is.
func (n *Node) Group(id int) (*Group, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g, ok := n.groups[id]
	return g, ok
}

// ID returns the node's id.
func (n *Node) ID() string { return n.meta.NodeID }

// ClusterID returns the id of the cluster that the data directory belongs to.
func (n *Node) ClusterID() string { return n.meta.ClusterID }

// hello opens a stream to another node.
func (n *Node) hello(to string, group place, use string) hello {
	return hello{
		Version: peerVersion, Cluster: n.meta.ClusterID, From: n.meta.NodeID, To: to, Group: group.id, Use: use,
		Generation: group.generation, identity: n.meta.identity, known: n.known,
	}
}

// PeerAddr returns the address that the peer listener is bound to.
func (n *Node) PeerAddr() string { return n.peers.listener.Addr().String() }

// Fatal yields the reason when this node must not go on: a store that failed, hung or lied. The receiver should log it
// and end the process without calling Close, which might hang on the same disk.
func (n *Node) Fatal() <-chan error { return n.fatal }

// fail reports the first fatal reason; later ones follow from it.
func (n *Node) fail(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

// Close finishes what is in flight, stops all groups and releases the data directory.
func (n *Node) Close() error {
	n.keeper.close()
	err := n.closeGroups()
	n.peers.close()
	return errors.Join(err, n.discards.close(), n.lock.Close())
}

// closeGroups closes all groups, side by side, and group 0 last.
func (n *Node) closeGroups() error {
	groups := n.held()
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		if g.id != 0 {
			wg.Go(func() { errs[i] = g.close() })
		}
	}
	wg.Wait()
	for i := len(groups) - 1; i >= 0; i-- {
		if groups[i].id == 0 {
			errs[i] = groups[i].close()
		}
		n.onGroups(-1, groups[i].id)
	}
	return errors.Join(errs...)
}

// held returns the groups that are open here, ordered by id.
func (n *Node) held() []*Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	groups := slices.Collect(maps.Values(n.groups))
	slices.SortFunc(groups, func(a, b *Group) int { return a.id - b.id })
	return groups
}
