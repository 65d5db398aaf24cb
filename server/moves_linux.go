package server

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// How connections come to a loop, visit a goroutine for the rest of a unit, and leave for as long as they are busy.

// adopt takes a connection in, if it has a descriptor. The goroutine that has the connection calls it.
func (l *loop) adopt(c *conn) bool {
	bare, ok := c.sock.(bareConn) // not so over TLS
	if !ok {
		return false
	}
	sock, err := newSocket(bare)
	if err != nil {
		return false
	}
	c.landFunc = c.land
	c.fd, c.at = int32(sock.fd), fresh
	c.move(sock, l)
	l.post(c)
	return true
}

// handOver lets a goroutine begin with step, run the rest of the unit, and give the connection back.
func (l *loop) handOver(c *conn, step func()) {
	c.at = visiting
	go func() {
		defer l.post(c)
		defer func() {
			if p := recover(); p != nil {
				c.panicked(p)
				c.closing = true
			}
		}()
		step()
		c.rest()
	}()
}

// release gives a connection a goroutine of its own, which reads by itself: one with deep pipelines, since there is enough
// to do at a time to be worth the waking, and several of them run in parallel; and one that others have news for, be it as
// a subscriber or because it waits. The goroutine begins with step, in a unit.
func (l *loop) release(c *conn, step func()) {
	file := os.NewFile(uintptr(c.fd), "")
	tcp, err := net.FileConn(file)
	switch {
	case err == nil:
	case c.request != nil || c.sub.Subscriber != nil || c.outlet != nil:
		c.srv.log.Warn("a client was disconnected: there is no descriptor for it to wait with", "client", c.id, "error", err)
		l.drop(c)
		return
	default:
		l.handOver(c, step)
		return
	}
	delete(l.conns, c.fd)
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, int(c.fd), nil) // the copy would keep it registered
	c.at = visiting
	c.move(tcp, nil)
	file.Close()
	go c.serveFrom(step)
}

// serveFrom runs a connection that a loop released, until it ends or has become calm.
func (c *conn) serveFrom(step func()) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			c.close()
		}
	}()
	step()
	c.rest()
	for calm := 0; !c.closing; {
		if calm >= calmUnits && c.in.Buffered() == 0 && len(c.leftover) == 0 && c.sub.Subscriber == nil && c.srv.loopFor(c).adopt(c) {
			return
		}
		if err := c.fill(); err != nil {
			c.partWith(err)
			break
		}
		before := c.account.commands
		c.runUnit()
		if calm++; c.waited || c.account.commands-before > loopBatch {
			calm, c.waited = 0, false
		}
	}
	c.close()
}
