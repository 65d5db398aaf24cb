package server

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

// What a READONLY connection reads is here, whoever leads; everything else it does is as on any other.
func TestReadOnlyReadsWhatIsHere(t *testing.T) {
	const down = "-CLUSTERDOWN no leader is known; the command was not run"
	tests := []struct {
		name  string
		sent  []string
		reply []string
		stale int // looks at what is here
	}{
		{"a read", []string{"READONLY", "GET k"}, []string{"+OK", "$1", "v"}, 1},
		{"reads of one pipeline look once", []string{"READONLY", "GET k", "EXISTS k none", "GET k"}, []string{"+OK", "$1", "v", ":1", "$1", "v"}, 1},
		{"a read of many nodes", []string{"READONLY", "KEYS *"}, []string{"+OK", "*1", "$1", "k"}, 1},
		{"a read of many keys", []string{"READONLY", "EXISTS" + strings.Repeat(" k", longArgs)}, []string{"+OK", ":512"}, 1},
		{"not before it was asked for", []string{"GET k", "READONLY", "GET k"}, []string{down, "+OK", "$1", "v"}, 1},
		{"not after READWRITE", []string{"READONLY", "READWRITE", "GET k"}, []string{"+OK", "+OK", down}, 0},
		{"not after RESET", []string{"READONLY", "RESET", "GET k", "KEYS *"}, []string{"+OK", "+RESET", down, down}, 0},
		{"not a write", []string{"READONLY", "SET k w", "GET k"}, []string{"+OK", down, "$1", "v"}, 1},
		{"not a read of a transaction", []string{"READONLY", "MULTI", "GET k", "EXEC"}, []string{"+OK", "+OK", "+QUEUED", down}, 0},
		{"not a long read of a transaction", []string{"READONLY", "MULTI", "KEYS *", "EXEC"}, []string{"+OK", "+OK", "+QUEUED", down}, 0},
		{"not WATCH", []string{"READONLY", "WATCH k"}, []string{"+OK", down}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, g := startTestServer(t, nil)
			if got := talk(t, s, "SET k v"); got != "+OK\r\n" {
				t.Fatal(got)
			}
			g.setFail(replica.ErrNoLeader)
			if got, want := talk(t, s, test.sent...), crlf(test.reply...); got != want {
				t.Errorf("one piece: got %q, want %q", got, want)
			}
			if n := g.looks(); n != test.stale {
				t.Errorf("one piece: looked %d times at what is here, want %d", n, test.stale)
			}
			c := dial(t, s) // one by one, which is how event loops see them
			rest := crlf(test.reply...)
			for _, line := range test.sent {
				c.send(line)
			}
			c.want(rest)
		})
	}
}

// A loop does not hand a READONLY connection over to somebody who could wait for a leader.
func TestReadOnlyNeedsNobody(t *testing.T) {
	s, g := startTestServer(t, nil)
	talk(t, s, "SET k v")
	c := dial(t, s)
	c.send("READONLY")
	c.want("+OK\r\n")
	g.setFail(replica.ErrNoLeader)
	g.counts()
	for range 3 {
		c.send("GET k")
		c.want("$1\r\nv\r\n")
	}
	if _, reads, frozen := g.counts(); reads+frozen > 0 {
		t.Errorf("%d reads asked for what was acknowledged", reads+frozen)
	}
}

// looks returns how often the group was asked for what is here.
func (g *fakeGroup) looks() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stale
}
