package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/backup"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// fill puts about n megabytes into the group.
func fill(t *testing.T, g *fakeGroup, n int) {
	t.Helper()
	for i := range n * 10 {
		op := fsm.Set{Key: fmt.Append(nil, "k", i), Value: bytes.Repeat([]byte{'v'}, 100_000)}
		if err := g.Propose(t.Context(), &replica.Proposal{Ops: op.AppendTo(nil), N: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// readBackup reads the reply of DTKV.BACKUP and returns its bytes.
func readBackup(t *testing.T, r *bufio.Reader) []byte {
	t.Helper()
	var n, size int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for i := range n {
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			t.Fatalf("string %d of %d: %v", i, n, err)
		}
		if size > backupChunk || (size == 0) != (i == n-1) {
			t.Fatalf("string %d of %d has %d bytes", i, n, size)
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(r, chunk); err != nil {
			t.Fatal(err)
		}
		all = append(all, chunk[:size]...)
	}
	return all
}

// open returns the header and the state of a backup of one group.
func open(t *testing.T, data []byte) (backup.Header, fsm.View) {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Add(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := backup.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	h, m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return h, m.View()
}

func TestABackupIsOneReplyInItsPlace(t *testing.T) {
	for _, megabytes := range []int{0, 2} {
		s, g := startTestServer(t, nil)
		fill(t, g, megabytes)
		c := dial(t, s)
		c.send("SET before 1", "PING", "DTKV.BACKUP", "SET after 1", "GET before")
		c.want("+OK\r\n+PONG\r\n")
		r := bufio.NewReader(c)
		h, v := open(t, readBackup(t, r))
		if _, ok := v.Lookup([]byte("before")); !ok {
			t.Error("the write before it is missing")
		}
		if _, ok := v.Lookup([]byte("after")); ok || v.Len() != megabytes*10+1 || h.Index != uint64(megabytes*10+2) || h.Release != Version {
			t.Errorf("%d values, %+v", v.Len(), h)
		}
		rest := make([]byte, len("+OK\r\n$1\r\n1\r\n"))
		if _, err := io.ReadFull(r, rest); string(rest) != "+OK\r\n$1\r\n1\r\n" {
			t.Errorf("behind it came %q, %v", rest, err)
		}
	}
}

func TestABackupThatCannotBeTakenIsAnError(t *testing.T) {
	s, g := startTestServer(t, nil)
	if got := talk(t, s, "MULTI", "DTKV.BACKUP", "DISCARD"); !strings.HasPrefix(got, "+OK\r\n-ERR ") {
		t.Errorf("in MULTI: %q", got)
	}
	if got := talk(t, s, "DTKV.BACKUP now"); !strings.HasPrefix(got, "-ERR wrong number") {
		t.Errorf("with an argument: %q", got)
	}
	if got := talk(t, s, "CLIENT REPLY SKIP", "DTKV.BACKUP", "PING"); got != "+PONG\r\n" {
		t.Errorf("unwanted: %q", got)
	}
	g.setFail(replica.ErrNoLeader)
	if got := talk(t, s, "DTKV.BACKUP", "PING"); !strings.HasPrefix(got, "-CLUSTERDOWN ") || !strings.HasSuffix(got, "+PONG\r\n") {
		t.Errorf("without a leader: %q", got)
	}
}

// Who goes away in the middle, or is sent away, does no harm and gets no end.
func TestABackupThatBreaksOffHasNoEnd(t *testing.T) {
	s, g := startTestServer(t, nil)
	fill(t, g, 20) // more than sockets hold
	gone := dial(t, s)
	gone.send("DTKV.BACKUP")
	gone.want("*")
	gone.Close()

	killed := dial(t, s)
	if err := killed.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	killed.send("CLIENT ID", "DTKV.BACKUP")
	r := bufio.NewReader(killed)
	var id int
	if _, err := fmt.Fscanf(r, ":%d\r\n", &id); err != nil {
		t.Fatal(err)
	}
	if b, err := r.ReadByte(); b != '*' || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
	if got := talk(t, s, fmt.Sprintf("CLIENT KILL ID %d", id)); got != ":1\r\n" {
		t.Fatalf("kill: %q", got)
	}
	left, err := io.ReadAll(r)
	if bytes.HasSuffix(left, []byte("$0\r\n\r\n")) {
		t.Errorf("%d bytes with an end, %v", len(left), err)
	}
	if got := talk(t, s, "PING"); got != "+PONG\r\n" {
		t.Errorf("another client: %q", got)
	}
}
