package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

var errDisk = errors.New("input/output error")

// failingLog fails every write.
type failingLog struct{ raft.LogStore }

func (failingLog) StoreLogs([]*raft.Log) error { return errDisk }

// hangingLog holds every write.
type hangingLog struct {
	raft.LogStore
	stall *stallPoint
}

func (h hangingLog) StoreLogs(logs []*raft.Log) error {
	h.stall.wait(false)
	return h.LogStore.StoreLogs(logs)
}

func TestStrangersArePolitelyRefused(t *testing.T) {
	n, _ := openSingle(t, Config{NodeID: "a"})
	defer closeNode(t, n)
	good := hello{Version: peerVersion, Cluster: n.ClusterID(), From: "b", To: "a", Group: 0, Use: useRaft}
	tests := []struct {
		name   string
		change func(h *hello)
		want   string
	}{
		{"another cluster", func(h *hello) { h.Cluster = "other" }, `is of cluster "other"`},
		{"another node's address", func(h *hello) { h.To = "c" }, `for node "c"`},
		{"an unknown group", func(h *hello) { h.Group = 7 }, "no group 7"},
		{"a newer protocol", func(h *hello) { h.Version = 9 }, "version 9"},
		{"an unknown use", func(h *hello) { h.Use = "ftp" }, `"ftp"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := good
			test.change(&h)
			s := raftStream{hello: h, dial: func(a string, d time.Duration) (net.Conn, error) { return net.DialTimeout("tcp", a, d) }}
			conn, err := s.Dial(tagged(raft.ServerID(h.To), raft.ServerAddress(n.PeerAddr())), time.Second)
			if err == nil {
				conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
		})
	}
	t.Run("something that is no peer", func(t *testing.T) {
		conn, err := net.Dial("tcp", n.PeerAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		if !strings.Contains(string(answer), "not a dtkv peer") {
			t.Fatalf("answer: %q", answer)
		}
	})
}

// rpcTo hands one message to a node as if a peer had sent it.
func rpcTo(t *testing.T, n *Node, from string) *transport { return rpcToGroup(t, n, place{}, from) }

func rpcToGroup(t *testing.T, n *Node, p place, from string) *transport {
	t.Helper()
	stream := &raftStream{
		hello:    hello{Version: peerVersion, Cluster: n.ClusterID(), From: from, Use: useRaft, Group: p.id, Generation: p.generation},
		addr:     announced{"127.0.0.1:1"},
		dial:     func(a string, d time.Duration) (net.Conn, error) { return net.DialTimeout("tcp", a, d) },
		incoming: make(chan net.Conn),
		done:     make(chan struct{}),
	}
	logger := raftLog{slog: quietLogger(), hclog: raftLogger(quietLogger())}
	peer := newTransport(from, stream, logger, time.Second, func() uint64 { return 0 })
	t.Cleanup(func() { peer.close() })
	return peer
}

func header(from string) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(from), Addr: []byte("127.0.0.1:1")}
}

// hashicorp/raft issue 697: a snapshot that is older than the state would roll it back and cut the log.
func TestStaleSnapshotsAreNotInstalled(t *testing.T) {
	n, g := openSingle(t, Config{})
	defer closeNode(t, n)
	for range 20 {
		mustSet(t, g, "k", "v")
	}
	before := contents(g)
	peer := rpcTo(t, n, "x")
	body := "an old state"
	request := &raft.InstallSnapshotRequest{
		RPCHeader: header("x"), SnapshotVersion: 1, Term: g.raft.CurrentTerm(), Leader: []byte("127.0.0.1:1"),
		LastLogIndex: 5, LastLogTerm: 1, Configuration: raft.EncodeConfiguration(raft.Configuration{}), ConfigurationIndex: 1, Size: int64(len(body)),
	}
	var answer raft.InstallSnapshotResponse
	err := peer.InstallSnapshot(raft.ServerID(n.ID()), raft.ServerAddress(n.PeerAddr()), request, &answer, strings.NewReader(body))
	if err != nil || !answer.Success {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	if contents(g) != before || get(t, g, "k") != "v" {
		t.Fatal("the state was rolled back")
	}
	mustSet(t, g, "k", "still writable")
}

// One node of three, made from a backup: its log begins behind a snapshot. The others are played by the test.
func TestEntriesBehindASnapshotMayComeAgain(t *testing.T) {
	file, _, _ := sample(t)
	peers := []Peer{{"f", freeAddress(t)}, {"a", freeAddress(t)}, {"b", freeAddress(t)}}
	dir := filepath.Join(t.TempDir(), "restored")
	if _, _, err := Restore(bytes.NewReader(file), Restoration{DataDir: dir, NodeID: "f", Peers: peers, Logger: quietLogger()}); err != nil {
		t.Fatal(err)
	}
	n, err := Open(Config{DataDir: dir, PeerAddr: peers[0].Address, Logger: quietLogger(), heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNode(t, n)
	g, _ := n.Group(0)
	before, term := g.raft.LastIndex(), g.raft.CurrentTerm()
	entries := func(from, to, term uint64) (list []*raft.Log) {
		for i := from; i <= to; i++ {
			list = append(list, &raft.Log{Index: i, Term: term, Type: raft.LogNoop})
		}
		return list
	}
	for _, step := range []struct {
		name     string
		leader   string
		term     uint64
		prev     uint64
		prevTerm uint64
		entries  []*raft.Log
		commit   uint64 // as the leader has it
		last     uint64 // the end of the log then
		commits  uint64 // what is committed then; Raft knows of nothing at first
	}{
		{"the first entry", "a", term + 1, before, term, entries(before+1, before+1, term+1), 0, before + 1, 0},
		{"again, since the answer was lost", "a", term + 1, before, term, entries(before+1, before+1, term+1), 0, before + 1, 0},
		{"again with more behind it", "a", term + 1, before, term, entries(before+1, before+5, term+1), 0, before + 5, 0},
		{"another leader with another entry there", "b", term + 2, before, term, entries(before+1, before+1, term+2), 0, before + 1, 0},
		{"three more", "b", term + 2, before + 1, term + 2, entries(before+2, before+4, term+2), 0, before + 4, 0},
		{"a message that shows one entry, of a leader that committed four", "a", term + 3, before + 1, term + 2, nil, before + 4, before + 4, before + 1},
		{"entries that the snapshot has too", "a", term + 3, before - 3, term, entries(before-2, before, term), before + 4, before + 4, before + 1},
		{"and others in their place", "a", term + 3, before + 1, term + 2, entries(before+2, before+2, term+3), before + 4, before + 2, before + 2},
	} {
		peer := rpcTo(t, n, step.leader)
		message := raft.AppendEntriesRequest{
			RPCHeader: header(step.leader), Term: step.term, PrevLogEntry: step.prev, PrevLogTerm: step.prevTerm, Entries: step.entries, LeaderCommitIndex: step.commit,
		}
		var answer raft.AppendEntriesResponse
		if err := peer.AppendEntries("f", raft.ServerAddress(n.PeerAddr()), &message, &answer); err != nil || !answer.Success {
			t.Fatalf("%s: %+v, %v", step.name, answer, err)
		}
		if last, committed := g.raft.LastIndex(), g.raft.CommitIndex(); last != step.last || committed != step.commits {
			t.Fatalf("%s: the log ends at %d, want %d, and is committed up to %d, want %d (the snapshot's last is %d)",
				step.name, last, step.last, committed, step.commits, before)
		}
	}
}

// hashicorp/raft issue 695: with the fast path, a heartbeat handled on the stream's goroutine can set the term back
// after the main loop has voted in a newer one. Here both reach the main loop, one after the other.
func TestHeartbeatsCannotUndoAVote(t *testing.T) {
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	peers := []Peer{{"f", addresses[0]}, {"a", addresses[1]}, {"b", addresses[2]}}
	slow := &slowTerm{term: 6, entered: make(chan struct{}), released: make(chan struct{})}
	n, err := Open(Config{
		DataDir: t.TempDir(), NodeID: "f", PeerAddr: addresses[0], Peers: peers, Logger: quietLogger(), heartbeat: time.Minute,
		stable: func(s raft.StableStore) raft.StableStore {
			slow.StableStore = s
			return slow
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNode(t, n)
	g, _ := n.Group(0)

	a, b := rpcTo(t, n, "a"), rpcTo(t, n, "b")
	beaten := make(chan raft.AppendEntriesResponse, 1)
	go func() {
		var answer raft.AppendEntriesResponse
		a.AppendEntries("f", raft.ServerAddress(n.PeerAddr()), &raft.AppendEntriesRequest{RPCHeader: header("a"), Term: 6}, &answer)
		beaten <- answer
	}()
	<-slow.entered // term 6 is being stored
	voted := make(chan raft.RequestVoteResponse, 1)
	go func() {
		var answer raft.RequestVoteResponse
		b.RequestVote("f", raft.ServerAddress(n.PeerAddr()), &raft.RequestVoteRequest{RPCHeader: header("b"), Term: 7, LastLogIndex: 1, LastLogTerm: 1}, &answer)
		voted <- answer
	}()
	select {
	case answer := <-voted:
		t.Fatalf("a vote was answered (%+v) while the main loop stored another term", answer)
	case <-time.After(100 * time.Millisecond):
	}
	close(slow.released)
	<-beaten
	<-voted
	if term := g.raft.CurrentTerm(); slow.lowered.Load() || term < 6 {
		t.Fatalf("the stored term went down; it is %d now", term)
	}
}

// A candidate keeps streams to its voters, and one of these has been started anew since they were used last.
func TestAVoteIsNotLostToAStreamThatHasEnded(t *testing.T) {
	cfg := Config{NodeID: "a", DataDir: t.TempDir(), PeerAddr: freeAddress(t)}
	n, _ := openSingle(t, cfg)
	peer := rpcTo(t, n, "x")
	elections := map[string]func() error{
		"pre-vote": func() error {
			return peer.RequestPreVote("a", raft.ServerAddress(n.PeerAddr()), &raft.RequestPreVoteRequest{RPCHeader: header("x")}, &raft.RequestPreVoteResponse{})
		},
		"vote": func() error {
			return peer.RequestVote("a", raft.ServerAddress(n.PeerAddr()), &raft.RequestVoteRequest{RPCHeader: header("x")}, &raft.RequestVoteResponse{})
		},
	}
	for name, send := range elections {
		t.Run(name, func(t *testing.T) {
			answers := make(chan error, connectionPool)
			for range cap(answers) { // as many streams as are kept
				go func() { answers <- send() }()
			}
			for range cap(answers) {
				if err := <-answers; err != nil {
					t.Fatal(err)
				}
			}
			closeNode(t, n)
			n, _ = openSingle(t, cfg)
			if err := send(); err != nil {
				t.Errorf("after a restart of the voter: %v", err)
			}
		})
	}
	closeNode(t, n)
	if err := elections["vote"](); !errors.Is(err, errUnreached) {
		t.Errorf("a voter that is gone: %v", err)
	}
}

// slowTerm holds the writing of one term, and notices a term that goes down.
type slowTerm struct {
	raft.StableStore
	term              uint64
	highest           uint64
	lowered           atomic.Bool
	entered, released chan struct{}
}

func (s *slowTerm) Set(key, sealed []byte) error {
	if string(key) == "CurrentTerm" {
		val := binary.LittleEndian.Uint64(sealed)
		if val < s.highest {
			s.lowered.Store(true)
		}
		s.highest = max(s.highest, val)
		if val == s.term {
			close(s.entered)
			<-s.released
		}
	}
	return s.StableStore.Set(key, sealed)
}
