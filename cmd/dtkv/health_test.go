package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			http.Error(w, "no leader is known", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}))
	defer node.Close()
	addr := strings.TrimPrefix(node.URL, "http://")
	everywhere := strings.Replace(addr, "127.0.0.1", "0.0.0.0", 1)
	tests := []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"it works", []string{"health", "--http-addr", addr}, nil, exitOK, "ok\n"},
		{"it is not ready", []string{"health", "--ready", "--http-addr", addr}, nil, exitFailed, "503 Service Unavailable: no leader is known"},
		{"as the node was told", []string{"health"}, map[string]string{"DTKV_HTTP_ADDR": everywhere, "DTKV_ALLOW_PLAINTEXT": "yes"}, exitOK, "ok\n"},
		{"nobody is there", []string{"health", "--http-addr", "127.0.0.1:1"}, nil, exitFailed, "connection refused"},
		{"turned off", []string{"health", "--http-addr", ""}, nil, exitFailed, "http-addr is empty"},
		{"help", []string{"health", "--help"}, nil, exitOK, "Usage: dtkv health"},
		{"help of help", []string{"help", "health"}, nil, exitOK, "Usage: dtkv health"},
		{"nonsense", []string{"health", "--colour"}, nil, exitUsage, "colour"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			p := program{stdout: &out, stderr: &out, lookupEnv: func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }}
			if code := p.run(test.args); code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d, %q; want %d, %q", code, &out, test.code, test.want)
			}
		})
	}
}
