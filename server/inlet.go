package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// greetingOK is the verdict on a greeting that opens a session. Any other is the reason why not.
const greetingOK = "ok"

// inlet is the socket of a connection that another node relays here: what is written goes out in frames (see relay.go), beside
// signs of life.
//
// Goroutines: beat, from start to Close. mu is held while a frame is written.
type inlet struct {
	net.Conn
	remote   net.Addr // the client's
	ask      bool     // no client is there, but a node
	answered uint64   // bytes that belong to commands that are answered; of the connection's goroutine
	more     bool     // what is written next is not the end of the replies in hand; the same

	mu    sync.Mutex
	buf   []byte
	ended bool

	done chan struct{} // closed with the socket
	once sync.Once
}

// clientAddr is where a relayed client is.
type clientAddr string

// Network implements net.Addr.
func (clientAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a clientAddr) String() string { return string(a) }

// takeIn serves a session that another node relays here, until it ends.
func (s *Server) takeIn(sock net.Conn, _ string, group int) {
	c, why := s.welcome(sock, group)
	if c == nil {
		_, _ = io.WriteString(sock, why+"\n") // who asks may have lost patience
		sock.Close()
		return
	}
	go c.inlet.beat()
	c.serve()
}

// welcome reads the greeting and makes the connection, or says why not.
func (s *Server) welcome(sock net.Conn, group int) (c *conn, why string) {
	_ = sock.SetDeadline(time.Now().Add(greetingTime)) // what fails here fails below
	var g greeting
	line, err := readLine(sock, greetingMax)
	if err == nil {
		err = json.Unmarshal(line, &g)
	}
	if err != nil {
		return nil, "no greeting: " + err.Error()
	}
	here := s.group(group)
	if here == nil || s.draining.Load() {
		return nil, "it is not here"
	}
	if g.Ready {
		ctx, cancel := context.WithTimeout(s.ctx, leaderTime)
		defer cancel()
		if err := here.Ready(ctx); err != nil {
			return nil, err.Error()
		}
	}
	in := &inlet{Conn: sock, remote: clientAddr(g.Addr), ask: g.Ask, done: make(chan struct{})}
	c = newConn(s, in)
	c.inlet = in
	c.become(&g.session)
	c.trust(true) // it has logged in there
	if !c.home(group) {
		return nil, "it is not here"
	}
	if !s.clients.add(c, int(s.live.maxClients.Load())) {
		return nil, "it has too many clients"
	}
	if _, err := io.WriteString(sock, greetingOK+"\n"); err != nil {
		s.log.Debug("a relayed client is gone", "client", c.id, "error", err) // serve will find out
	}
	_ = sock.SetDeadline(time.Time{})
	setUserTimeout(sock, relayTimeout)
	return c, ""
}

// readLine reads up to a newline byte by byte: whatever follows belongs to the client.
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
	return nil, errors.New("it is too long")
}

// beat sends signs of life.
func (i *inlet) beat() {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-i.done:
			return
		case <-tick.C:
		}
		if !i.mu.TryLock() { // a frame is on its way, which is as good
			continue
		}
		err := i.alive()
		i.mu.Unlock()
		if err != nil {
			i.Conn.Close() // whoever serves it finds out
			return
		}
	}
}

func (i *inlet) alive() error {
	if i.ended {
		return nil
	}
	if err := i.Conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	return i.frame(frameAlive, nil, 0)
}

// frame writes one frame. mu is held.
func (i *inlet) frame(kind byte, body []byte, answered uint64) error {
	i.buf = append(i.buf[:0], kind)
	i.buf = binary.LittleEndian.AppendUint32(i.buf, uint32(len(body)))
	i.buf = binary.LittleEndian.AppendUint64(i.buf, answered)
	i.buf = append(i.buf, body...)
	_, err := i.Conn.Write(i.buf)
	return err
}

// Write implements net.Conn.
func (i *inlet) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for done := 0; done < len(p); {
		chunk := p[done:min(len(p), done+frameMax)]
		kind := byte(frameReplies)
		if i.more || done+len(chunk) < len(p) {
			kind = framePart
		}
		if err := i.frame(kind, chunk, i.answered); err != nil {
			return done, err
		}
		done += len(chunk)
	}
	return len(p), nil
}

// end says that nothing more comes.
func (i *inlet) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.ended {
		i.ended = true
		_ = i.Conn.SetWriteDeadline(time.Now().Add(farewellTime))
		_ = i.frame(frameEnd, nil, 0) // to one who is gone it need not be said
	}
}

// Close implements net.Conn.
func (i *inlet) Close() error {
	i.end()
	i.once.Do(func() { close(i.done) })
	return i.Conn.Close()
}

// CloseWrite tells the other end that nothing more will come.
func (i *inlet) CloseWrite() error {
	i.end()
	halfClose(i.Conn)
	return nil
}

// RemoteAddr implements net.Conn.
func (i *inlet) RemoteAddr() net.Addr { return i.remote }

// NetConn is the socket below.
func (i *inlet) NetConn() net.Conn { return i.Conn }

// note remembers that everything that was taken from the client so far is answered.
func (c *conn) note() {
	if c.request == nil {
		c.inlet.answered = c.account.netIn - uint64(c.in.Buffered())
	}
}

// goBack ends the session here, for the node that relayed it to go on with that database.
func (c *conn) goBack(db int) {
	c.back = &comeback{Select: db}
	c.closing = true
}

// mayMove reports whether a session that was relayed here, and is told to stop, can go on elsewhere: it has nothing that
// would have to be moved along.
func (c *conn) mayMove(err error) bool {
	return errors.Is(err, errStopped) && c.inlet != nil && !c.killed.Load() &&
		c.sub.Subscriber == nil && !c.txn.open && len(c.txn.watches) == 0
}

// giveBack sends back the session, and what the client has sent and was not run.
func (c *conn) giveBack() {
	c.back.session = c.session()
	body, err := json.Marshal(c.back)
	if err == nil {
		err = c.inlet.sendBack(body, c.in.Take())
	}
	if err != nil {
		c.srv.log.Debug("a relayed session did not go back", "client", c.id, "error", err)
	}
}

func (i *inlet) sendBack(back, rest []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.Conn.SetDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if err := i.frame(frameBack, back, 0); err != nil {
		return err
	}
	more, err := io.ReadAll(io.LimitReader(i.Conn, restMax)) // all of it before any is sent: the other end may not read yet
	if err != nil {
		return err
	}
	for _, p := range [][]byte{rest, more} {
		for len(p) > 0 {
			n := min(len(p), frameMax)
			if err := i.frame(frameRest, p[:n], 0); err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}
