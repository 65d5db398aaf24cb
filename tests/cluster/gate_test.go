package cluster

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// gate stands before a node's peer port. While it is shut, it lets pass what nodes ask each other, but no log.
type gate struct {
	net.Listener

	mu     sync.Mutex
	to     string // empty: nobody is there yet
	closed bool
	log    []net.Conn // streams that carry the log
}

func newGate(t *testing.T, at string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
	return g
}

// open lets everything pass, to that address.
func (g *gate) open(to string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = to
}

// shut ends the streams that carry the log, and lets no more in.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, conn := range g.log {
		conn.Close()
	}
}

// pass copies one stream both ways.
func (g *gate) pass(near net.Conn) {
	defer near.Close()
	r := bufio.NewReader(near)
	hello, err := r.ReadString('\n')
	if err != nil {
		return
	}
	isLog := strings.Contains(hello, `"use":"raft"`)
	g.mu.Lock()
	to, refused := g.to, isLog && g.closed
	if isLog {
		g.log = append(g.log, near)
	}
	g.mu.Unlock()
	if refused || to == "" {
		return
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	if _, err := io.WriteString(far, hello); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(far, r)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
}
