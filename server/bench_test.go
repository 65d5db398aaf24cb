package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// loopConn is a socket that delivers the same pipeline n times, one at a time, and drops the replies.
type loopConn struct {
	net.Conn
	pipeline []byte
	n        int
	rest     []byte
}

func (c *loopConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.n == 0 {
			return 0, io.EOF
		}
		c.n--
		c.rest = c.pipeline
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *loopConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *loopConn) Close() error                     { return nil }
func (c *loopConn) SetReadDeadline(time.Time) error  { return nil }
func (c *loopConn) SetWriteDeadline(time.Time) error { return nil }
func (c *loopConn) RemoteAddr() net.Addr             { return nil }
func (c *loopConn) LocalAddr() net.Addr              { return nil }

// BenchmarkUnit measures the road of a pipeline through one connection, with a group that costs next to nothing: what is
// left is reader, plans, dispatch and replies. The figures are for one command.
func BenchmarkUnit(b *testing.B) {
	value := strings.Repeat("v", 256)
	commands := map[string]string{
		"PING": "*1\r\n$4\r\nPING\r\n",
		"GET":  "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n",
		"SET":  "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$256\r\n" + value + "\r\n",
	}
	for _, name := range []string{"PING", "GET", "SET"} {
		for _, depth := range []int{1, 16, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, depth), func(b *testing.B) {
				s, g := newTestServer(Default())
				s.useGroups(func(int) group { return idleGroup{g} })
				feed(&testing.T{}, s, "PING")
				sock := &loopConn{pipeline: bytes.Repeat([]byte(commands[name]), depth), n: b.N/depth + 1}
				c := newConn(s, sock)
				s.clients.add(c, 10)
				b.ReportAllocs()
				b.ResetTimer()
				c.serve()
			})
		}
	}
}

// idleGroup answers every proposal without doing it, so that its cost stays out of the picture.
type idleGroup struct{ *fakeGroup }

func (g idleGroup) Propose(_ context.Context, p *replica.Proposal) error {
	p.Results = p.Results[:0]
	for range p.N {
		p.Results = append(p.Results, fsm.Result{Int: 1})
	}
	return nil
}
