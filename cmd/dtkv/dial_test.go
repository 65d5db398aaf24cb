package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestWhereThePasswordComesFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("\nfrom file\r\nolder\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		want string
		err  string
	}{
		{"nowhere", nil, "", ""},
		{"the environment", map[string]string{"DTKV_PASSWORD": "p", "DTKV_PASSWORD_FILE": path, "DTKV_REQUIREPASS": "q"}, "p", ""},
		{"a file", map[string]string{"DTKV_PASSWORD_FILE": path, "DTKV_REQUIREPASS": "q"}, "from file", ""},
		{"the node's environment", map[string]string{"DTKV_REQUIREPASS": "q"}, "q", ""},
		{"the node's file", map[string]string{"DTKV_REQUIREPASS_FILE": path}, "from file", ""},
		{"a file that is not there", map[string]string{"DTKV_PASSWORD_FILE": path + "x"}, "", "DTKV_PASSWORD_FILE"},
		{"a file without any", map[string]string{"DTKV_REQUIREPASS_FILE": empty}, "", "holds no password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := program{lookupEnv: func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }}
			got, err := p.password()
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestLoggingIn(t *testing.T) {
	tests := []struct{ name, reply, err string }{
		{"with the password", "+OK\r\n", ""},
		{"where none is needed", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n", ""},
		{"with another", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", "WRONGPASS"},
		{"where nobody answers", "", "no answer to AUTH"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				want := "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"
				if got, err := io.ReadAll(io.LimitReader(bufio.NewReader(conn), int64(len(want)))); string(got) != want {
					t.Errorf("got %q, %v", got, err)
				}
				_, _ = io.WriteString(conn, test.reply)
			}()
			p := program{lookupEnv: func(name string) (string, bool) { return map[string]string{"DTKV_PASSWORD": "secret"}[name], true }}
			conn, err := p.dial(l.Addr().String(), 10*time.Second)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}

func TestCertificatesOfTheCommands(t *testing.T) {
	ca, other := harness.NewCA(t), harness.NewCA(t)
	server, key := ca.Node(t, "node")
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.Config(t, server, key))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go func() { _, _ = io.WriteString(conn, "hello\n"); conn.Close() }()
		}
	}()
	tests := []struct {
		name string
		env  map[string]string
		err  string
	}{
		{"the CA", map[string]string{"DTKV_TLS_CA_CERT_FILE": ca.File}, ""},
		{"a certificate too", map[string]string{"DTKV_TLS_CA_CERT_FILE": ca.File, "DTKV_TLS_CERT_FILE": server, "DTKV_TLS_KEY_FILE": key}, ""},
		{"another CA", map[string]string{"DTKV_TLS_CA_CERT_FILE": other.File}, "unknown authority"},
		{"no CA", map[string]string{"DTKV_TLS_CERT_FILE": server, "DTKV_TLS_KEY_FILE": key}, "unknown authority"},
		{"a CA that is none", map[string]string{"DTKV_TLS_CA_CERT_FILE": key}, "holds no certificate"},
		{"no key", map[string]string{"DTKV_TLS_CERT_FILE": server}, "DTKV_TLS_KEY_FILE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := program{lookupEnv: func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }}
			conn, err := p.dial(l.Addr().String(), 10*time.Second)
			if err == nil {
				line, rerr := bufio.NewReader(conn).ReadString('\n')
				if line != "hello\n" {
					t.Errorf("%q, %v", line, rerr)
				}
				conn.Close()
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}
