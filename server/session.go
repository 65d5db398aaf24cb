package server

import (
	"crypto/rand"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var _ commands.Session = (*conn)(nil)

// The methods of this file are what commands may ask of a connection. Only its own goroutine calls them.

// ID is the connection's number.
func (c *conn) ID() int64 { return c.id }

// Name is what the client called itself.
func (c *conn) Name() string { return c.face.name }

// SetName names the connection.
func (c *conn) SetName(name string) {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	c.face.name = name
}

// SetLibrary records the client library's name or version.
func (c *conn) SetLibrary(attribute, value string) {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	switch attribute {
	case "lib-name":
		c.face.lib[0] = value
	case "lib-ver":
		c.face.lib[1] = value
	}
}

// Authenticate lets the one user in who there is. Without a password anything will do, as in Redis.
func (c *conn) Authenticate(user, password string) bool {
	p := c.srv.passwords
	if user != "default" || p != nil && !p.accept(password, time.Now()) {
		return false
	}
	c.trust(true)
	return true
}

// trust says whether the connection has logged in, or need not.
func (c *conn) trust(yes bool) {
	c.stranger = !yes
	c.in.Guard(!yes)
}

// Authenticated is true once the client has logged in, and where there is no password.
func (c *conn) Authenticated() bool { return !c.stranger }

// SetReply obeys CLIENT REPLY.
func (c *conn) SetReply(m commands.ReplyMode) {
	switch m {
	case commands.ReplyOn:
		c.muting = muting{}
	case commands.ReplyOff:
		c.muting = muting{off: true}
	case commands.ReplySkip:
		if !c.muting.off {
			c.muting.skipNext = true
		}
	}
}

// SetNoEvict is remembered for CLIENT LIST: nothing is ever evicted.
func (c *conn) SetNoEvict(on bool) { c.setFlag(&c.face.noEvict, on) }

// SetNoTouch is remembered for CLIENT LIST: keys have no access times.
func (c *conn) SetNoTouch(on bool) { c.setFlag(&c.face.noTouch, on) }

// SetReadOnly says where reads go: to the state as it is here, or to one that has all that was acknowledged. Those of
// transactions always go to the latter.
func (c *conn) SetReadOnly(on bool) { c.setFlag(&c.face.reads, on) }

func (c *conn) setFlag(flag *bool, on bool) {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	*flag = on
}

// Owner is whom the connection acts for.
func (c *conn) Owner() fsm.Owner { return c.settings.Owner }

// SetOwner makes the connection act for somebody else.
func (c *conn) SetOwner(o fsm.Owner) { c.settings.Owner = o }

// newOwner draws an owner that nobody else is.
func newOwner() (o fsm.Owner) {
	_, _ = rand.Read(o[:]) // never fails
	return o
}

// Reset makes the connection what a new one is.
func (c *conn) Reset() {
	c.txn = txn{}
	c.muting = muting{}
	c.trust(!c.PasswordRequired())
	c.settings.Owner = newOwner()
	c.unsubscribe()
	if c.inlet != nil {
		c.goBack(0)
		c.back.Quiet, c.back.Reset = true, true
	} else {
		c.home(0)
	}
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	c.face.name = ""
	c.face.noEvict, c.face.noTouch, c.face.reads = false, false, false
}

// Self describes this connection.
func (c *conn) Self() commands.Client {
	c.publish()
	return c.describe(time.Now())
}

// Clients describes all connections.
func (c *conn) Clients() []commands.Client {
	c.publish()
	now := time.Now()
	conns := c.srv.clients.all()
	list := make([]commands.Client, len(conns))
	for i, other := range conns {
		list[i] = other.describe(now)
	}
	return list
}

// Kill ends a connection: another one after what it has in hand, this one after the reply in hand.
func (c *conn) Kill(id int64) bool {
	if id == c.id {
		c.closing = true
		return true
	}
	other, ok := c.srv.clients.find(id)
	if ok {
		other.kill()
	}
	return ok
}

// PasswordRequired is true where there is a password.
func (c *conn) PasswordRequired() bool { return c.srv.passwords != nil }

// UnixMicro is the wall clock.
func (c *conn) UnixMicro() int64 { return time.Now().UnixMicro() }

// LastSave is when the last snapshot was finished, or else when the node started.
func (c *conn) LastSave() int64 { return c.srv.lastSave(c.group.Status()) }

// Save has a snapshot of the connection's group be taken.
func (c *conn) Save() (begun bool, err error) {
	if _, waiting := c.group.(loading); waiting {
		return false, readVerdict(errLoading)
	}
	return c.group.Save(), nil
}

// Shutdown has the node stop.
func (c *conn) Shutdown() error {
	if c.inlet != nil {
		return resp.Errorf("ERR", "database %d is served by another node, which would stop; SELECT 0 first", c.settings.Database)
	}
	c.srv.log.Info("a client has this node stop", "client", c.id, "addr", addrText(c.sock.RemoteAddr()))
	c.closing = true
	c.srv.leave()
	return nil
}

// Role is this node's part in the connection's group.
func (c *conn) Role() commands.Role { return role(c.group.Status()) }

// Info prints the state of the node.
func (c *conn) Info(sections []string) []commands.InfoSection {
	c.publish()
	if c.inlet != nil && c.inlet.ask {
		return c.srv.info(only{c.group}, sections)
	}
	return c.srv.info(c.group, sections)
}

// Parameters lists what CONFIG GET shows.
func (c *conn) Parameters() []commands.Parameter { return c.srv.parameters() }

// SetParameters changes what CONFIG SET may change.
func (c *conn) SetParameters(p []commands.Parameter) error { return c.srv.setParameters(p) }

// ResetStats sets the counters of INFO to zero.
func (c *conn) ResetStats() {
	c.publish()
	c.srv.clients.reset()
	c.srv.errors.reset()
	c.srv.resetCommandStats()
}

// Durable says how far acknowledged writes have surely gone.
func (c *conn) Durable() (synced bool, replicas int) { return durable(c.group.Status()) }
