package server

import (
	"context"
	"errors"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

const (
	openWait = 2 * time.Second // for a group that is about to be open here, or for a node that has it
	openPoll = 10 * time.Millisecond
)

var (
	errSelectInMulti   = resp.Errorf("ERR", "SELECT of another database is not allowed in a transaction: no log entry spans two databases")
	errSelectWatching  = resp.Errorf("ERR", "SELECT of another database is not allowed while keys are watched: no log entry spans two databases")
	errSelectSubscribe = resp.Errorf("ERR", "SELECT of a database that is on another node is not allowed to a subscriber: end the subscriptions first")
	errFlushAllInMulti = resp.Errorf("ERR", "FLUSHALL is not allowed in a transaction while there are several databases: no log entry spans two")
)

// home turns to a database whose group is open here.
func (c *conn) home(db int) bool {
	for {
		g := c.srv.group(db)
		if g == nil {
			return false
		}
		c.group, c.settings.Database = g, db
		c.face.mu.Lock()
		c.face.db = db
		c.face.mu.Unlock()
		if c.srv.group(db) == g { // Else it was closed before those who tell the connections of it could see this one.
			return true
		}
	}
}

func (c *conn) database() int {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return c.face.db
}

// choose carries out SELECT and answers it.
func (c *conn) choose(db int) {
	if err := c.turnTo(db); err != nil {
		c.out.Error(err)
		return
	}
	if c.back == nil {
		c.out.OK()
	}
}

// turnTo makes a database the connection's, whichever node holds it. The error is the reply, and then nothing has changed.
//
// With a group that lives elsewhere the connection has an outlet then, and is relayed before its next command is run. A
// connection that another node relays here cannot have one: it goes back to where it came from, with the command.
func (c *conn) turnTo(db int) error {
	if db == c.settings.Database {
		return nil
	}
	if len(c.txn.watches) > 0 {
		return errSelectWatching
	}
	if c.inlet == nil && c.home(db) {
		return nil
	}
	info, ok, err := c.srv.find(c.srv.ctx, db)
	switch {
	case err != nil:
		return readVerdict(err)
	case !ok:
		return resp.ErrDBIndex
	case c.inlet != nil && c.sub.Subscriber == nil:
		c.goBack(db)
		return nil
	case c.home(db):
		return nil
	case info.Held:
		return c.awaitHome(db)
	case c.sub.Subscriber != nil:
		return errSelectSubscribe
	}
	return c.moveOut(info)
}

// awaitHome turns to a database that this node is about to hold.
func (c *conn) awaitHome(db int) error {
	ctx, cancel := context.WithTimeout(c.srv.ctx, openWait)
	defer cancel()
	for !c.home(db) {
		select {
		case <-time.After(openPoll):
		case <-ctx.Done():
			return resp.Errorf("LOADING", "database %d is being opened on this node; it was not selected", db)
		}
		if c.stopped() {
			return readVerdict(replica.ErrClosed)
		}
	}
	return nil
}

// orphan tells a connection that its database is gone from this node: whoever waits there is told, and all are closed. Any
// goroutine may call it.
func (c *conn) orphan() {
	c.orphaned.Store(true)
	c.kill()
}

// writeVerdict is the reply to a write that failed. When the group has gone from this node the connection ends behind it: what
// the client asks next is about nothing, and its next connection finds out where the database is.
func (c *conn) writeVerdict(err error) *resp.Error {
	if !errors.Is(err, replica.ErrClosed) || c.srv.draining.Load() {
		return writeVerdict(err)
	}
	c.lost = true
	return c.gone()
}

// readVerdict is the reply to a read that failed.
func (c *conn) readVerdict(err error) *resp.Error {
	if !errors.Is(err, replica.ErrClosed) || c.srv.draining.Load() {
		return readVerdict(err)
	}
	return c.writeVerdict(err)
}

// gone is the reply of a database that is not on this node any more.
func (c *conn) gone() *resp.Error {
	db := c.settings.Database
	if _, ok := c.srv.known(db); ok {
		return resp.Errorf("CLUSTERDOWN", "database %d has left this node; the command was not run", db)
	}
	return resp.Errorf("ERR", "DB index is out of range: database %d was removed; the command was not run", db)
}

// writeAll runs an operation on every database, one entry each, and answers it.
func (c *conn) writeAll(cmd *commands.Command, p *commands.Plan, argv [][]byte) {
	groups := c.srv.catalogue().Groups()
	if len(groups) == 1 {
		if c.unit.proposal.N == 0 {
			c.settle() // reads
		}
		c.addWrite(cmd, p, argv)
		return
	}
	c.begin(cmd, argv)
	start := c.out.Len()
	if err := c.srv.flushAll(groups, p.Op.AppendTo(nil)); err != nil {
		c.out.Error(err)
	} else {
		c.out.OK()
	}
	c.printed(start, cmd)
	c.lap()
	c.flushIfFull()
}

// flushAll empties all databases. An error that is not INDOUBT says that none was.
func (s *Server) flushAll(groups []replica.GroupInfo, op []byte) error {
	errs := make([]error, len(groups))
	done := make(chan struct{})
	for i := range groups {
		go func() {
			errs[i] = s.flush(&groups[i], op)
			done <- struct{}{}
		}()
	}
	for range groups {
		<-done
	}
	var first error
	which, failed := 0, 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		if failed++; first == nil {
			first, which = err, groups[i].ID
		}
	}
	if failed == 0 || failed == len(groups) && !errors.Is(first, inDoubt) {
		return first
	}
	return resp.Errorf("INDOUBT", "%d of %d databases may not be empty, the others are; of database %d: %s", failed, len(groups), which, first)
}

// flush empties one database. A group that was removed meanwhile is empty. The error is a reply.
func (s *Server) flush(info *replica.GroupInfo, op []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, askTime)
	defer cancel()
	var err error
	if g := s.group(info.ID); g != nil {
		if err = g.Propose(ctx, &replica.Proposal{Ops: op, N: 1}); err == nil {
			return nil
		}
		err = writeVerdict(err)
	} else if _, err = s.ask(ctx, info, "FLUSHDB"); err == nil {
		return nil
	}
	if now, ok := s.known(info.ID); !ok || now.Generation != info.Generation {
		return nil
	}
	return err
}
