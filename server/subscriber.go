package server

import (
	"errors"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/resp"
	"github.com/dtkv/dtkv/watch"
)

// A connection that subscribes leaves its loop: its goroutine then writes replies and messages, each when it is their turn,
// so that there is one order. The hub keeps what waits, within bounds, and wakes it by way of the socket's deadline for
// reading, which is the one thing that interrupts a wait for bytes.

const (
	takeMessages = 256  // messages taken from the hub at a time
	maxMessages  = 4096 // messages written before the peer is heard again
	farewellTime = time.Second
)

// subscriber is what a connection has of the hub.
type subscriber struct {
	*watch.Subscriber        // nil while it is subscribed to nothing
	counts            [3]int // subscriptions in each space
}

// kinds are the spaces of names as the hub calls them.
var kinds = [3]watch.Kind{
	commands.ChannelSpace: watch.Channel,
	commands.PatternSpace: watch.Pattern,
	commands.ShardSpace:   watch.Shard,
}

// wake makes the connection look at what others have for it. Any goroutine may call it, at any time.
func (c *conn) wake() {
	c.woken.Store(true)
	if sock, l := c.place(); l == nil {
		_ = sock.SetReadDeadline(time.Unix(1, 0)) // fails on a closed socket, and nobody waits there
	}
}

// subscribe carries out one command of a subscriber and answers it, whatever CLIENT REPLY says, as in Redis.
func (c *conn) subscribe(a *commands.Subscription) {
	if c.sub.Subscriber == nil {
		if a.Leave {
			c.leaveNothing(a)
			return
		}
		c.join()
	}
	kind := kinds[a.Space]
	names := a.Names
	if a.Leave && len(names) == 0 {
		for _, name := range c.sub.Names(kind) {
			names = append(names, []byte(name))
		}
		if len(names) == 0 {
			a.Print(&c.out, nil, c.sub.Count(kind))
		}
	}
	for _, name := range names {
		left, err := c.step(kind, a.Leave, string(name))
		if err != nil {
			c.out.Error(resp.Errorf("ERR", "%s", err))
		} else {
			a.Print(&c.out, name, left)
		}
		c.flushIfFull()
	}
	total := 0
	for space, kind := range kinds {
		c.sub.counts[space] = c.sub.Len(kind)
		total += c.sub.counts[space]
	}
	if total == 0 {
		c.unsubscribe()
	}
}

// step subscribes to one name, or no longer, and returns what the reply counts.
func (c *conn) step(kind watch.Kind, leave bool, name string) (int, error) {
	switch {
	case kind == watch.Channel && leave:
		return c.sub.Unsubscribe(name), nil
	case !leave && c.elsewhere(kind, name):
		return 0, errElsewhere
	case kind == watch.Channel:
		return c.sub.Subscribe(name)
	case kind == watch.Pattern && leave:
		return c.sub.PUnsubscribe(name), nil
	case kind == watch.Pattern:
		return c.sub.PSubscribe(name)
	case leave:
		return c.sub.SUnsubscribe(name), nil
	default:
		return c.sub.SSubscribe(name)
	}
}

var errElsewhere = errors.New("the events of that database are on other nodes: SELECT it first, and subscribe then")

// elsewhere reports whether a channel carries the events of a group that other nodes hold.
func (c *conn) elsewhere(kind watch.Kind, name string) bool {
	db, ok := watch.GroupOf(kind, name)
	if !ok || c.srv.group(db) != nil {
		return false
	}
	info, known := c.srv.known(db)
	return known && !info.Held
}

// leaveNothing answers the end of subscriptions that there are not.
func (c *conn) leaveNothing(a *commands.Subscription) {
	for _, name := range a.Names {
		a.Print(&c.out, name, 0)
		c.flushIfFull()
	}
	if len(a.Names) == 0 {
		a.Print(&c.out, nil, 0)
	}
}

func (c *conn) join() {
	c.meet(c.srv.hub.Join(watch.SubscriberOptions{Wake: c.wake}))
}

// unsubscribe ends all subscriptions, if there are any.
func (c *conn) unsubscribe() {
	if c.sub.Subscriber != nil {
		c.sub.Leave()
		c.sub.counts = [3]int{}
		c.meet(nil)
	}
}

// meet changes which subscriber the connection is, for those who describe it too.
func (c *conn) meet(s *watch.Subscriber) {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	c.sub.Subscriber, c.face.sub = s, s
}

// confined reports whether the connection may only send commands of a subscriber.
func (c *conn) confined(cmd *commands.Command) bool {
	return c.sub.Subscriber != nil && c.out.Proto != 3 && !cmd.Flags.Has(commands.WhileSubscribed)
}

// take prints what waits for the subscriber, at most so many messages, and reports whether that was all.
func (c *conn) take(most int) (all bool) {
	for most > 0 && !c.broken {
		list := c.sub.Take(min(most, takeMessages))
		if len(list) == 0 {
			return true
		}
		for i := range list {
			m := &list[i]
			commands.PrintMessage(&c.out, spaces[m.Kind], m.Pattern, m.Channel, m.Payload)
			c.flushIfFull()
		}
		most -= len(list)
	}
	return c.broken
}

// spaces undoes kinds.
var spaces = [3]commands.Space{
	watch.Channel: commands.ChannelSpace,
	watch.Pattern: commands.PatternSpace,
	watch.Shard:   commands.ShardSpace,
}

// deliver writes what waits for the subscriber, before its goroutine waits for bytes. When there is much, the peer is heard
// in between: it may want less. The error ends the connection.
func (c *conn) deliver() error {
	for c.woken.Swap(false) {
		c.beginUnit()
		all := c.take(maxMessages)
		err := c.sub.Err()
		if err != nil {
			c.farewell(err)
		}
		c.flush()
		c.endUnit()
		switch {
		case err != nil:
			return err
		case c.broken:
			return errUnread
		case all:
			continue
		}
		c.woken.Store(true)
		if wire(c.sock) != c.sock { // whether there is a command below the encryption, only a read can tell
			c.armRead(time.Now().Add(time.Millisecond))
			return nil
		}
		if readable, _ := peek(c.sock); readable {
			c.armRead(c.readDue()) // it has struck: whoever woke the connection set it in the past
			return nil
		}
		if c.stopped() {
			return errStopped
		}
	}
	return nil
}

// hurry lets a subscriber who does not read not hold up the stop of the node. Any goroutine may call it.
func (c *conn) hurry() {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	if c.face.sub != nil && c.loop == nil {
		_ = c.sock.SetWriteDeadline(time.Now().Add(farewellTime)) // fails on a socket that is closed
	}
}

// errUnread ends a subscriber that takes no messages any more.
var errUnread = errors.New("the subscriber does not read")

// farewell tells a subscriber why it is closed, if it listens soon.
func (c *conn) farewell(err error) {
	c.out.Error(resp.Errorf("ERR", "%s", err))
	c.writeBy = time.Now().Add(writeTime) // so that flush leaves the deadline alone
	_ = c.sock.SetWriteDeadline(time.Now().Add(farewellTime))
}

// noteSlow logs that a subscriber was closed for not keeping up.
func (c *conn) noteSlow(err error) {
	if !errors.Is(err, watch.ErrTooSlow) && !errors.Is(err, watch.ErrMissed) && !errors.Is(err, errUnread) {
		return
	}
	if held, ok := c.srv.slow.allow(time.Now()); ok {
		c.srv.log.Warn("a subscriber was disconnected", "client", c.id, "addr", addrText(c.sock.RemoteAddr()), "reason", err, "others", held)
	}
}
