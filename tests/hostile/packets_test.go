package hostile

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestBrokenPacketsEndTheirConnectionOnly(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	for _, tt := range []struct {
		name, packet, want string
	}{
		{"31 bytes that overflow a length", "*1\r\n$9223372036854775807\r\nabc\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"a length that wraps to 3", "*1\r\n$18446744073709551619\r\nGET\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"a count that overflows", "*9223372036854775807\r\n$3\r\nGET\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"a count that wraps", "*18446744073709551617\r\n$4\r\nPING\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"more arguments than allowed", "*2097152\r\n$3\r\nGET\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"an argument longer than allowed", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108865\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"a bulk without an end", "*1\r\n$4\r\nPINGxx", "-ERR Protocol error:"},
		{"an inline command without an end", strings.Repeat("x", 70_000), "-ERR Protocol error: too big inline request\r\n"},
		{"a count without an end", "*" + strings.Repeat("1", 70_000), "-ERR Protocol error: too big mbulk count string\r\n"},
		{"a length without an end", "*1\r\n$" + strings.Repeat("1", 70_000), "-ERR Protocol error: too big bulk count string\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := harness.Dial(t, v.Addr)
			if err := c.Send([]byte(tt.packet)); err != nil {
				t.Fatal(err)
			}
			got, err := c.Closed()
			if err != nil || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, %v; want %q and the end", got, err, tt.want)
			}
			v.unharmed(t, 32*mib)
		})
	}
}

func TestRandomBytesHarmNobody(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	alphabet := []byte("*$+-:_#,%~>|\r\n\r\n0123456789GETSET \"'\x00\xff\x16\x03")
	for range 500 {
		packet := make([]byte, 1+random.IntN(2000))
		for i := range packet {
			packet[i] = alphabet[random.IntN(len(alphabet))]
		}
		c := harness.Dial(t, v.Addr)
		_ = c.Send(packet) // The server may have closed by then.
		if random.IntN(2) == 0 {
			reset(c)
		} else {
			c.Close()
		}
	}
	v.unharmed(t, 32*mib)
	harness.Eventually(t, "the end of all their connections", func() bool { return v.clients(t) == 1 })
}

// Commands arrive as TCP likes to cut them. One byte at a time is the finest cut of all.
func TestBytesInDripsAreTheSameCommands(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	var all []byte
	for _, args := range [][]string{
		{"SET", "k", "v\r\n\x00"},
		{"GET", "k"},
		{"MSET", "a", "1", "b", ""},
		{"MGET", "a", "b", "none"},
		{"NOSUCH", "x"},
		{"APPEND", "k", strings.Repeat("w", 300)},
		{"STRLEN", "k"},
		{"INCR", "a"},
		{"GET"},
		{"PING"},
	} {
		all = append(all, harness.Command(args...)...)
	}
	all = append(all, "\r\n*0\r\nSET inline \"a b\"\r\nGET inline\nPING\r\n"...)
	const replies = 13
	read := func(cut int) string {
		v.honest.Want(t, "+OK\r\n", "FLUSHALL")
		c := harness.Dial(t, v.Addr)
		defer c.Close()
		for at := 0; at < len(all); at += cut {
			if err := c.Send(all[at:min(at+cut, len(all))]); err != nil {
				t.Fatal(err)
			}
		}
		var got strings.Builder
		for range replies {
			reply, err := c.Reply()
			if err != nil {
				t.Fatalf("pieces of %d bytes: after %q: %v", cut, got.String(), err)
			}
			got.WriteString(reply)
		}
		return got.String()
	}
	want := read(len(all))
	for _, cut := range []int{1, 2, 3, 7, 64, 1000} {
		if got := read(cut); got != want {
			t.Errorf("pieces of %d bytes:\n got %q\nwant %q", cut, got, want)
		}
	}
	v.unharmed(t, 32*mib)
}

func TestOtherProtocolsAreTurnedAway(t *testing.T) {
	t.Parallel()
	v := newVictim(t, harness.Options{})
	// A browser that is tricked into posting to this port must not get a command through, not even from the body.
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET smuggled 1\r\n",
		"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\nSET smuggled 1\r\n",
		"PUT /k HTTP/1.1\r\nHost: localhost\r\n\r\nSET smuggled 1\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\nSET smuggled 1\r\n",
		"Host: localhost\r\nSET smuggled 1\r\n",
	} {
		c := harness.Dial(t, v.Addr)
		if err := c.Send([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Closed(); err != nil {
			t.Errorf("%q is not disconnected: got %q, %v", request, got, err)
		}
	}
	v.honest.Want(t, ":0\r\n", "EXISTS", "smuggled")

	raw, err := net.DialTimeout("tcp", v.Addr, harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("TLS on the plain port: %v, want a quick end", err)
	}
	v.unharmed(t, 32*mib)
}
