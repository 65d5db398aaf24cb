package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Conn is a raw connection to a RESP server: what is sent and what comes back is visible to the byte, and nothing is ever
// retried. It is for one goroutine at a time.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// NewConn wraps a connection.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c, r: bufio.NewReaderSize(c, 64<<10)} }

// Dial connects to a server. The test's end closes the connection.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Connect is [Dial] for a server that may not be there. The caller closes the connection.
func Connect(addr string) (*Conn, error) { return ConnectWithin(addr, Patience) }

// door is what a server asks of clients.
type door struct {
	password string
	tls      *tls.Config
}

// doors are those of all servers of this process, by their addresses.
var doors sync.Map

// DialOut is [Dial] without logging in and without encryption.
func DialOut(t testing.TB, addr string) *Conn {
	t.Helper()
	raw, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return NewConn(raw)
}

// DialTLS is [DialOut] with encryption.
func DialTLS(t testing.TB, addr string, how *tls.Config) *Conn {
	t.Helper()
	c := DialOut(t, addr)
	return NewConn(tls.Client(c.Conn, how))
}

// ConnectWithin is [Connect] for who has something better to do than to wait for long.
func ConnectWithin(addr string, timeout time.Duration) (*Conn, error) {
	raw, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	var d door
	if known, ok := doors.Load(addr); ok {
		d = known.(door)
	}
	if d.tls != nil {
		raw = tls.Client(raw, d.tls)
	}
	c := NewConn(raw)
	if d.password == "" {
		return c, nil
	}
	if reply, err := c.Do("AUTH", d.password); err != nil || reply != "+OK\r\n" {
		return nil, errors.Join(fmt.Errorf("AUTH: %q", reply), err, c.Close())
	}
	return c, nil
}

// Command is one command as clients send it.
func Command(args ...string) []byte {
	out := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(a), a)
	}
	return out
}

// Send writes bytes as they are.
func (c *Conn) Send(raw []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	_, err := c.Write(raw)
	return err
}

// Do sends one command and returns the bytes of its reply.
func (c *Conn) Do(args ...string) (string, error) {
	if err := c.Send(Command(args...)); err != nil {
		return "", err
	}
	return c.Reply()
}

// Must is [Conn.Do] for a command that must be answered, if only by an error.
func (c *Conn) Must(t testing.TB, args ...string) string {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// Want sends one command and fails the test unless the reply is these bytes.
func (c *Conn) Want(t testing.TB, want string, args ...string) {
	t.Helper()
	if got := c.Must(t, args...); got != want {
		t.Fatalf("%.200q\n got %.500q\nwant %.500q", args, got, want)
	}
}

// Reply reads one whole reply, of either protocol version, and returns its bytes.
func (c *Conn) Reply() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return "", err
	}
	var out bytes.Buffer
	err := readReply(c.r, &out, 0)
	return out.String(), err
}

// Closed waits for the server to close the connection, and returns what it still sent before that.
func (c *Conn) Closed() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return "", err
	}
	rest, err := io.ReadAll(io.LimitReader(c.r, 1<<20))
	if err != nil && !strings.Contains(err.Error(), "connection reset") {
		return string(rest), err
	}
	return string(rest), nil
}

const deepest = 16 // nesting of a reply; the deepest real one is COMMAND DOCS

func readReply(r *bufio.Reader, out *bytes.Buffer, depth int) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	out.WriteString(line)
	if len(line) < 3 || line[len(line)-2] != '\r' || depth > deepest {
		return fmt.Errorf("not a reply: %q", line)
	}
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		return nil
	}
	n, err := strconv.Atoi(line[1 : len(line)-2])
	if err != nil {
		return fmt.Errorf("not a length: %q", line)
	}
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			return nil
		}
		_, err := io.CopyN(out, r, int64(n)+2)
		return err
	case '%':
		n *= 2
	case '|': // Attributes come before the reply that they describe.
		n = 2*n + 1
	case '*', '~', '>':
	default:
		return fmt.Errorf("not a reply: %q", line)
	}
	for range n {
		if err := readReply(r, out, depth+1); err != nil {
			return err
		}
	}
	return nil
}
