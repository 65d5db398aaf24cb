package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/latency"
)

// errDamaged says that something on disk is not what was written there.
var errDamaged = errors.New("damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// watchdog is told of every call to a store. It reports the first error and the first call that hangs, after which the
// node must stop: Linux forgets pages that it failed to write, so a later fsync may lie, and Raft itself would keep
// its leadership on a dead disk (hashicorp/raft issues 503 and 614).
type watchdog struct {
	limit time.Duration
	fail  func(error)

	armed   atomic.Bool  // the node runs: before, errors are answers that refuse the start
	began   atomic.Int64 // when the call in progress began, in nanoseconds since start; 0 if none
	start   time.Time
	stopped chan struct{} // closed when the group closes
}

func newWatchdog(limit time.Duration, fail func(error)) *watchdog {
	return &watchdog{limit: limit, fail: fail, start: time.Now(), stopped: make(chan struct{})}
}

// run looks for a call that hangs until the group stops.
func (w *watchdog) run() {
	tick := time.NewTicker(w.limit / 5)
	defer tick.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-tick.C:
			began := w.began.Load()
			if took := time.Since(w.start) - time.Duration(began); began != 0 && took > w.limit {
				w.fail(fmt.Errorf("the disk has not answered for %v", took.Round(time.Millisecond)))
				return
			}
		}
	}
}

// guard runs one call that changes a store. When it fails, guard reports it and does not return until the group is
// closed, so that Raft cannot go on with a memory that differs from its disk.
func (w *watchdog) guard(call func() error) error {
	w.began.Store(int64(time.Since(w.start)) + 1)
	err := call()
	w.began.Store(0)
	return w.check(err)
}

func (w *watchdog) check(err error) error {
	if err == nil || !w.armed.Load() {
		return err
	}
	select {
	case <-w.stopped: // closed by us
		return err
	default:
	}
	w.fail(err)
	<-w.stopped
	return err
}

// checkedLog adds to a log store a checksum per entry, kept in the entry's Extensions, and the watchdog.
type checkedLog struct {
	raft.LogStore
	watch *watchdog
	stall *stallPoint
	self  raft.ServerID
	// storing and after are called before and after entries are stored, unless they are nil.
	storing func([]*raft.Log)
	after   func()

	took   latency.Histogram   // of each StoreLogs
	stored func(time.Duration) // see Config.Stored

	// sole says that the newest configuration has one voter, this node. It is set when the configuration is stored,
	// which is before Raft acts by it.
	sole atomic.Bool

	// alone says that the configuration has no other node at all, not even a learner. It ends when one with another node
	// is stored, and begins when one without is applied: until then, that node may be told of entries before it.
	alone      atomic.Bool
	mu         sync.Mutex // a leaf; guards what follows
	configured uint64     // index of the newest configuration
	single     bool       // it has one node
}

// extensionSize is the length of a checksum in Log.Extensions.
const extensionSize = 4

// checksum covers what identifies an entry and what it says.
func checksum(l *raft.Log) uint32 {
	var head [17]byte
	binary.LittleEndian.PutUint64(head[0:], l.Index)
	binary.LittleEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
}

// intact reports whether an entry read from disk is what was written.
func intact(l *raft.Log) bool {
	return len(l.Extensions) == extensionSize && binary.LittleEndian.Uint32(l.Extensions) == checksum(l)
}

// StoreLog implements raft.LogStore.
func (c *checkedLog) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. The entries are also in Raft's memory and on their way to followers, so the
// checksums go into copies.
func (c *checkedLog) StoreLogs(logs []*raft.Log) error {
	c.stall.wait(false)
	sealed := make([]*raft.Log, len(logs))
	copies := make([]raft.Log, len(logs))
	for i, l := range logs {
		copies[i] = *l
		copies[i].Extensions = binary.LittleEndian.AppendUint32(make([]byte, 0, extensionSize), checksum(l))
		sealed[i] = &copies[i]
		if l.Type == raft.LogConfiguration {
			c.configure(l.Index, raft.DecodeConfiguration(l.Data))
		}
	}
	if c.storing != nil {
		c.storing(logs)
		defer c.after()
	}
	c.stall.wait(true)
	began := time.Now()
	err := c.watch.guard(func() error { return c.LogStore.StoreLogs(sealed) })
	took := time.Since(began)
	c.took.Observe(took, 1)
	if c.stored != nil {
		c.stored(took)
	}
	return err
}

// GetLog implements raft.LogStore. An entry that is missing is an ordinary answer; one that is damaged stops the node.
func (c *checkedLog) GetLog(index uint64, l *raft.Log) error {
	err := c.read(index, l)
	if errors.Is(err, errDamaged) {
		return c.watch.check(err)
	}
	return err
}

// read fetches an entry and verifies it.
func (c *checkedLog) read(index uint64, l *raft.Log) error {
	if err := c.LogStore.GetLog(index, l); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) {
			return err
		}
		return fmt.Errorf("log entry %d is %w: %w", index, errDamaged, err)
	}
	if l.Index != index || !intact(l) {
		return fmt.Errorf("log entry %d is %w: its checksum does not match", index, errDamaged)
	}
	l.Extensions = nil
	return nil
}

// DeleteRange implements raft.LogStore. When the end of the log goes, the newest configuration may go with it; a node
// to which that happens follows another one.
func (c *checkedLog) DeleteRange(lo, hi uint64) error {
	if last, err := c.LastIndex(); err != nil || hi >= last {
		c.configure(0, raft.Configuration{})
	}
	return c.watch.guard(func() error { return c.LogStore.DeleteRange(lo, hi) })
}

// IsMonotonic implements raft.MonotonicLogStore, which Raft asks about by a type assertion that embedding would hide.
func (c *checkedLog) IsMonotonic() bool {
	m, ok := c.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// configure notes a configuration that is about to be stored.
func (c *checkedLog) configure(index uint64, configuration raft.Configuration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sole := soleVoter(configuration, c.self)
	c.configured, c.single = index, sole && len(configuration.Servers) == 1
	if !c.single {
		c.alone.Store(false)
	}
	c.sole.Store(sole)
}

// settle notes that the configuration at index is applied.
func (c *checkedLog) settle(index uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.configured == index && c.single {
		c.alone.Store(true)
	}
}

func soleVoter(c raft.Configuration, self raft.ServerID) bool {
	sole := false
	for _, s := range c.Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		if s.ID != self {
			return false
		}
		sole = true
	}
	return sole
}

// checkedStable adds to the store of term and vote a checksum per value, since bolt's pages carry none, and the
// watchdog.
type checkedStable struct {
	raft.StableStore
	watch *watchdog
}

// Set implements raft.StableStore.
func (c *checkedStable) Set(key, val []byte) error {
	sealed := binary.LittleEndian.AppendUint32(append([]byte(nil), val...), stableChecksum(key, val))
	return c.watch.guard(func() error { return c.StableStore.Set(key, sealed) })
}

// Get implements raft.StableStore. Raft knows a missing key by the text of the store's error.
func (c *checkedStable) Get(key []byte) ([]byte, error) {
	sealed, err := c.StableStore.Get(key)
	if err != nil {
		return nil, err
	}
	n := len(sealed) - 4
	if n < 0 || binary.LittleEndian.Uint32(sealed[n:]) != stableChecksum(key, sealed[:n]) {
		return nil, fmt.Errorf("%s in the stable store is %w: its checksum does not match", key, errDamaged)
	}
	return sealed[:n], nil
}

// SetUint64 implements raft.StableStore.
func (c *checkedStable) SetUint64(key []byte, val uint64) error {
	return c.Set(key, binary.LittleEndian.AppendUint64(nil, val))
}

// GetUint64 implements raft.StableStore.
func (c *checkedStable) GetUint64(key []byte) (uint64, error) {
	val, err := c.Get(key)
	if err != nil {
		return 0, err
	}
	if len(val) != 8 {
		return 0, fmt.Errorf("%s in the stable store is %w: it is %d bytes long", key, errDamaged, len(val))
	}
	return binary.LittleEndian.Uint64(val), nil
}

func stableChecksum(key, val []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, val)
}

// stallPoint lets a test freeze Raft's main loop inside StoreLogs, as a hung disk would.
type stallPoint struct {
	on       atomic.Bool
	entered  chan struct{}
	released chan struct{}
	sent     bool // only once what is to be stored has gone ahead to followers
}

func newStallPoint() *stallPoint {
	return &stallPoint{entered: make(chan struct{}, 64), released: make(chan struct{})}
}

func (s *stallPoint) wait(sent bool) {
	if s == nil || !s.on.Load() || s.sent != sent {
		return
	}
	s.entered <- struct{}{}
	<-s.released
}
