package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// greetTime bounds how long a client may take to agree on how to encrypt.
const greetTime = 10 * time.Second

// certificates are what this node proves itself with, and whom it believes. The files are read again when they have changed:
// connections that stand go on as they are.
type certificates struct {
	cert, key, ca string // paths; ca may be empty
	log           *slog.Logger

	mu    sync.Mutex
	watch fileWatch
	pair  *tls.Certificate
	roots *x509.CertPool // nil without a CA
}

// openCertificates returns nil where there is no TLS.
func openCertificates(cfg *Config) (*certificates, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certificates{cert: cfg.TLSCert, key: cfg.TLSKey, ca: cfg.TLSCA, log: cfg.logger()}
	c.watch.names = []string{c.cert, c.key}
	if c.ca != "" {
		c.watch.names = append(c.watch.names, c.ca)
	}
	c.watch.changed(time.Now())
	return c, c.read()
}

// read takes certificate, key and CA from their files. With an error they stay as they were.
func (c *certificates) read() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("tls-cert-file, tls-key-file: %w", err)
	}
	var roots *x509.CertPool
	if c.ca != "" {
		data, err := os.ReadFile(c.ca)
		if err != nil {
			return fmt.Errorf("tls-ca-cert-file: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(data) {
			return fmt.Errorf("tls-ca-cert-file: %s holds no certificate", c.ca)
		}
	}
	c.pair, c.roots = &pair, roots
	return nil
}

// current returns what is in the files, or was when they could last be read.
func (c *certificates) current(now time.Time) (*tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch.changed(now) {
		if err := c.read(); err != nil {
			c.log.Error("the certificates could not be read again; those from before are used", "error", err)
		} else {
			c.log.Info("the certificates were read again", "expires", c.pair.Leaf.NotAfter)
		}
	}
	return c.pair, c.roots
}

// forClients is how the client port encrypts. With auth, clients must have a certificate too.
func (c *certificates) forClients(auth bool) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.offer}
	if auth {
		cfg.ClientAuth = tls.RequireAnyClientCert // believe decides
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return c.believe(s, x509.ExtKeyUsageClientAuth) }
	}
	return cfg
}

// forPeers is how the peer port encrypts, on both ends. A peer is who has a certificate of the CA that is good for a server:
// those of clients are not enough. Its name is not looked at, since addresses move; the hello says which node it is.
func (c *certificates) forPeers() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       c.offer,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.offer(nil) },
		ClientAuth:           tls.RequireAnyClientCert,
		InsecureSkipVerify:   true, // believe decides
		VerifyConnection:     func(s tls.ConnectionState) error { return c.believe(s, x509.ExtKeyUsageServerAuth) },
	}
}

func (c *certificates) offer(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, _ := c.current(time.Now())
	return pair, nil
}

// believe checks the other end's certificate.
func (c *certificates) believe(s tls.ConnectionState, usage x509.ExtKeyUsage) error {
	_, roots := c.current(time.Now())
	if len(s.PeerCertificates) == 0 || roots == nil {
		return errors.New("no certificate")
	}
	others := x509.NewCertPool()
	for _, cert := range s.PeerCertificates[1:] {
		others.AddCert(cert)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// greet agrees with a client on how to encrypt, then serves it. There are at most as many at it as there may be clients.
func (s *Server) greet(sock net.Conn) {
	if s.greeting.Add(1) > s.live.maxClients.Load() {
		s.greeting.Add(-1)
		sock.Close()
		return
	}
	s.accepting.Go(func() {
		defer s.greeting.Add(-1)
		ctx, cancel := context.WithTimeout(s.open, greetTime)
		defer cancel()
		conn := tls.Server(sock, s.tls)
		if err := conn.HandshakeContext(ctx); err != nil {
			s.refuseTLS(sock, err)
			return
		}
		s.admit(conn)
	})
}

// refuseTLS ends a connection that could not be encrypted. Whom that surprises is told why.
func (s *Server) refuseTLS(sock net.Conn, err error) {
	defer sock.Close()
	var other tls.RecordHeaderError
	if errors.As(err, &other) && other.Conn != nil {
		_ = sock.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.WriteString(sock, "-ERR this port speaks TLS only\r\n")
	}
	if held, ok := s.foreign.allow(time.Now()); ok {
		s.log.Warn("a client was refused: TLS failed", "addr", addrText(sock.RemoteAddr()), "reason", err, "others", held)
	}
}

// wire is the connection below all that stands on it: TLS, a relay.
func wire(sock net.Conn) net.Conn {
	for {
		upper, ok := sock.(interface{ NetConn() net.Conn })
		if !ok {
			return sock
		}
		sock = upper.NetConn()
	}
}
