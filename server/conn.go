package server

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
	"github.com/dtkv/dtkv/watch"
)

// Bounds of one connection.
const (
	commandTime  = 10 * time.Second // a command that has begun to arrive is complete within this..
	commandBytes = 100 << 10        // ..and one more second for each so many bytes of it
	writeTime    = 10 * time.Second // a peer that takes nothing for so long is gone
	writeSlack   = 5 * time.Second  // the deadline of writes is moved this seldom
	writeChunk   = 1 << 20          // bytes under one write deadline
	lingerTime   = 2 * time.Second  // after a protocol error: time to read our last words
)

// conn is one client. Its goroutine owns every field but face, killed, woken and sock's deadlines, which other goroutines
// touch through [conn.poke], [conn.kill] and [conn.wake].
type conn struct {
	srv   *Server
	id    int64
	sock  net.Conn
	in    *resp.Reader
	out   resp.Writer // Buf is nil while the connection is idle
	unit  *unit       // what one pipeline needs; nil while idle
	group group       // of the selected database
	txn   txn

	lookFunc func(fsm.View) // c.look, bound once
	warmed   int            // see fsm.View.Warm

	planner  commands.Planner
	settings commands.Settings
	muting   muting
	account  account // counted here, published once per unit

	now      time.Time // when the last bytes came
	begun    time.Time // when the command that is half received began to be waited for; zero when none is
	readBy   time.Time // deadline set on the socket's reads, zero for none; never later than the one in force
	writeBy  time.Time // the same for writes
	stranger bool      // it has yet to log in
	closing  bool      // no further command is run
	broken   bool      // the peer takes no replies any more
	lastName *commands.Command

	sub     subscriber
	request *request // what the connection waits for, or will once the log has not granted it at once
	waited  bool     // it has waited for something in this unit
	lost    bool     // the group has gone from this node: the unit is the last

	outlet   *outlet   // to the node that serves the database, if that is not this one
	inlet    *inlet    // the socket, if another node relays the connection here
	back     *comeback // how it goes on there
	leftover []byte    // received, and to be read before the socket

	face     face
	killed   atomic.Bool // by CLIENT KILL from another connection, or with its database
	orphaned atomic.Bool // the latter
	woken    atomic.Bool // the hub has messages

	// Of a connection that a loop serves; see loop.
	loop     *loop
	fd       int32
	at       station
	heard    int   // the sweep since which it had something to say
	readable bool  // the socket may have bytes
	ended    bool  // the peer has sent its last byte
	landed   error // what became of the writes
	landFunc func(error)
}

// muting is the state of CLIENT REPLY. Its zero value prints everything.
type muting struct {
	off      bool
	skip     bool // this command's reply is not wanted
	skipNext bool // nor, once this command is done, the next one's
}

// account counts what a connection did.
type account struct {
	commands, hits, misses, netIn, netOut uint64
}

// errSlow ends a connection whose command did not arrive in time.
var errSlow = errors.New("command not completed in time")

// errStopped ends a connection that was told to stop while it waited.
var errStopped = errors.New("stopped")

func newConn(s *Server, sock net.Conn) *conn {
	c := &conn{srv: s, sock: sock, now: time.Now()}
	c.in = resp.NewReader(c, resp.DefaultLimits)
	c.trust(!c.PasswordRequired())
	c.out.Proto = 2
	c.lookFunc = c.look
	c.group = s.group(0)
	c.settings.MaxValue = s.cfg.MaxValueSize
	c.settings.Owner = newOwner()
	c.face.since, c.face.last = c.now, c.now
	c.face.proto = 2
	return c
}

// serve runs the connection until it ends. A panic of a command ends its connection and nothing else.
func (c *conn) serve() {
	defer c.close()
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
		}
	}()
	for !c.closing {
		err := c.fill()
		switch {
		case err == nil:
			c.runUnit()
		case c.mayMove(err):
			c.back = &comeback{Select: c.settings.Database, Quiet: true}
			c.closing = true
		default:
			c.partWith(err)
			return
		}
	}
	if c.back != nil {
		c.giveBack()
	}
}

func (c *conn) panicked(p any) {
	c.srv.panics.Add(1)
	c.srv.log.Error("a command panicked; its connection is closed",
		"panic", p, "command", c.commandName(), "stack", string(debug.Stack()))
}

// Read is the source of the connection's reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.loop != nil {
		return c.readSocket(p)
	}
	if len(c.leftover) > 0 {
		n := copy(p, c.leftover)
		c.leftover = c.leftover[n:]
		return n, nil
	}
	n, err := c.sock.Read(p)
	c.account.netIn += uint64(n)
	return n, err
}

// fill waits for bytes as long as the rules allow.
//
// The socket's deadline is moved as seldom as possible, since that costs more than a command: it may be earlier than the
// one in force, and when it strikes too early it is set again.
func (c *conn) fill() error {
	if c.in.Buffered() > 0 && c.begun.IsZero() {
		c.begun = time.Now()
	}
	for {
		due := c.readDue()
		if !due.IsZero() && (c.readBy.IsZero() || c.readBy.After(due)) {
			c.armRead(due)
		}
		if c.stopped() { // Asked after arming: a poke that came before it would have been overwritten.
			return errStopped
		}
		if c.sub.Subscriber != nil {
			if err := c.deliver(); err != nil {
				return err
			}
		}
		err := c.in.Fill()
		if err == nil {
			c.now = time.Now()
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if due = c.readDue(); !due.IsZero() && !time.Now().Before(due) {
			return errSlow
		}
		c.armRead(due)
	}
}

// readDue is when waiting for bytes ends; zero is never.
func (c *conn) readDue() time.Time {
	if !c.begun.IsZero() {
		return c.begun.Add(commandTime + time.Duration(c.in.Buffered()/commandBytes)*time.Second)
	}
	if idle := c.srv.live.timeout(); idle > 0 && c.sub.Subscriber == nil { // subscribers may be quiet, as in Redis
		return c.now.Add(idle)
	}
	return time.Time{}
}

func (c *conn) armRead(due time.Time) {
	c.readBy = due
	_ = c.sock.SetReadDeadline(due) // fails on a closed socket, as the next read will
}

func (c *conn) stopped() bool { return c.killed.Load() || c.srv.draining.Load() }

// poke makes a connection that waits for bytes look again at what it waits for.
func (c *conn) poke() {
	sock, l := c.place()
	if l != nil {
		l.nudge()
		return
	}
	_ = sock.SetReadDeadline(time.Unix(1, 0))
}

// place is what others may know of where the connection is served.
func (c *conn) place() (net.Conn, *loop) {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return c.sock, c.loop
}

// move changes where the connection is served. Who kills it sees the old place or the new one; whoever serves it next
// asks whether it was killed before it waits.
func (c *conn) move(sock net.Conn, l *loop) {
	c.readBy, c.writeBy = time.Time{}, time.Time{} // the new socket has none
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	c.sock, c.loop = sock, l
}

// kill ends the connection after what it has in hand, soon even if its peer reads nothing.
func (c *conn) kill() {
	c.killed.Store(true)
	if sock, l := c.place(); l == nil {
		_ = sock.SetWriteDeadline(time.Now().Add(time.Second))
	}
	c.poke()
}

// cutOff ends the connection whatever it is doing. The descriptor of a loop's connection is the loop's to close.
func (c *conn) cutOff() {
	sock, _ := c.place()
	if s, ok := sock.(interface{ Shutdown() }); ok {
		s.Shutdown()
		return
	}
	wire(sock).Close() // without a word, which could take long
}

// flush writes the replies so far: once per unit, or earlier when they are many. A peer that is gone ends the connection.
func (c *conn) flush() {
	if c.unit != nil && len(c.unit.tally.runs) > 0 {
		defer c.unit.tally.pause(time.Now())
	}
	c.send(c.out.Buf)
	c.out.Reset()
}

// send writes bytes under the deadline.
func (c *conn) send(rest []byte) {
	for len(rest) > 0 && !c.broken {
		chunk := rest[:min(len(rest), writeChunk)]
		if c.inlet != nil {
			c.inlet.more = len(chunk) < len(rest)
		}
		now := time.Now()
		if c.writeBy.Sub(now) < writeTime {
			c.writeBy = now.Add(writeTime + writeSlack)
			if !c.killed.Load() && !(c.sub.Subscriber != nil && c.srv.draining.Load()) {
				_ = c.sock.SetWriteDeadline(c.writeBy)
			}
		}
		n, err := c.sock.Write(chunk)
		c.account.netOut += uint64(n)
		if err != nil {
			c.broken, c.closing = true, true
		}
		rest = rest[n:]
	}
}

// partWith ends a connection that cannot be read any more. A peer that was too slow is told so if it still listens.
func (c *conn) partWith(err error) {
	if errors.Is(err, errSlow) && !c.begun.IsZero() {
		c.tooSlow()
		c.flush()
	}
	if c.sub.Subscriber != nil {
		c.noteSlow(err)
		if c.orphaned.Load() && errors.Is(err, errStopped) {
			c.farewell(watch.ErrRemoved)
			c.flush()
		}
	}
	if !errors.Is(err, io.EOF) {
		c.srv.log.Debug("client disconnected", "client", c.id, "addr", addrText(c.sock.RemoteAddr()), "reason", err)
	}
}

func (c *conn) tooSlow() {
	c.out.Error(&resp.Error{Prefix: "ERR", Text: "timeout: the command was not completed in time"})
}

// refuseProtocol answers bytes that are not RESP, after the replies to the commands before them.
func (c *conn) refuseProtocol(err error) {
	if errors.Is(err, resp.ErrHTTP) || errors.Is(err, resp.ErrTLS) {
		c.flush()
		c.closing = true
		if held, ok := c.srv.foreign.allow(c.now); ok {
			c.srv.log.Warn("a client that does not speak RESP was disconnected",
				"addr", addrText(c.sock.RemoteAddr()), "reason", err, "others", held)
		}
		return
	}
	start := c.out.Len()
	c.out.Error(err)
	c.srv.errors.add(c.out.Buf[start:])
	c.flush()
	c.closing = true
	if !c.broken {
		c.linger()
	}
}

// linger lets the peer read our last words. To close a socket with unread bytes resets it, and a reset may overtake them.
func (c *conn) linger() {
	half, ok := c.sock.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.armRead(time.Now().Add(lingerTime))
	if c.stopped() {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c.sock, int64(2*resp.DefaultLimits.Command)))
}

// close is the one end of a connection.
func (c *conn) close() {
	c.unsubscribe()
	if c.outlet != nil {
		c.outlet.Close()
	}
	if c.abandon() {
		c.sock.Close()
		return // it will be called again
	}
	c.publish()
	c.srv.clients.remove(c)
	c.sock.Close()
}

func (c *conn) commandName() string {
	if c.lastName == nil {
		return ""
	}
	return c.lastName.Name
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
