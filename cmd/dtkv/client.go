package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Bounds of a conversation with a node.
const (
	dialTime  = 5 * time.Second
	replyTime = time.Minute // without a byte
)

// client asks one node.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	due  time.Time // when all must have been said; zero: never
	out  []byte    // what was sent last
}

func (p program) ask(addr string) (*client, error) {
	conn, err := p.dial(addr, dialTime)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	c.r = bufio.NewReaderSize(c, 64<<10)
	return c, nil
}

func (c *client) close() { _ = c.conn.Close() }

// Read is the source of r: a node that says nothing for replyTime is gone.
func (c *client) Read(p []byte) (int, error) {
	if err := c.conn.SetReadDeadline(c.limit()); err != nil {
		return 0, err
	}
	return c.conn.Read(p)
}

// limit is when the node must have said something.
func (c *client) limit() time.Time {
	if !c.due.IsZero() {
		return c.due
	}
	return time.Now().Add(replyTime)
}

// send sends a command.
func (c *client) send(args ...string) error { return c.sendAll([][]string{args}) }

// sendAll sends commands as a pipeline.
func (c *client) sendAll(commands [][]string) error {
	out := c.out[:0]
	for _, args := range commands {
		out = fmt.Appendf(out, "*%d\r\n", len(args))
		for _, a := range args {
			out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	c.out = out
	if err := c.conn.SetWriteDeadline(c.limit()); err != nil {
		return err
	}
	_, err := c.conn.Write(out)
	return err
}

// errReply is the error that a node answered.
type errReply string

func (e errReply) Error() string { return string(e) }

// line reads a line of a reply: its type and the rest.
func (c *client) line() (kind byte, text string, err error) {
	raw, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, "", err
	}
	text = strings.TrimSuffix(string(raw), "\r\n")
	if text == "" || len(text) == len(raw) {
		return 0, "", fmt.Errorf("not a reply: %q", raw)
	}
	if text[0] == '-' {
		return 0, "", errReply(text[1:])
	}
	return text[0], text[1:], nil
}

// count reads the line that announces so many bytes or elements.
func (c *client) count(kind byte) (int, error) {
	got, text, err := c.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || got != kind || n < 0 {
		return 0, fmt.Errorf("not the reply that was expected: %q", string(got)+text)
	}
	return n, nil
}

// selectDB turns to a database. Errors: errGroupGone.
func (c *client) selectDB(id int) error {
	if err := c.send("SELECT", strconv.Itoa(id)); err != nil {
		return err
	}
	_, _, err := c.line()
	var said errReply
	if errors.As(err, &said) && strings.Contains(string(said), "DB index is out of range") {
		return errGroupGone
	}
	return err
}

// pieces is a reply of many strings, the last of them empty, read as their bytes one after the other.
type pieces struct {
	c    *client
	left int // strings
	size int // bytes of the one in hand that have not been read
}

// pieces sends a command and begins to read its reply.
func (c *client) pieces(args ...string) (*pieces, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	n, err := c.count('*')
	if err != nil {
		return nil, err
	}
	return &pieces{c: c, left: n}, nil
}

var errCut = errors.New("the reply ends too early")

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (n int, err error) {
	if p.size == 0 {
		if p.left == 0 {
			return 0, errCut
		}
		p.left--
		if p.size, err = p.c.count('$'); err != nil {
			return 0, cut(err)
		}
		if p.size == 0 {
			return 0, p.end()
		}
	}
	n, err = p.c.r.Read(b[:min(len(b), p.size)])
	if p.size -= n; p.size == 0 && err == nil {
		_, err = p.c.r.Discard(len("\r\n"))
	}
	return n, cut(err)
}

func (p *pieces) end() error {
	p.size = 0
	if _, err := p.c.r.Discard(len("\r\n")); err != nil {
		return cut(err)
	}
	if p.left > 0 {
		return errCut
	}
	return io.EOF
}

// cut keeps the end of the connection from passing for the end of the reply.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return errCut
	}
	return err
}
