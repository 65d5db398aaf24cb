package server

import (
	"errors"
	"time"

	"github.com/dtkv/dtkv/backup"
)

// backupChunk is the longest string of a backup, in bytes.
const backupChunk = 64 << 10

// backUp sends the state of the connection's group as a backup. It holds little more than a copy of the state that shares
// what does not change, and goes no faster than the client takes it.
func (c *conn) backUp() {
	if c.muting.off || c.muting.skip {
		return // nobody would see it
	}
	v, err := c.group.Frozen(c.srv.ctx)
	if err != nil {
		c.out.Error(c.readVerdict(err))
		return
	}
	h := backup.Header{Release: Version, Group: c.settings.Database, Taken: time.Now()}
	if n := c.srv.node; n != nil {
		h.Cluster, h.Node = n.ClusterID(), n.ID()
	}
	began := time.Now()
	g, err := backup.NewGroup(h, v)
	if err != nil {
		c.out.Error(err)
		return
	}
	c.out.Array(int((g.Len()+backupChunk-1)/backupChunk) + 1)
	chunks := chunker{c: c}
	err = g.Write(&chunks)
	if err == nil {
		err = chunks.close()
	}
	if err != nil {
		c.srv.log.Warn("a backup was not taken to its end", "client", c.id, "group", h.Group, "error", err)
		return
	}
	c.srv.log.Info("a backup was taken", "client", c.id, "group", h.Group, "index", v.Index(), "bytes", g.Len(), "took", time.Since(began))
}

// chunker sends what it is given as strings of backupChunk bytes.
type chunker struct {
	c     *conn
	chunk []byte
}

// errGone says that the client takes no more replies.
var errGone = errors.New("the client is gone")

// Write implements io.Writer.
func (w *chunker) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		fits := min(len(p), backupChunk-len(w.chunk))
		w.chunk, p = append(w.chunk, p[:fits]...), p[fits:]
		if len(w.chunk) == backupChunk {
			if err := w.send(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (w *chunker) send() error {
	w.c.out.Bulk(w.chunk)
	w.chunk = w.chunk[:0]
	w.c.flushIfFull()
	switch {
	case w.c.broken:
		return errGone
	case w.c.killed.Load() || w.c.srv.ctx.Err() != nil:
		w.c.closing, w.c.broken = true, true // what is missing must not look like an end
		return errStopped
	}
	return nil
}

// close sends what is left, and the empty string behind it.
func (w *chunker) close() error {
	if len(w.chunk) > 0 {
		if err := w.send(); err != nil {
			return err
		}
	}
	w.c.out.BulkString("")
	return nil
}
