package server

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/watch"
)

// registry knows every connection of the node.
//
// mu is taken when a connection comes or goes and by those who ask about all of them, never on the way of a command. It
// comes before any face.mu.
type registry struct {
	mu       sync.Mutex
	conns    map[int64]*conn
	lastID   int64
	received uint64  // connections ever accepted
	rejected uint64  // connections refused for being too many
	gone     account // what connections that have ended did
	idle     sync.WaitGroup
}

// add takes c in, unless there are max already, and gives it its id. The caller serves it, which ends with remove.
func (r *registry) add(c *conn, max int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) >= max {
		r.rejected++
		return false
	}
	if r.conns == nil {
		r.conns = map[int64]*conn{}
	}
	r.lastID++
	r.received++
	c.id = r.lastID
	r.conns[c.id] = c
	r.idle.Add(1)
	return true
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c.id)
	c.face.mu.Lock()
	r.gone.add(c.face.account)
	c.face.mu.Unlock()
	r.idle.Done()
}

// all returns the connections in the order of their ids.
func (r *registry) all() []*conn {
	r.mu.Lock()
	list := make([]*conn, 0, len(r.conns))
	for _, c := range r.conns {
		list = append(list, c)
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b *conn) int { return int(a.id - b.id) })
	return list
}

func (r *registry) find(id int64) (*conn, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.conns[id]
	return c, ok
}

// totals sums up what all connections did, and how many came and were refused.
func (r *registry) totals() (sum account, received, rejected uint64, connected int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum = r.gone
	for _, c := range r.conns {
		c.face.mu.Lock()
		sum.add(c.face.account)
		c.face.mu.Unlock()
	}
	return sum, r.received, r.rejected, len(r.conns)
}

// reset sets the counters to zero. Connections go on counting what they did themselves; what they have counted so far is
// taken off the sum.
func (r *registry) reset() {
	sum, _, _, _ := r.totals()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone.sub(sum)
	r.received, r.rejected = 0, 0
}

func (a *account) add(b account) {
	a.commands += b.commands
	a.hits += b.hits
	a.misses += b.misses
	a.netIn += b.netIn
	a.netOut += b.netOut
}

// sub wraps around below zero, which the sum with the live connections undoes.
func (a *account) sub(b account) {
	a.commands -= b.commands
	a.hits -= b.hits
	a.misses -= b.misses
	a.netIn -= b.netIn
	a.netOut -= b.netOut
}

// face is what others may see of a connection. The connection brings it up to date once per unit of work, before the
// replies go out: whoever has read a reply finds its effect in CLIENT LIST.
type face struct {
	mu      sync.Mutex // a leaf
	since   time.Time
	last    time.Time
	name    string
	lib     [2]string // lib-name, lib-ver
	command *commands.Command
	proto   int
	db      int
	multi   int // -1 outside MULTI
	watch   int
	query   int // bytes received and not consumed
	noEvict bool
	noTouch bool
	reads   bool // READONLY: reads may be stale; the connection itself looks without the lock
	blocked bool // waits for a lock or an event
	counts  [3]int
	sub     *watch.Subscriber // nil while it is subscribed to nothing; set as soon as that changes
	account account
}

// publish brings face up to date.
func (c *conn) publish() {
	f := &c.face
	f.mu.Lock()
	f.last, f.command, f.proto, f.account = c.now, c.lastName, c.out.Proto, c.account
	f.db, f.query = c.settings.Database, c.in.Buffered()
	f.counts, f.blocked = c.sub.counts, c.request != nil && c.request.parked
	f.multi, f.watch = -1, len(c.txn.watches)
	if c.txn.open {
		f.multi = len(c.txn.queue)
	}
	f.mu.Unlock()
}

// describe is the connection as CLIENT LIST shows it.
func (c *conn) describe(now time.Time) commands.Client {
	f := &c.face
	f.mu.Lock()
	defer f.mu.Unlock()
	d := commands.Client{
		ID: c.id, Addr: addrText(c.sock.RemoteAddr()), LocalAddr: addrText(c.sock.LocalAddr()), FD: descriptor(c.sock),
		Name: f.name, Age: int64(now.Sub(f.since).Seconds()), Idle: int64(now.Sub(f.last).Seconds()),
		Flags: "", DB: f.db, Multi: f.multi, Watch: f.watch, QueryBuf: f.query,
		User: "default", Proto: f.proto, LibName: f.lib[0], LibVer: f.lib[1],
		NetIn: int64(f.account.netIn), NetOut: int64(f.account.netOut), CommandsExecuted: int64(f.account.commands),
	}
	d.Sub, d.PSub, d.SSub = f.counts[commands.ChannelSpace], f.counts[commands.PatternSpace], f.counts[commands.ShardSpace]
	if f.sub != nil {
		d.OutputMem = int(f.sub.Waiting())
	}
	d.TotalMem = connMemory + f.query + d.OutputMem
	if f.command != nil {
		d.Command = f.command.Name
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{f.multi >= 0, "x"}, {f.counts != [3]int{}, "P"}, {f.blocked, "b"}, {f.reads, "r"}, {f.noEvict, "e"}, {f.noTouch, "T"}} {
		if flag.set {
			d.Flags += flag.name
		}
	}
	if d.Flags == "" {
		d.Flags = "N"
	}
	return d
}

// connMemory is about what an idle connection costs: a goroutine's stack, the read buffer and the structures.
const connMemory = 8<<10 + 4<<10 + 1<<10

// descriptor is the socket's number in this process, or -1.
func descriptor(sock net.Conn) int {
	fd := -1
	if s, ok := sock.(interface{ descriptor() int }); ok {
		return s.descriptor()
	}
	if s, ok := wire(sock).(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(n uintptr) { fd = int(n) }) // fails on a socket that was just closed: -1
		}
	}
	return fd
}
