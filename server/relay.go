package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// A connection whose database lives on other nodes is relayed to one of them. This file is the end where the client is; inlet.go
// is the other one, where the connection is a session like any other.
//
// One stream for each connection, opened with a greeting (one line of JSON) and a verdict (one line). From here go the client's
// bytes as they are, and the end of what it sends as the end of the stream's one half. From there come frames:
//
//	offset  size  field
//	0       1     kind
//	1       4     length of what follows the header, little-endian
//	5       8     of frameReplies: how many of the client's bytes belong to commands that are answered now
//
// So this end knows whether something is unanswered when the stream breaks, without understanding what goes to and fro.
const (
	useClient = "client"

	frameAlive   = 1 // nothing but a sign of life
	frameReplies = 2 // replies and messages, whole ones
	framePart    = 3 // a beginning of replies, whose rest comes in the next frames
	frameBack    = 4 // the session goes back, as a comeback; what the client has sent and was not run follows
	frameRest    = 5 // bytes that were not run
	frameEnd     = 6 // the session has ended

	frameHeader = 13
	frameMax    = 64 << 10 // bytes behind a header

	greetingMax   = 16 << 10 // bytes
	greetingTime  = 2 * time.Second
	leaderTime    = 300 * time.Millisecond // for a leader of the group, before another holder is asked
	aliveEvery    = time.Second            // a sign of life from the holder..
	alivePatience = 5 * time.Second        // ..without which it is lost
	relayRounds   = 20                     // tries to find a holder, in openWait
	restMax       = 64 << 20               // bytes that come back unrun; sockets hold less
	relayTimeout  = 10 * time.Second       // for the relaying node to take what was sent
	askTime       = 5 * time.Second        // for a question to another node
)

// session is what a connection is, apart from its socket and its database.
type session struct {
	Addr    string    `json:"addr"`
	Proto   int       `json:"proto"`
	Name    string    `json:"name"`
	Library [2]string `json:"library"`
	Owner   fsm.Owner `json:"owner"`
	Stale   bool      `json:"stale"` // READONLY
	NoEvict bool      `json:"noevict"`
	NoTouch bool      `json:"notouch"`
	Off     bool      `json:"off"` // CLIENT REPLY
	Skip    bool      `json:"skip"`
	Next    bool      `json:"next"`
}

// greeting opens a session at another node.
type greeting struct {
	session
	Ready bool `json:"ready"` // refuse it while no leader is known
	Ask   bool `json:"ask"`   // it is this node that asks, not a client: see Server.ask
}

// comeback is how a session ends that goes on where it came from.
type comeback struct {
	session
	Select int  `json:"select"` // the database that it goes on with
	Quiet  bool `json:"quiet"`  // there is no command to be answered
	Reset  bool `json:"reset"`  // it has been reset
}

func (c *conn) session() session {
	return session{
		Addr: addrText(c.sock.RemoteAddr()), Proto: c.out.Proto, Name: c.face.name, Library: c.face.lib, Owner: c.settings.Owner,
		Stale: c.face.reads, NoEvict: c.face.noEvict, NoTouch: c.face.noTouch,
		Off: c.muting.off, Skip: c.muting.skip, Next: c.muting.skipNext,
	}
}

// become makes the connection what another one was.
func (c *conn) become(s *session) {
	c.out.Proto, c.settings.Owner = s.Proto, s.Owner
	c.muting = muting{off: s.Off, skip: s.Skip, skipNext: s.Next}
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	c.face.proto, c.face.name, c.face.lib = s.Proto, s.Name, s.Library
	c.face.reads, c.face.noEvict, c.face.noTouch = s.Stale, s.NoEvict, s.NoTouch
}

// outlet is the way of a relayed connection to the node that serves it.
type outlet struct {
	net.Conn
	in       *bufio.Reader
	sent     atomic.Uint64 // bytes of the client that went there
	answered uint64        // of these, belong to commands that are answered
	parted   bool          // a reply has been begun and not finished
	stopping atomic.Bool   // no further bytes are to go there
	buf      []byte
}

func newOutlet(sock net.Conn) *outlet {
	return &outlet{Conn: sock, in: bufio.NewReaderSize(sock, 4<<10)} // large bodies pass it by
}

// away is the group of a connection while another node serves it.
type away struct{ loading }

// errNoHolder is why a database cannot be selected.
func errNoHolder(db int, err error) error {
	return resp.Errorf("CLUSTERDOWN", "no node that holds database %d serves it now (%v); it was not selected", db, err)
}

// moveOut finds a node that serves the database. The connection is relayed there from then on.
func (c *conn) moveOut(info replica.GroupInfo) error {
	ctx, cancel := context.WithTimeout(c.srv.ctx, openWait)
	defer cancel()
	o, err := c.srv.reach(ctx, &info, greeting{session: c.session(), Ready: true}, int(c.id), c.stopped)
	if err != nil {
		return errNoHolder(info.ID, err)
	}
	c.outlet, c.group, c.settings.Database = o, away{}, info.ID
	c.face.mu.Lock()
	c.face.db = info.ID
	c.face.mu.Unlock()
	return nil
}

// reach opens a session at one of the nodes that hold a group, the first of them being the one that turn says. It tries until
// ctx ends or stopped says so.
func (s *Server) reach(ctx context.Context, info *replica.GroupInfo, g greeting, turn int, stopped func() bool) (*outlet, error) {
	err := errors.New("nobody holds it")
	for round := 0; !stopped(); round++ {
		if now, ok := s.known(info.ID); ok {
			info = &now // it may have moved
		}
		g.Ready = g.Ready && round < relayRounds/2 // better one that refuses for itself than none
		for i := range info.Holders {
			node := info.Holders[(turn+i)%len(info.Holders)].ID
			if node == s.catalogue().ID() {
				continue
			}
			var o *outlet
			if o, err = s.openOutlet(ctx, node, info.ID, g); err == nil {
				return o, nil
			}
		}
		select {
		case <-time.After(openWait / relayRounds):
		case <-ctx.Done():
			return nil, err
		}
	}
	return nil, err
}

// openOutlet opens a session at a node.
func (s *Server) openOutlet(ctx context.Context, node string, db int, g greeting) (*outlet, error) {
	line, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, greetingTime/2)
	defer cancel()
	sock, err := s.catalogue().Dial(dialing, node, useClient, db)
	if err != nil {
		return nil, err
	}
	o := newOutlet(sock)
	_ = sock.SetDeadline(time.Now().Add(greetingTime)) // what fails here fails below
	verdict := ""
	if _, err = sock.Write(append(line, '\n')); err == nil {
		verdict, err = o.in.ReadString('\n')
	}
	if verdict = strings.TrimSpace(verdict); err == nil && verdict != greetingOK {
		err = fmt.Errorf("node %s: %s", node, verdict)
	}
	if err != nil {
		sock.Close()
		return nil, err
	}
	_ = sock.SetDeadline(time.Time{})
	return o, nil
}

// relay lets the node behind the outlet serve the connection until it ends there, goes back, or is lost.
func (c *conn) relay() {
	for c.outlet != nil && !c.closing {
		o := c.outlet
		c.publish()
		c.flush()
		c.endUnit() // a relay may last
		back, err := c.runOutlet(o)
		o.Close()
		c.outlet, c.now = nil, time.Now()
		c.beginUnit()
		if back != nil {
			c.comeHome(back)
			continue
		}
		c.closing = true
		open := o.sent.Load() > o.answered && !o.parted && !c.broken
		if lost := !errors.Is(err, io.EOF); open && (lost || c.stopped()) {
			c.out.Error(resp.Errorf("INDOUBT", "the node that served database %d is lost; what was sent there may or may not have been run", c.settings.Database))
			c.srv.errors.add(c.out.Buf)
			c.flush()
			c.linger()
		}
	}
}

// runOutlet moves bytes both ways. The error is io.EOF when the session has ended there as it should.
func (c *conn) runOutlet(o *outlet) (back *comeback, err error) {
	first := append(c.in.Take(), c.leftover...)
	c.leftover = nil
	var received uint64
	var up sync.WaitGroup
	up.Go(func() { received = c.pump(o, first) })
	back, err = c.takeFrames(o)
	o.stopping.Store(true)
	_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // wakes the pump
	if back == nil {
		o.Close()
	}
	up.Wait()
	c.account.netIn += received
	c.readBy = time.Unix(1, 0)
	if back == nil {
		return nil, err
	}
	halfClose(o.Conn)
	for len(c.leftover) < restMax {
		kind, body, err := o.next()
		switch {
		case err != nil:
			return nil, err
		case kind == frameRest:
			c.leftover = append(c.leftover, body...)
		case kind == frameEnd:
			return back, nil
		}
	}
	return nil, errors.New("too much came back")
}

// pump sends the client's bytes to the node until there are no more, or it is stopped. It returns how many it has received.
func (c *conn) pump(o *outlet, first []byte) (received uint64) {
	send := func(p []byte) error {
		o.sent.Add(uint64(len(p)))
		_, err := o.Write(p)
		return err
	}
	if len(first) > 0 && send(first) != nil {
		return received
	}
	buf := make([]byte, 16<<10)
	for {
		_ = c.sock.SetReadDeadline(time.Time{})
		if o.stopping.Load() {
			return received
		}
		if c.stopped() { // Asked after arming, as in fill.
			halfClose(o.Conn) // the other end answers what it has, and ends
			return received
		}
		n, err := c.sock.Read(buf)
		received += uint64(n)
		if n > 0 && send(buf[:n]) != nil {
			return received
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			halfClose(o.Conn)
			return received
		}
	}
}

func halfClose(sock net.Conn) {
	if half, ok := sock.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a broken stream is noticed by who reads it
	}
}

// takeFrames hands on what comes from the node.
func (c *conn) takeFrames(o *outlet) (*comeback, error) {
	for {
		kind, body, err := o.next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case frameReplies, framePart:
			if c.send(body); c.broken {
				return nil, errUnread
			}
		case frameBack:
			back := new(comeback)
			return back, json.Unmarshal(body, back)
		case frameEnd:
			return nil, io.EOF
		}
	}
}

// next reads a frame, whose body is good until the next one. It waits for a sign of life as long as patience allows.
func (o *outlet) next() (kind byte, body []byte, err error) {
	_ = o.SetReadDeadline(time.Now().Add(alivePatience)) // what fails here fails below
	var h [frameHeader]byte
	if _, err = io.ReadFull(o.in, h[:]); err != nil {
		return 0, nil, noEOF(err)
	}
	n := binary.LittleEndian.Uint32(h[1:])
	if n > frameMax {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(o.buf) < int(n) {
		o.buf = make([]byte, n)
	}
	body = o.buf[:n]
	if _, err = io.ReadFull(o.in, body); err != nil {
		return 0, nil, noEOF(err)
	}
	switch kind = h[0]; kind {
	case frameReplies:
		o.answered, o.parted = binary.LittleEndian.Uint64(h[5:]), false
	case framePart:
		o.parted = true
	}
	return kind, body, nil
}

// noEOF: a stream that ends without saying so is broken.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// comeHome goes on with a session that has come back.
func (c *conn) comeHome(back *comeback) {
	from := c.settings.Database
	c.become(&back.session)
	c.settings.Database = -1 // none: whichever it is, it has to be found
	if back.Reset {
		c.trust(!c.PasswordRequired())
	}
	start := c.out.Len()
	err := c.turnTo(back.Select)
	switch {
	case back.Quiet:
		c.closing = err != nil
		return
	case err == nil:
		c.out.OK()
	default:
		c.out.Error(err)
		c.closing = c.turnTo(from) != nil // it stays where it was
	}
	c.printed(start, nil)
}

// ask runs one command in a database that lives elsewhere and returns its reply. The error is a reply, too.
func (s *Server) ask(ctx context.Context, info *replica.GroupInfo, args ...string) (string, error) {
	o, err := s.reach(ctx, info, greeting{session: session{Proto: 2}, Ready: true, Ask: true}, 0, s.draining.Load)
	if err != nil {
		return "", errNoHolder(info.ID, err)
	}
	defer o.Close()
	defer context.AfterFunc(ctx, func() { o.Close() })()
	if _, err := io.WriteString(o, strings.Join(args, " ")+"\r\n"); err != nil {
		return "", inDoubt
	}
	halfClose(o.Conn)
	var reply []byte
	for {
		kind, body, err := o.next()
		switch {
		case err != nil || len(reply) > restMax:
			return "", inDoubt
		case kind == frameReplies || kind == framePart:
			reply = append(reply, body...)
		case kind == frameEnd:
			prefix, text, _ := strings.Cut(strings.TrimSpace(string(reply)), " ")
			if prefix, failed := strings.CutPrefix(prefix, "-"); failed {
				return "", &resp.Error{Prefix: prefix, Text: text}
			}
			return string(reply), nil
		}
	}
}
