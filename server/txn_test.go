package server

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

const execAbort = "-EXECABORT Transaction discarded because of previous errors."

func TestTransactions(t *testing.T) {
	arity := "-ERR wrong number of arguments for 'get' command"
	tests := []struct {
		name string
		send []string
		want string
	}{
		{
			"EXEC runs the queue in order",
			[]string{"MULTI", "SET k 1", "INCR k", "GET k", "EXEC"},
			crlf("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+OK", ":2", "$1", "2"),
		},
		{
			"reads see the writes before them only",
			[]string{"SET k 0", "MULTI", "GET k", "SET k 1", "GET k", "SET k 2", "GET k", "EXEC"},
			crlf("+OK", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*5", "$1", "0", "+OK", "$1", "1", "+OK", "$1", "2"),
		},
		{"reads alone", []string{"SET k 0", "MULTI", "GET k", "EXISTS k", "EXEC"}, crlf("+OK", "+OK", "+QUEUED", "+QUEUED", "*2", "$1", "0", ":1")},
		{
			"long reads among writes",
			[]string{"MULTI", "KEYS *", "SET k 1", "KEYS *", "EXEC"},
			crlf("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "*0", "+OK", "*1", "$1", "k"),
		},
		{"long reads alone", []string{"SET k 1", "MULTI", "KEYS *", "EXEC"}, crlf("+OK", "+OK", "+QUEUED", "*1", "*1", "$1", "k")},
		{
			"local commands",
			[]string{"MULTI", "PING", "SET k 1", "ECHO x", "EXEC"},
			crlf("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+PONG", "+OK", "$1", "x"),
		},
		{"local commands alone", []string{"MULTI", "PING", "EXEC"}, crlf("+OK", "+QUEUED", "*1", "+PONG")},
		{"nothing", []string{"MULTI", "EXEC"}, crlf("+OK", "*0")},
		{
			"UNWATCH inside is queued",
			[]string{"WATCH k", "MULTI", "UNWATCH", "SET k 1", "EXEC"},
			crlf("+OK", "+OK", "+QUEUED", "+QUEUED", "*2", "+OK", "+OK"),
		},
		{
			"an operation that fails harms no other",
			[]string{"MULTI", "SET k x", "INCR k", "SET j 1", "EXEC", "GET k"},
			crlf("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+OK", "-ERR value is not an integer or out of range", "+OK", "$1", "x"),
		},
		{
			"a refused command aborts",
			[]string{"MULTI", "SET k 1", "GET", "SET k 2", "EXEC", "GET k"},
			crlf("+OK", "+QUEUED", arity, "+QUEUED", execAbort, "$-1"),
		},
		{
			"what is wrong with arguments is said by EXEC",
			[]string{"MULTI", "SET k 1", "SET k 1 SOON", "GET k..j", "EXEC"},
			crlf("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+OK", "-ERR syntax error",
				"-BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots"),
		},
		{
			"an unknown command aborts",
			[]string{"MULTI", "NOSUCH", "EXEC"},
			crlf("+OK", "-ERR unknown command 'NOSUCH', with args beginning with: ", execAbort),
		},
		{"nested MULTI is refused and does not abort", []string{"MULTI", "MULTI", "EXEC"}, crlf("+OK", "-ERR MULTI calls can not be nested", "*0")},
		{"WATCH inside is refused and does not abort", []string{"MULTI", "WATCH k", "EXEC"}, crlf("+OK", "-ERR WATCH inside MULTI is not allowed", "*0")},
		{"EXEC without MULTI", []string{"EXEC"}, crlf("-ERR EXEC without MULTI")},
		{
			"EXEC that is refused ends the transaction",
			[]string{"MULTI", "SET k 1", "EXEC now", "GET k", "EXEC"},
			crlf("+OK", "+QUEUED", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command", "$-1", "-ERR EXEC without MULTI"),
		},
		{"DISCARD without MULTI", []string{"DISCARD"}, crlf("-ERR DISCARD without MULTI")},
		{
			"DISCARD drops the queue",
			[]string{"MULTI", "SET k 1", "DISCARD", "GET k", "EXEC"},
			crlf("+OK", "+QUEUED", "+OK", "$-1", "-ERR EXEC without MULTI"),
		},
		{
			"DISCARD drops the watches",
			[]string{"WATCH k", "SET k 1", "MULTI", "DISCARD", "MULTI", "PING", "EXEC"},
			crlf("+OK", "+OK", "+OK", "+OK", "+OK", "+QUEUED", "*1", "+PONG"),
		},
		{
			"a watched key that changed aborts writes",
			[]string{"WATCH k", "SET k 1", "MULTI", "SET k 2", "EXEC", "GET k"},
			crlf("+OK", "+OK", "+OK", "+QUEUED", "*-1", "$1", "1"),
		},
		{"a watched key that changed aborts reads", []string{"WATCH k", "SET k 1", "MULTI", "GET k", "EXEC"}, crlf("+OK", "+OK", "+OK", "+QUEUED", "*-1")},
		{"a watched key that changed aborts local commands", []string{"WATCH k", "SET k 1", "MULTI", "PING", "EXEC"}, crlf("+OK", "+OK", "+OK", "+QUEUED", "*-1")},
		{
			"a watched key that was removed aborts",
			[]string{"SET k 1", "WATCH j k", "DEL k", "MULTI", "SET k 2", "EXEC"},
			crlf("+OK", "+OK", ":1", "+OK", "+QUEUED", "*-1"),
		},
		{
			"a watched key that is as it was lets EXEC run",
			[]string{"SET k 1", "WATCH k", "GET k", "MULTI", "INCR k", "EXEC"},
			crlf("+OK", "+OK", "$1", "1", "+OK", "+QUEUED", "*1", ":2"),
		},
		{
			"EXEC forgets the watches",
			[]string{"WATCH k", "MULTI", "SET k 1", "EXEC", "SET k 2", "MULTI", "PING", "EXEC"},
			crlf("+OK", "+OK", "+QUEUED", "*1", "+OK", "+OK", "+OK", "+QUEUED", "*1", "+PONG"),
		},
		{
			"UNWATCH forgets the watches",
			[]string{"WATCH k", "SET k 1", "UNWATCH", "MULTI", "PING", "EXEC"},
			crlf("+OK", "+OK", "+OK", "+OK", "+QUEUED", "*1", "+PONG"),
		},
		{
			"an aborted EXEC forgets the watches",
			[]string{"WATCH k", "MULTI", "GET", "EXEC", "SET k 1", "MULTI", "PING", "EXEC"},
			crlf("+OK", "+OK", arity, execAbort, "+OK", "+OK", "+QUEUED", "*1", "+PONG"),
		},
		{"QUIT inside runs at once", []string{"MULTI", "SET k 1", "QUIT", "EXEC"}, crlf("+OK", "+QUEUED", "+OK")},
		{"CLIENT REPLY inside leaves no gap", []string{"MULTI", "CLIENT REPLY SKIP", "PING", "EXEC", "PING", "PING"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := startTestServer(t, nil)
			got := talk(t, s, test.send...)
			if test.want == "" {
				test.want = crlf("+OK", "+QUEUED", "+QUEUED", "*2", "+OK", "+PONG", "+PONG")
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestATransactionIsOneProposal(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.counts()
	talk(t, s, "MULTI", "SET a 1", "SET b 2", "GET a", "EXEC")
	if proposals, reads, frozen := g.counts(); proposals != 1 || reads != 0 || frozen != 0 {
		t.Errorf("%d proposals, %d reads, %d copies, want 1, 0, 0", proposals, reads, frozen)
	}
	talk(t, s, "MULTI", "GET a", "GET b", "EXEC")
	if proposals, reads, _ := g.counts(); proposals != 0 || reads != 1 {
		t.Errorf("reads alone: %d proposals, %d reads, want 0 and 1", proposals, reads)
	}
	talk(t, s, "MULTI", "PING", "EXEC")
	if proposals, reads, _ := g.counts(); proposals != 0 || reads != 0 {
		t.Errorf("local alone: %d proposals, %d reads, want none", proposals, reads)
	}
}

func TestAQueueOutlivesTheReadBuffer(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := dial(t, s)
	c.send("MULTI")
	c.want(crlf("+OK"))
	for i := range 20 { // Each fills the buffer anew.
		c.send("SET key" + string(rune('a'+i)) + " " + strings.Repeat(string(rune('a'+i)), 1000))
		c.want(crlf("+QUEUED"))
	}
	c.send("EXEC", "GET keya", "GET keyt")
	c.want(crlf("*20") + strings.Repeat("+OK\r\n", 20) +
		crlf("$1000", strings.Repeat("a", 1000), "$1000", strings.Repeat("t", 1000)))
}

func TestAnotherClientsChangeAborts(t *testing.T) {
	s, _ := startTestServer(t, nil)
	a, b := dial(t, s), dial(t, s)
	a.send("SET k 1", "WATCH k")
	a.want(crlf("+OK", "+OK"))
	b.send("SET k 1") // the same value, and a change all the same
	b.want(crlf("+OK"))
	a.send("MULTI", "SET k 2", "EXEC")
	a.want(crlf("+OK", "+QUEUED", "*-1"))
	a.send("HELLO 3")
	a.want("%7")
}

func TestAFailedExecHasOneAnswer(t *testing.T) {
	s, g := startTestServer(t, nil)
	g.setFail(replica.ErrInDoubt)
	got := talk(t, s, "MULTI", "SET a 1", "GET a", "EXEC", "MULTI", "GET a", "EXEC", "WATCH a", "PING")
	want := crlf("+OK", "+QUEUED", "+QUEUED", "-INDOUBT the write may or may not have been applied",
		"+OK", "+QUEUED", "-CLUSTERDOWN the state could not be confirmed as current; nothing was read",
		"-CLUSTERDOWN the state could not be confirmed as current; nothing was read", "+PONG")
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTransactionsAreBounded(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := dial(t, s)
	go func() {
		value := strings.Repeat("v", 1<<20)
		c.send("MULTI")
		for range maxTxnBytes >> 20 {
			c.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n" + value)
		}
		c.send("EXEC", "GET k")
	}()
	c.want(crlf("+OK") + strings.Repeat("+QUEUED\r\n", maxTxnBytes>>20-1) +
		crlf("-ERR the transaction holds more than 64 MiB", execAbort, "$-1"))
}
