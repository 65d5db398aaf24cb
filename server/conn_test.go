package server

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

func TestPipelinesAnswerInOrder(t *testing.T) {
	tests := []struct {
		name string
		send []string
		want string
	}{
		{
			"a read sees the writes before it and not those after",
			[]string{"SET k 1", "GET k", "SET k 2", "GET k"},
			crlf("+OK", "$1", "1", "+OK", "$1", "2"),
		},
		{
			"refused commands keep their place among writes",
			[]string{"SET k 1", "SET k", "INCR k", "NOSUCH", "GET k"},
			crlf("+OK", "-ERR wrong number of arguments for 'set' command", ":2", "-ERR unknown command 'NOSUCH', with args beginning with: ", "$1", "2"),
		},
		{
			"refused commands keep their place among reads",
			[]string{"GET a", "GET", "EXISTS a"},
			crlf("$-1", "-ERR wrong number of arguments for 'get' command", ":0"),
		},
		{
			"an operation that is refused harms no other",
			[]string{"SET k x", "INCR k", "SET k 5", "INCR k"},
			crlf("+OK", "-ERR value is not an integer or out of range", "+OK", ":6"),
		},
		{
			"local commands wait for what is before them",
			[]string{"SET k 1", "PING", "GET k", "ECHO hi"},
			crlf("+OK", "+PONG", "$1", "1", "$2", "hi"),
		},
		{
			"long reads see the writes before them",
			[]string{"SET k 1", "KEYS *", "DEL k", "KEYS *"},
			crlf("+OK", "*1", "$1", "k", ":1", "*0"),
		},
		{"RESP3 begins in the middle of a pipeline", []string{"GET a", "HELLO 3 SETNAME x", "GET a", "HELLO 2", "GET a"}, ""},
		{"QUIT ends the pipeline", []string{"SET k 1", "GET k", "QUIT", "SET k 2"}, crlf("+OK", "$1", "1", "+OK")},
		{
			"REPLY OFF hides replies until ON",
			[]string{"SET k 1", "CLIENT REPLY OFF", "SET k 2", "NOSUCH", "CLIENT REPLY ON", "GET k"},
			crlf("+OK", "+OK", "$1", "2"),
		},
		{"REPLY SKIP hides one reply", []string{"CLIENT REPLY SKIP", "SET k 1", "GET k"}, crlf("$1", "1")},
		{"REPLY SKIP hides a refusal", []string{"CLIENT REPLY SKIP", "NOSUCH", "PING"}, crlf("+PONG")},
		{
			"RESET drops the transaction and the protocol",
			[]string{"MULTI", "SET k 1", "RESET", "EXEC", "GET k"},
			crlf("+OK", "+QUEUED", "+RESET", "-ERR EXEC without MULTI", "$-1"),
		},
		{"blank lines are no commands", []string{"", "PING", "", ""}, crlf("+PONG")},
		{"unknown databases are refused", []string{"SELECT 1", "SELECT 0"}, crlf("-ERR DB index is out of range", "+OK")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := startTestServer(t, nil)
			got := talk(t, s, test.send...)
			if test.want == "" { // HELLO's map carries what changes from run to run.
				if !strings.HasPrefix(got, "$-1\r\n%7\r\n") || !strings.Contains(got, "*0\r\n_\r\n*14\r\n") || !strings.HasSuffix(got, "*0\r\n$-1\r\n") {
					t.Errorf("got %q", got)
				}
			} else if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// many is a pipeline of n commands made by line.
func many(n int, line func(i int) string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = line(i)
	}
	return lines
}

// feed runs one unit on a connection that has received the given bytes at once.
func feed(t *testing.T, s *Server, lines ...string) string {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	c := newConn(s, near)
	if !s.clients.add(c, 10) {
		t.Fatal("no room")
	}
	go c.serve()
	go fmt.Fprint(far, strings.Join(lines, "\r\n")+"\r\nQUIT\r\n")
	got, err := io.ReadAll(far)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(got), "+OK\r\n")
}

func TestConsecutiveWritesAreProposedTogether(t *testing.T) {
	s, g := newTestServer(Default())
	warm(t, s)
	g.counts()
	got := feed(t, s, many(50, func(i int) string { return fmt.Sprintf("SET k%d %d", i, i) })...)
	if want := strings.Repeat("+OK\r\n", 50); got != want {
		t.Errorf("got %q", got)
	}
	if proposals, reads, _ := g.counts(); proposals != 1 || reads != 0 {
		t.Errorf("%d proposals, %d reads, want 1 and 0", proposals, reads)
	}
}

func TestConsecutiveReadsLookOnce(t *testing.T) {
	s, g := newTestServer(Default())
	g.counts()
	feed(t, s, many(50, func(i int) string { return fmt.Sprintf("GET k%d", i) })...)
	if proposals, reads, _ := g.counts(); proposals != 0 || reads != 1 {
		t.Errorf("%d proposals, %d reads, want 0 and 1", proposals, reads)
	}
}

func TestLongReadsRunOutsideTheLock(t *testing.T) {
	s, g := newTestServer(Default())
	g.counts()
	feed(t, s, "KEYS *", "EXISTS"+strings.Repeat(" k", longArgs))
	if _, reads, frozen := g.counts(); reads != 0 || frozen != 2 {
		t.Errorf("%d reads, %d frozen copies, want 0 and 2", reads, frozen)
	}
}

// warm does nothing that a test counts.
func warm(t *testing.T, s *Server) { feed(t, s, "PING") }

func TestRepliesLargerThanTheBufferComeWhole(t *testing.T) {
	s, g := startTestServer(t, nil)
	value := strings.Repeat("v", 100_000)
	c := dial(t, s)
	fmt.Fprintf(c, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value)
	c.want(crlf("+OK"))
	g.counts()
	one := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	got := talk(t, s, many(20, func(int) string { return "GET k" })...)
	if got != strings.Repeat(one, 20) {
		t.Errorf("got %d bytes, want %d", len(got), 20*len(one))
	}
	if _, reads, _ := g.counts(); reads < 20*len(value)/(flushAt+len(one)) {
		t.Errorf("%d looks at the state: replies were not bounded", reads)
	}
}

func TestProposalsAreBounded(t *testing.T) {
	s, g := startTestServer(t, nil)
	value := strings.Repeat("v", 100_000)
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "*3\r\n$3\r\nSET\r\n$1\r\n%d\r\n$%d\r\n%s\r\n", i, len(value), value)
	}
	big := strings.Repeat("b", 600_000)
	fmt.Fprintf(&b, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%d\r\n%s\r\n", len(big), big)
	fmt.Fprint(&b, "STRLEN 0\r\nSTRLEN 9\r\nSTRLEN b\r\n")
	c := dial(t, s)
	go fmt.Fprint(c, b.String())
	c.want(strings.Repeat("+OK\r\n", 11) + crlf(":100000", ":100000", ":600000"))
	if proposals, _, _ := g.counts(); proposals < 4 {
		t.Errorf("%d proposals for 1.6 MB of operations", proposals)
	}
}

func TestFailedProposalsAnswerEveryWrite(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{replica.ErrNoLeader, "-CLUSTERDOWN"},
		{replica.ErrInDoubt, "-INDOUBT"},
		{io.ErrUnexpectedEOF, "-INDOUBT"},
	}
	for _, test := range tests {
		s, g := startTestServer(t, nil)
		g.setFail(test.err)
		got := strings.Split(talk(t, s, "SET a 1", "SET b", "INCR c", "PING"), "\r\n")
		if len(got) != 5 || !strings.HasPrefix(got[0], test.want) || !strings.HasPrefix(got[1], "-ERR wrong") ||
			!strings.HasPrefix(got[2], test.want) || got[3] != "+PONG" {
			t.Errorf("%v: got %q", test.err, got)
		}
		got = strings.Split(talk(t, s, "GET a", "GET", "GET b", "KEYS *"), "\r\n")
		if len(got) != 5 || !strings.HasPrefix(got[0], "-CLUSTERDOWN") || !strings.HasPrefix(got[1], "-ERR wrong") ||
			!strings.HasPrefix(got[2], "-CLUSTERDOWN") || !strings.HasPrefix(got[3], "-CLUSTERDOWN") {
			t.Errorf("reads, %v: got %q", test.err, got)
		}
		g.setFail(nil)
		if got := talk(t, s, "INCR a"); got != crlf(":1") {
			t.Errorf("afterwards: got %q", got)
		}
	}
}

func TestWhileLoadingDataCommandsSayLoading(t *testing.T) {
	cfg := Default()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", quiet
	s := newServer(cfg)
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	defer s.stopClients()
	c := dial(t, s)
	c.send("PING", "GET a")
	loading := "-LOADING this node is loading its data; the command was not run"
	c.want(crlf("+PONG", loading))
	c.send("SET a 1")
	c.want(crlf(loading))
	g := newFakeGroup()
	s.useGroups(func(int) group { return g })
	c.send("SET a 1")
	c.want(crlf("+OK"))
}

func TestProtocolErrorsAreAnsweredAfterWhatWasBefore(t *testing.T) {
	tests := []struct{ name, send, want string }{
		{"a bulk that is no bulk", "*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'"},
		{"a length that is no number", "*2\r\n$3\r\nGET\r\n$x\r\n", "-ERR Protocol error: invalid bulk length"},
		{"a count beyond all bounds", "*99999999999\r\n", "-ERR Protocol error: invalid multibulk length"},
		{"quotes that do not match", "GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := startTestServer(t, nil)
			c := dial(t, s)
			fmt.Fprint(c, "SET k 1\r\nGET k\r\n"+test.send)
			c.want(crlf("+OK", "$1", "1", test.want))
			c.CloseWriteNow()
			c.wantEnd("")
		})
	}
}

// CloseWriteNow says that no more is coming.
func (c *client) CloseWriteNow() { _ = c.Conn.(*net.TCPConn).CloseWrite() }

func TestTheLastWordsReachAClientThatStillSends(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := dial(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fmt.Fprint(c, "*2\r\n$3\r\nGET\r\n$999999999\r\n"+strings.Repeat("x", 8<<20))
		c.CloseWriteNow()
	}()
	<-done
	c.wantEnd(crlf("-ERR Protocol error: invalid bulk length"))
}

func TestOtherProtocolsAreDisconnected(t *testing.T) {
	for _, send := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		s, _ := startTestServer(t, nil)
		c := dial(t, s)
		fmt.Fprint(c, send)
		got, _ := io.ReadAll(c) // The end may be a reset: we do not read what follows.
		if len(got) != 0 {
			t.Errorf("%q was answered %q", send, got)
		}
	}
}

func TestKillEndsAConnection(t *testing.T) {
	s, _ := startTestServer(t, nil)
	victim, killer := dial(t, s), dial(t, s)
	victim.send("CLIENT ID")
	victim.want(crlf(":1"))
	killer.send("CLIENT KILL ID 1", "CLIENT KILL ID 99")
	killer.want(crlf(":1", ":0"))
	victim.wantEnd("")
	killer.send("CLIENT KILL ID 2 SKIPME no", "PING")
	killer.wantEnd(crlf(":1"))
}

func TestAKilledClientIsToldOfItsWrite(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.mu.Lock()
	hold := make(chan struct{})
	g.hold = hold
	g.mu.Unlock()
	victim, killer := dial(t, s), dial(t, s)
	victim.send("SET k 1")
	<-g.entered
	killer.send("CLIENT KILL TYPE normal SKIPME yes")
	killer.want(crlf(":1"))
	close(hold)
	victim.wantEnd(crlf("+OK"))
}

func TestClientListShowsEveryConnection(t *testing.T) {
	s, _ := startTestServer(t, nil)
	a, b := dial(t, s), dial(t, s)
	a.send("CLIENT SETNAME first", "MULTI", "GET k")
	a.want(crlf("+OK", "+OK", "+QUEUED"))
	b.send("CLIENT LIST", "QUIT")
	got, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"id=1 ", "name=first", "multi=1", "cmd=get", "id=2 ", "cmd=client|list", a.LocalAddr().String()} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	s, _ := startTestServer(t, nil)
	other := dial(t, s)
	other.send("PING")
	other.want(crlf("+PONG"))
	near, far := net.Pipe()
	c := newConn(s, near)
	s.clients.add(c, 10)
	c.group = nil // the next look at the state panics
	go c.serve()
	go fmt.Fprint(far, "GET k\r\n")
	if got, err := io.ReadAll(far); len(got) != 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if n := s.panics.Load(); n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
	other.send("PING")
	other.want(crlf("+PONG"))
}
