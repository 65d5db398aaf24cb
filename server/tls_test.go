package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// startTLS serves a fake group over TLS, to clients with certificates.
func startTLS(t *testing.T, change func(*Config)) (*Server, *fakeGroup, *harness.CA) {
	t.Helper()
	ca := harness.NewCA(t)
	cert, key := ca.Node(t, "node")
	s, g := startTestServer(t, func(c *Config) {
		c.TLSCert, c.TLSKey, c.TLSCA = cert, key, ca.File
		if change != nil {
			change(c)
		}
	})
	return s, g, ca
}

func dialTLS(t *testing.T, s *Server, how *tls.Config) *client {
	t.Helper()
	c := dial(t, s)
	c.Conn = tls.Client(c.Conn, how)
	return c
}

// pour sends commands beside those who read the replies; they notice what is missing.
func pour(w io.Writer, lines []string) { _, _ = io.WriteString(w, strings.Join(lines, "\r\n")+"\r\n") }

func TestTLS(t *testing.T) {
	s, g, ca := startTLS(t, func(c *Config) { c.RequirePass = "secret" })
	how := ca.Client(t, "client")
	login := func() *client {
		c := dialTLS(t, s, how)
		c.send("AUTH secret")
		c.want("+OK\r\n")
		return c
	}

	t.Run("a pipeline deeper than any buffer", func(t *testing.T) {
		c := login()
		const n = 20_000
		go pour(c, many(n, func(i int) string { return fmt.Sprintf("SET key:%d %d", i, i) }))
		c.want(strings.Repeat("+OK\r\n", n))
		c.send("GET key:19999", "CLIENT LIST")
		c.want("$5\r\n19999\r\n$")
	})
	t.Run("it ends like any other", func(t *testing.T) {
		c := login()
		c.send("PING", "QUIT")
		c.wantEnd("+PONG\r\n+OK\r\n")
		c = login()
		c.send("*x")
		c.wantEnd("-ERR Protocol error: invalid multibulk length\r\n")
	})
	t.Run("a lock is waited for", func(t *testing.T) {
		holder, waiter := login(), login()
		holder.send("DTKV.LOCK l 60000")
		holder.want(":1\r\n")
		waiter.send("DTKV.LOCK l 60000 WAIT 60000", "PING")
		eventually(t, "somebody waits", func() bool { return g.waiters("l") == 1 })
		holder.send("DTKV.UNLOCK l")
		holder.want(":1\r\n")
		waiter.want(":2\r\n+PONG\r\n")
	})
	t.Run("who hangs up leaves the queue", func(t *testing.T) {
		holder, waiter := login(), login()
		holder.send("DTKV.LOCK m 60000")
		holder.want(":3\r\n")
		waiter.send("DTKV.LOCK m 60000 WAIT 60000")
		eventually(t, "somebody waits", func() bool { return g.waiters("m") == 1 })
		waiter.Close()
		eventually(t, "nobody waits", func() bool { return g.waiters("m") == 0 })
	})
	t.Run("messages and replies have one order", func(t *testing.T) {
		c, p := login(), login()
		c.send("SUBSCRIBE news")
		c.want("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
		for i := range 200 {
			p.send(fmt.Sprintf("PUBLISH news %d", i))
			p.want(":1\r\n")
			c.send("PING x")
			c.want(message("news", fmt.Sprint(i)) + "*2\r\n$4\r\npong\r\n$1\r\nx\r\n")
		}
	})
	t.Run("a subscriber is heard among many messages", func(t *testing.T) {
		c, p := login(), login()
		c.send("SUBSCRIBE flood")
		c.want("*3\r\n$9\r\nsubscribe\r\n$5\r\nflood\r\n:1\r\n")
		const n = 3 * maxMessages
		go pour(p, many(n, func(int) string { return "PUBLISH flood x" }))
		c.send("PING pong")
		seen := 0
		for text := make([]byte, 64<<10); seen < n*len("message"); {
			k, err := c.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			seen += k
		}
	})
	if n := s.panics.Load(); n != 0 {
		t.Errorf("%d commands panicked", n)
	}
}

func TestWhoIsNotLetInByTLS(t *testing.T) {
	s, _, ca := startTLS(t, nil)
	stranger := harness.NewCA(t)
	server, key := ca.Issue(t, "server") // of any use, so of this one
	for _, test := range []struct {
		name string
		how  *tls.Config
		ok   bool
	}{
		{"a client with a certificate", ca.Client(t, "client"), true},
		{"one that is good for everything", ca.Config(t, server, key), true},
		{"a client without", ca.Config(t, "", ""), false},
		{"a certificate of somebody else", func() *tls.Config {
			how := ca.Config(t, "", "")
			how.Certificates = stranger.Client(t, "client").Certificates
			return how
		}(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dialTLS(t, s, test.how)
			fmt.Fprint(c, "PING\r\n") // TLS 1.3 tells of a refusal only to who reads
			got := make([]byte, len("+PONG\r\n"))
			if _, err := io.ReadFull(c, got); (err == nil) != test.ok {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	t.Run("a client that does not encrypt", func(t *testing.T) {
		c := dial(t, s)
		c.send("PING")
		c.want("-ERR this port speaks TLS only\r\n")
	})
	t.Run("unless clients need no certificate", func(t *testing.T) {
		s, _, ca := startTLS(t, func(c *Config) { c.TLSAuthClients = false })
		c := dialTLS(t, s, ca.Config(t, "", ""))
		c.send("PING")
		c.want("+PONG\r\n")
	})
}

// A client that never says how it would encrypt takes a place, and only for a while; and it does not hold up the end.
func TestClientsThatNeverFinishTheirGreeting(t *testing.T) {
	s, _, ca := startTLS(t, func(c *Config) { c.MaxClients = 3 })
	var silent []*client
	for range 3 {
		silent = append(silent, dial(t, s))
	}
	eventually(t, "all are at it", func() bool { return s.greeting.Load() == 3 })
	dial(t, s).wantEnd("") // one too many
	silent[0].Close()
	eventually(t, "a place is free", func() bool { return s.greeting.Load() == 2 })
	c := dialTLS(t, s, ca.Client(t, "client"))
	c.send("PING")
	c.want("+PONG\r\n")
	begun := time.Now()
	s.stopClients()
	if took := time.Since(begun); took > greetTime/2 {
		t.Errorf("the end took %s", took)
	}
	for _, c := range silent[1:] {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a client was answered")
		}
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	ca := harness.NewCA(t)
	cfg := Default()
	cfg.Logger = quiet
	cfg.TLSCert, cfg.TLSKey = ca.Node(t, "node")
	cfg.TLSCA = ca.File
	c, err := openCertificates(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	serial := func() string {
		pair, _ := c.current(now)
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	ca.Node(t, "node")
	if serial() != first {
		t.Error("the files are read all the time")
	}
	now = now.Add(lookEvery)
	second := serial()
	if second == first {
		t.Error("the new certificate is not used")
	}
	if err := os.WriteFile(cfg.TLSKey, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if serial() != second {
		t.Error("damaged files undo the certificate")
	}
}

func TestWrongCertificatesAreRefusedByName(t *testing.T) {
	ca := harness.NewCA(t)
	cert, key := ca.Node(t, "node")
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "" means that it opens
	}{
		{"all files", func(c *Config) {}, ""},
		{"no key", func(c *Config) { c.TLSKey = "" }, "go together"},
		{"no certificate", func(c *Config) { c.TLSCert = "" }, "go together"},
		{"only a CA", func(c *Config) { c.TLSCert, c.TLSKey = "", "" }, "tls-ca-cert-file says whom to believe"},
		{"no CA for clients", func(c *Config) { c.TLSCA = "" }, "--tls-auth-clients no"},
		{"no CA for nodes", func(c *Config) { c.TLSCA, c.TLSAuthClients = "", false }, "--peer-tls no"},
		{"no CA for nobody", func(c *Config) { c.TLSCA, c.TLSAuthClients, c.PeerTLS = "", false, false }, ""},
		{"a file that is not there", func(c *Config) { c.TLSCert += "x" }, "tls-cert-file"},
		{"a key of something else", func(c *Config) { c.TLSKey = ca.File }, "tls-key-file"},
		{"a CA that is none", func(c *Config) { c.TLSCA = key }, "holds no certificate"},
		{"beyond loopback without a password", func(c *Config) { c.Addr = ":6379" }, "requirepass"},
		{"beyond loopback", func(c *Config) { c.Addr, c.RequirePass = ":6379", "x" }, ""},
		{"beyond loopback with plain peers", func(c *Config) { c.Addr, c.RequirePass, c.PeerTLS = ":6379", "x", false }, "leave peer-tls on"},
		{"health checks beyond loopback", func(c *Config) { c.HTTPAddr = ":8379" }, "allow-plaintext"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := Default()
			cfg.TLSCert, cfg.TLSKey, cfg.TLSCA = cert, key, ca.File
			test.change(&cfg)
			err := cfg.Validate()
			if err == nil {
				_, err = openCertificates(&cfg)
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// What is below the encryption can be asked for its descriptor.
func TestTheWireBelowTLS(t *testing.T) {
	s, _, ca := startTLS(t, nil)
	c := dialTLS(t, s, ca.Client(t, "client"))
	c.send("PING")
	c.want("+PONG\r\n")
	all := s.clients.all()
	if len(all) != 1 || descriptor(all[0].sock) < 0 {
		t.Fatalf("%d clients, the first without a descriptor", len(all))
	}
	if _, gone := peek(all[0].sock); gone {
		t.Error("the peer is gone, it seems")
	}
	c.Conn.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite()
	eventually(t, "the peer is gone", func() bool { return len(s.clients.all()) == 0 })
}
