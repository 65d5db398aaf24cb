package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtkv/dtkv/commands"
)

// What is published at one node reaches the subscribers of all of them. The node keeps a stream to each other one, made with the
// first message, and writes every message to it, at most once: a node that cannot be reached or does not keep up misses
// some, as a subscriber that is not connected does. In the stream a message is
//
//	offset  size  field
//	0       1     1 of a shard channel, else 0
//	1       4     length of the channel, little-endian
//	5       4     length of the message
//	9             channel, message
const (
	usePublish      = "publish"
	publishHeader   = 9
	publishLongest  = 64 << 20 // bytes of channel and message; a command is not longer
	publishWaiting  = 8 << 20  // bytes that may wait for one node, or one message
	publishPause    = 250 * time.Millisecond
	publishPatience = 5 * time.Second // for a stream to be made, or a write to end
)

// neighbours are the other nodes of the cluster.
type neighbours interface {
	Others() []string
	Dial(ctx context.Context, node, use string, group int) (net.Conn, error)
}

// broadcast sends what clients publish to the other nodes, and takes what those send.
//
// Goroutines: one for each node that something was sent to, one for each stream that another node made, one for each stream to
// wait for its end; all of them end with ctx, before close returns. mu is a leaf.
type broadcast struct {
	ctx        context.Context
	publish    func(shard bool, channel string, message []byte) int // to the subscribers here
	neighbours atomic.Pointer[neighbours]                           // nil while loading
	sent, lost atomic.Uint64                                        // messages, counted for each node

	mu     sync.Mutex
	closed bool
	ways   map[string]*way // by node
	wg     sync.WaitGroup
}

// way is what waits to be sent to one node. mu is a leaf.
type way struct {
	mu       sync.Mutex
	waiting  []byte
	messages uint64
	wake     chan struct{}
}

func newBroadcast(ctx context.Context, publish func(bool, string, []byte) int) *broadcast {
	return &broadcast{ctx: ctx, publish: publish, ways: map[string]*way{}}
}

// send has the message sent to all other nodes. It does not wait.
func (b *broadcast) send(shard bool, channel, message []byte) {
	n := b.neighbours.Load()
	if n == nil {
		return
	}
	for _, node := range (*n).Others() {
		if w := b.to(node); w == nil || !w.put(shard, channel, message) {
			b.lost.Add(1)
		}
	}
}

// to returns the way to a node, nil if no more is sent.
func (b *broadcast) to(node string) *way {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.ways[node]
	if w == nil && !b.closed {
		w = &way{wake: make(chan struct{}, 1)}
		b.ways[node] = w
		b.wg.Go(func() { b.run(node, w) })
	}
	return w
}

// put reports false when too much waits.
func (w *way) put(shard bool, channel, message []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) > 0 && len(w.waiting)+len(channel)+len(message) > publishWaiting {
		return false
	}
	kind := byte(0)
	if shard {
		kind = 1
	}
	w.waiting = append(w.waiting, kind)
	w.waiting = binary.LittleEndian.AppendUint32(w.waiting, uint32(len(channel)))
	w.waiting = binary.LittleEndian.AppendUint32(w.waiting, uint32(len(message)))
	w.waiting = append(append(w.waiting, channel...), message...)
	w.messages++
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

func (w *way) take() ([]byte, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, messages := w.waiting, w.messages
	w.waiting, w.messages = nil, 0
	return data, messages
}

// run sends what waits for a node.
func (b *broadcast) run(node string, w *way) {
	var conn net.Conn
	var ended chan struct{}
	hangUp := func() {
		if conn != nil {
			conn.Close()
			<-ended
			conn = nil
		}
	}
	defer hangUp()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ended: // nil while there is no stream
			hangUp()
			ended = nil
			continue
		case <-w.wake:
		}
		data, messages := w.take()
		var err error
		if conn == nil {
			conn, ended, err = b.dial(node)
		}
		if err == nil {
			if err = conn.SetWriteDeadline(time.Now().Add(publishPatience)); err == nil {
				_, err = conn.Write(data)
			}
		}
		if err == nil {
			b.sent.Add(messages)
			continue
		}
		b.lost.Add(messages)
		hangUp()
		ended = nil
		select { // what comes meanwhile waits
		case <-b.ctx.Done():
			return
		case <-time.After(publishPause):
		}
	}
}

// dial makes a stream to a node. ended is closed when the other end is gone, or the stream was closed.
func (b *broadcast) dial(node string) (conn net.Conn, ended chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, publishPatience)
	defer cancel()
	if conn, err = (*b.neighbours.Load()).Dial(ctx, node, usePublish, 0); err != nil {
		return nil, nil, err
	}
	ended = make(chan struct{})
	stop := context.AfterFunc(b.ctx, func() { conn.Close() })
	b.wg.Go(func() {
		defer close(ended)
		defer stop()
		_, _ = conn.Read(make([]byte, 1)) // Nothing comes but the end.
	})
	return conn, ended, nil
}

// accept takes what another node sends, until it ends.
func (b *broadcast) accept(conn net.Conn, _ string, _ int) {
	defer conn.Close()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.wg.Add(1)
	b.mu.Unlock()
	defer b.wg.Done()
	defer context.AfterFunc(b.ctx, func() { conn.Close() })()
	r := bufio.NewReaderSize(conn, 64<<10)
	for b.receive(r) == nil {
	}
}

var errNoMessage = errors.New("what another node sent is no message")

func (b *broadcast) receive(r io.Reader) error {
	var h [publishHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	channel := int64(binary.LittleEndian.Uint32(h[1:]))
	length := channel + int64(binary.LittleEndian.Uint32(h[5:]))
	if h[0] > 1 || length > publishLongest {
		return fmt.Errorf("%w: kind %d, %d bytes", errNoMessage, h[0], length)
	}
	var data bytes.Buffer // grows as bytes come
	if _, err := io.CopyN(&data, r, length); err != nil {
		return err
	}
	b.publish(h[0] == 1, string(data.Bytes()[:channel]), data.Bytes()[channel:])
	return nil
}

// close waits for the end of all goroutines. ctx must have ended.
func (b *broadcast) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wg.Wait()
}

// Publish sends a message to the subscribers of all nodes, and returns how many of this one's will get it.
func (c *conn) Publish(s commands.Space, channel, message []byte) int {
	shard := s == commands.ShardSpace
	receivers := c.srv.publish(shard, string(channel), message)
	c.srv.broadcast.send(shard, channel, message)
	return receivers
}

// publish sends a message to this node's subscribers.
func (s *Server) publish(shard bool, channel string, message []byte) int {
	if shard {
		return s.hub.SPublish(channel, message)
	}
	return s.hub.Publish(channel, message)
}
