package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// password is what this process logs in with, empty for not at all. The variables of the node itself count too, so that what
// runs beside it, in its container say, needs no others.
func (p program) password() (string, error) {
	for _, name := range []string{"DTKV_PASSWORD", "DTKV_REQUIREPASS"} {
		if value, _ := p.lookupEnv(name); value != "" {
			return value, nil
		}
		name += "_FILE"
		path, _ := p.lookupEnv(name)
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				return string(line), nil
			}
		}
		return "", fmt.Errorf("%s: %s holds no password", name, path)
	}
	return "", nil
}

// encryption is how this process connects: nil for plaintext. It reads the variables of the node itself, for those who run
// beside it. As redis-cli, it goes by the CA, and not by the name of the node; without a CA, by those of the system, and then
// the name counts.
func (p program) encryption() (*tls.Config, error) {
	files := map[string]string{}
	for _, name := range []string{"DTKV_TLS_CERT_FILE", "DTKV_TLS_KEY_FILE", "DTKV_TLS_CA_CERT_FILE"} {
		if path, _ := p.lookupEnv(name); path != "" {
			files[name] = path
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	how := &tls.Config{MinVersion: tls.VersionTLS12}
	if cert := files["DTKV_TLS_CERT_FILE"]; cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, files["DTKV_TLS_KEY_FILE"])
		if err != nil {
			return nil, fmt.Errorf("DTKV_TLS_CERT_FILE, DTKV_TLS_KEY_FILE: %w", err)
		}
		how.Certificates = []tls.Certificate{pair}
	}
	ca := files["DTKV_TLS_CA_CERT_FILE"]
	if ca == "" {
		return how, nil
	}
	data, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("DTKV_TLS_CA_CERT_FILE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("DTKV_TLS_CA_CERT_FILE: %s holds no certificate", ca)
	}
	how.InsecureSkipVerify = true
	how.VerifyConnection = func(s tls.ConnectionState) error {
		others := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			others.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others})
		return err
	}
	return how, nil
}

// dial connects to a node's client port: over TLS if there are certificates, logged in if there is a password. The timeout
// is for all of it.
func (p program) dial(addr string, timeout time.Duration) (net.Conn, error) {
	password, err := p.password()
	if err != nil {
		return nil, err
	}
	how, err := p.encryption()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(timeout)
	dialer := net.Dialer{Deadline: deadline}
	var conn net.Conn
	if how == nil {
		conn, err = dialer.Dial("tcp", addr)
	} else {
		conn, err = tls.DialWithDialer(&dialer, "tcp", addr, how)
	}
	if err != nil {
		return nil, err
	}
	if password == "" {
		return conn, nil
	}
	err = conn.SetDeadline(deadline)
	if err == nil {
		err = logIn(conn, password)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close() // it has no replies to lose
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return conn, nil
}

func logIn(conn net.Conn, password string) error {
	if _, err := fmt.Fprintf(conn, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(password), password); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n') // nothing else was asked, so nothing else comes
	switch {
	case err != nil:
		return fmt.Errorf("no answer to AUTH: %w", err)
	case strings.HasPrefix(reply, "+OK"), strings.Contains(reply, "without any password configured"):
		return nil
	}
	return errors.New(strings.TrimSpace(strings.TrimPrefix(reply, "-")))
}
