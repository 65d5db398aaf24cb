package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/watch"
)

// Config is everything a node can be told. [Options] names each field once: as a flag (--name), an environment variable
// (DTKV_NAME) and a line of the configuration file (name value).
type Config struct {
	Addr     string // where clients connect, host:port; port 0 picks a free one
	PeerAddr string // where other nodes connect; empty: the client port + 10000
	HTTPAddr string // /healthz and /readyz; empty: off
	DataDir  string
	NodeID   string // empty: the id in the data directory, n1 in a new one
	Peers    []replica.Peer
	Join     []string // peer addresses of members that take a new node in
	Learner  bool     // a node that joins gets no vote

	Advertise     string // where other nodes reach this one; empty: as the peers say, or the peer address
	AdvertiseAddr string // where clients reach it; empty: Addr

	RequirePass     string // clients must log in with it; empty: no need, unless RequirePassFile says so
	RequirePassFile string // holds passwords, one a line
	TLSCert, TLSKey string // files; empty: no TLS
	TLSCA           string // signs the certificates of clients and nodes
	TLSAuthClients  bool   // clients need one
	PeerTLS         bool   // TLS among the nodes, if there is any
	AllowPlaintext  bool   // addresses that other machines reach may be served unencrypted

	Sync     replica.SyncMode
	LogStore replica.LogStore

	MaxValueSize int  // bytes
	AutoMkdir    bool // create missing parent directories
	MaxClients   int
	Timeout      time.Duration // an idle client is disconnected after this; 0: never

	Notify          watch.Notify // which keyspace notifications are published
	EventRingEvents int          // events kept for streams and slow watchers, per group
	EventRingBytes  int64
	PubSubOutput    int64 // bytes that may wait for one subscriber

	SlowlogOver      int64 // microseconds from which on a command goes into the slow log; negative: none
	SlowlogMaxLen    int64
	LatencyThreshold int64 // milliseconds from which on the latency monitor takes notice; 0: never

	SnapshotEntries  uint64
	SnapshotBytes    int64
	SnapshotInterval time.Duration

	LogLevel slog.Level
	Logger   *slog.Logger // not an option: cmd/dtkv makes it; nil: slog.Default()

	Stop <-chan struct{} // not an option: closed when a start is to be given up; may be nil
}

// Bounds of the options.
const (
	minValueSize  = 1 << 10
	maxValueSize  = 32 << 20 // half of the longest command, so that a value and its key always fit in one
	maxMaxClients = 1_000_000
	minOutput     = 1 << 10 // bytes that may wait for a subscriber, at least
	maxSlowlog    = 100_000 // entries
	maxSlow       = 1 << 40 // microseconds or milliseconds
	peerPortStep  = 10_000
)

// Default is the configuration of a node that was told nothing: durable, alone, on this machine only.
func Default() Config {
	return Config{
		Addr:             "127.0.0.1:6379",
		HTTPAddr:         "127.0.0.1:8379",
		DataDir:          "./dtkv-data",
		Sync:             replica.SyncAlways,
		LogStore:         replica.StoreWAL,
		TLSAuthClients:   true,
		PeerTLS:          true,
		MaxValueSize:     1 << 20,
		MaxClients:       10_000,
		Notify:           watch.DefaultNotify,
		EventRingEvents:  200_000,
		EventRingBytes:   64 << 20,
		PubSubOutput:     32 << 20,
		SlowlogOver:      10_000,
		SlowlogMaxLen:    128,
		SnapshotEntries:  1_000_000,
		SnapshotBytes:    64 << 20,
		SnapshotInterval: time.Hour,
	}
}

// Set changes the option of that name. The error names the option and says what it accepts.
func (c *Config) Set(name, value string) error {
	for i := range Options {
		o := &Options[i]
		if o.Name != name {
			continue
		}
		if err := o.set(c, value); err != nil {
			return fmt.Errorf("%s %q: %w", name, value, err)
		}
		return nil
	}
	return fmt.Errorf("unknown option %q", name)
}

// Get returns the value of the option of that name as Set would accept it.
func (c *Config) Get(name string) (string, bool) {
	for i := range Options {
		if Options[i].Name == name {
			return Options[i].get(c), true
		}
	}
	return "", false
}

// Validate checks what no single option can know: how they fit together.
func (c *Config) Validate() error {
	if err := c.validateDoors(); err != nil {
		return err
	}
	if c.DataDir == "" {
		return errors.New("data-dir must not be empty")
	}
	return c.validateCluster()
}

// validateCluster checks what says who this node is among others.
func (c *Config) validateCluster() error {
	if c.NodeID != "" {
		if err := replica.CheckNodeID(c.NodeID); err != nil {
			return err
		}
	}
	for _, a := range []struct{ option, value string }{{"advertise", c.Advertise}, {"advertise-addr", c.AdvertiseAddr}} {
		if a.value == "" {
			continue
		}
		if err := replica.CheckAddress(a.value); err != nil {
			return fmt.Errorf("%s: %w", a.option, err)
		}
	}
	switch {
	case len(c.Join) > 0 && c.NodeID == "":
		return errors.New("join needs node-id, the name that this node is to have in the cluster")
	case c.joins() && c.Advertise == "" && c.everywhere():
		return errors.New("join needs advertise, where other nodes reach this one, because it listens on every address")
	case c.Learner && !c.joins():
		return errors.New("learner is for nodes that join")
	case len(c.Peers) == 0, c.joins():
		return nil
	case c.NodeID == "":
		return errors.New("peers needs node-id, which of them is this node")
	}
	for _, p := range c.Peers {
		switch {
		case p.ID != c.NodeID:
		case c.Advertise != "" && c.Advertise != p.Address:
			return fmt.Errorf("advertise says %s, and peers that this node is at %s", c.Advertise, p.Address)
		default:
			return nil
		}
	}
	return fmt.Errorf("node-id %q is not among the peers", c.NodeID)
}

// joins reports whether this node enters a cluster that is there. With peers too, those who are not among them do: so all nodes
// can be told the same.
func (c *Config) joins() bool {
	return len(c.Join) > 0 && !slices.ContainsFunc(c.Peers, func(p replica.Peer) bool { return p.ID == c.NodeID })
}

// peerAddr is where the peer listener binds.
func (c *Config) peerAddr() (string, error) {
	if c.PeerAddr != "" {
		return c.PeerAddr, nil
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", fmt.Errorf("addr %q: want host:port", c.Addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("addr %q: the port must be a number", c.Addr)
	}
	if n == 0 {
		return net.JoinHostPort(host, "0"), nil
	}
	if n+peerPortStep > 65535 {
		return "", fmt.Errorf("addr %q: the client port + %d is no port; choose one with --peer-addr", c.Addr, peerPortStep)
	}
	return net.JoinHostPort(host, strconv.Itoa(n+peerPortStep)), nil
}

// replica is the part of the configuration that the Raft groups need.
func (c *Config) replica() (replica.Config, error) {
	peer, err := c.peerAddr()
	if err != nil {
		return replica.Config{}, err
	}
	peers, join := c.Peers, c.Join
	if c.joins() {
		peers = nil
	} else {
		join = nil
	}
	return replica.Config{
		DataDir:          c.DataDir,
		NodeID:           c.NodeID,
		PeerAddr:         peer,
		Peers:            peers,
		Join:             join,
		Learner:          c.Learner,
		Stop:             c.Stop,
		Advertise:        c.Advertise,
		Client:           c.AdvertiseAddr,
		Version:          Version,
		Sync:             c.Sync,
		LogStore:         c.LogStore,
		MaxValue:         c.MaxValueSize,
		AutoMkdir:        c.AutoMkdir,
		SnapshotEntries:  c.SnapshotEntries,
		SnapshotBytes:    c.SnapshotBytes,
		SnapshotInterval: c.SnapshotInterval,
		Logger:           c.Logger,
	}, nil
}

// parsePeers reads n1=host:port,n2=host:port.
func parsePeers(value string) ([]replica.Peer, error) {
	if value == "" {
		return nil, nil
	}
	var peers []replica.Peer
	for _, part := range strings.Split(value, ",") {
		id, addr, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || id == "" {
			return nil, errors.New("want id=host:port, and more after commas")
		}
		if err := replica.CheckNodeID(id); err != nil {
			return nil, err
		}
		if err := replica.CheckAddress(addr); err != nil {
			return nil, fmt.Errorf("peer %s: %w", id, err)
		}
		for _, p := range peers {
			if p.ID == id || p.Address == addr {
				return nil, fmt.Errorf("peer %s=%s is named twice", id, addr)
			}
		}
		peers = append(peers, replica.Peer{ID: id, Address: addr})
	}
	return peers, nil
}

// parseJoin reads host:port,host:port.
func parseJoin(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	list := strings.Split(value, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
		if err := replica.CheckAddress(list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func formatPeers(peers []replica.Peer) string {
	parts := make([]string, len(peers))
	for i, p := range peers {
		parts[i] = p.ID + "=" + p.Address
	}
	return strings.Join(parts, ",")
}
