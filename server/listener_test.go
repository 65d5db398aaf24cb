package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneClientTooManyIsTurnedAway(t *testing.T) {
	s, _ := startTestServer(t, func(c *Config) { c.MaxClients = 2 })
	first, second := dial(t, s), dial(t, s)
	for _, c := range []*client{first, second} {
		c.send("PING")
		c.want(crlf("+PONG"))
	}
	third := dial(t, s)
	third.wantEnd(crlf("-ERR max number of clients reached"))
	first.send("QUIT")
	first.wantEnd(crlf("+OK"))
	s.clients.mu.Lock()
	gone := len(s.clients.conns)
	s.clients.mu.Unlock()
	if gone > 2 {
		t.Errorf("%d clients", gone)
	}
	for { // The place is free once the server, too, has let the first one go.
		c := dial(t, s)
		c.send("PING")
		if got, _ := io.ReadAll(io.LimitReader(c, 7)); string(got) == crlf("+PONG") {
			break
		}
	}
	second.send("CONFIG SET maxclients 1", "PING")
	second.want(crlf("+OK", "+PONG"))
	dial(t, s).wantEnd(crlf("-ERR max number of clients reached"))
}

// failingListener fails a number of times before it is closed.
type failingListener struct {
	net.Listener
	failures int
	at       []time.Time
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.at = append(l.at, time.Now())
	if len(l.at) > l.failures {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

func TestAcceptWaitsLongerWhenDescriptorsRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(Default())
		t.Cleanup(s.hub.Close)
		l := &failingListener{failures: 12}
		s.accept(l)
		pause := l.at[1].Sub(l.at[0])
		if pause < acceptPause {
			t.Errorf("first pause %s", pause)
		}
		for i := 2; i < len(l.at); i++ {
			next := l.at[i].Sub(l.at[i-1])
			if want := min(2*pause, acceptRest); next != want {
				t.Errorf("pause %d is %s, want %s", i, next, want)
			}
			pause = next
		}
	})
}

func TestSeldomLetsOneThroughPerMinute(t *testing.T) {
	var s seldom
	now := time.Unix(1_700_000_000, 0)
	if _, ok := s.allow(now); !ok {
		t.Error("the first was held back")
	}
	for range 5 {
		if _, ok := s.allow(now.Add(59 * time.Second)); ok {
			t.Error("the second was let through within a minute")
		}
	}
	if held, ok := s.allow(now.Add(time.Minute)); !ok || held != 5 {
		t.Errorf("after a minute: %d held, %v", held, ok)
	}
}

func TestBusyPortsNameTheOption(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, option := range []string{"addr", "http-addr"} {
		cfg := Default()
		cfg.Addr, cfg.HTTPAddr, cfg.DataDir, cfg.Logger = "127.0.0.1:0", "", t.TempDir(), quiet
		if err := cfg.Set(option, taken.Addr().String()); err != nil {
			t.Fatal(err)
		}
		s := newServer(cfg)
		err := s.listen()
		if err == nil {
			s.stopClients()
		}
		if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "--"+option) {
			t.Errorf("%s: got %v", option, err)
		}
	}
}

func TestHealthChecks(t *testing.T) {
	s, _ := newTestServer(Default())
	get := func(path string) int {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	tests := []struct {
		path string
		want int
	}{{"/healthz", 200}, {"/readyz", 200}, {"/", 404}, {"/metrics", 200}}
	for _, test := range tests {
		if got := get(test.path); got != test.want {
			t.Errorf("%s: %d, want %d", test.path, got, test.want)
		}
	}
	s.groups.Store(nil)
	if got := get("/readyz"); got != 503 {
		t.Errorf("while loading: %d, want 503", got)
	}
	s.draining.Store(true)
	if got := get("/readyz"); got != 503 {
		t.Errorf("while stopping: %d, want 503", got)
	}
	if got := get("/healthz"); got != 200 {
		t.Errorf("healthy while stopping: %d, want 200", got)
	}
}

func TestMetricsArePrometheus(t *testing.T) {
	s, _ := newTestServer(Default())
	page := func() string {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	feed(t, s, "PING")
	line := regexp.MustCompile(`^[a-z][a-z0-9_]*(\{[^ ]+\})? (-?[0-9.e+-]+|[+]Inf|NaN)$`)
	for text := range strings.Lines(page()) {
		if text = strings.TrimSuffix(text, "\n"); !strings.HasPrefix(text, "#") && !line.MatchString(text) {
			t.Errorf("%q is no metric", text)
		}
	}
	for _, want := range []string{
		"# TYPE dtkv_command_duration_seconds histogram\n", `dtkv_command_duration_seconds_count{command="ping"} 1` + "\n",
		`dtkv_command_duration_seconds_bucket{command="ping",le="67.108864"} 1` + "\n", `dtkv_group_role{group="0",role="leader"} 1` + "\n",
		"# TYPE dtkv_clients gauge\n", "process_open_fds ", "go_goroutines ",
	} {
		if !strings.Contains(page(), want) {
			t.Errorf("%q is missing:\n%s", want, page())
		}
	}
	s.groups.Store(nil)
	if got := page(); !strings.Contains(got, "dtkv_node_ready 0\n") {
		t.Errorf("while loading:\n%s", got)
	}
}

// Names end in what they count, and have no unit but base units.
func TestMetricsHaveNamesByTheConventions(t *testing.T) {
	for _, m := range exported.list {
		total, unit := strings.HasSuffix(m.name, "_total"), strings.HasSuffix(m.name, "_seconds") || strings.HasSuffix(m.name, "_bytes")
		if total != (m.kind == "counter") || m.kind == "histogram" && !unit || !strings.HasPrefix(m.name, "dtkv_") || m.help == "" {
			t.Errorf("%s is a %s: %s", m.name, m.kind, m.help)
		}
		if strings.Contains(m.name, "_ms") || strings.Contains(m.name, "micro") {
			t.Errorf("%s counts in no base unit", m.name)
		}
	}
}

func TestExplainPortLeavesOtherErrorsAlone(t *testing.T) {
	err := errors.New("of some other kind")
	if got := explainPort(err, "addr", "x"); got != err {
		t.Errorf("got %v", got)
	}
}
