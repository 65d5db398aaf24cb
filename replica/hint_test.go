package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// fed is a voter whose two peers are played by the test.
type fed struct {
	t     *testing.T
	node  *Node
	group *Group
	peers map[string]*transport
}

func startFed(t *testing.T) *fed {
	t.Helper()
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	peers := []Peer{{"f", addresses[0]}, {"a", addresses[1]}, {"b", addresses[2]}}
	n, err := Open(Config{DataDir: t.TempDir(), NodeID: "f", PeerAddr: addresses[0], Peers: peers, Logger: quietLogger(), heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(t, n) })
	g, _ := n.Group(0)
	return &fed{t, n, g, map[string]*transport{"a": rpcTo(t, n, "a"), "b": rpcTo(t, n, "b")}}
}

// sealed is an entry of another process.
func sealed(term uint64, op fsm.Op) []byte {
	data := op.AppendTo(make([]byte, fsm.HeaderSize))
	fsm.SealEntry(data, fsm.Header{Term: term, Origin: 1}, 1)
	return data
}

// append sends what a leader would send: entries of its term behind the one at prev.
func (f *fed) append(leader string, term, prev, prevTerm, committed uint64, entries int) raft.AppendEntriesResponse {
	f.t.Helper()
	request := raft.AppendEntriesRequest{
		RPCHeader: header(leader), Term: term, PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: committed,
	}
	for i := range uint64(entries) {
		data := sealed(term, setTo("k", fmt.Sprint(prev+i+1)))
		request.Entries = append(request.Entries, &raft.Log{Index: prev + i + 1, Term: term, Data: data})
	}
	var answer raft.AppendEntriesResponse
	if err := f.peers[leader].AppendEntries("f", raft.ServerAddress(f.node.PeerAddr()), &request, &answer); err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// flush returns when Raft has dealt with all messages before. The heartbeat says nothing about what is committed.
func (f *fed) flush(leader string, term uint64) { f.append(leader, term, 0, 0, 0, 0) }

func (f *fed) expect(what string, term, committed uint64) {
	f.t.Helper()
	if got := f.group.raft.CurrentTerm(); got != term {
		f.t.Errorf("%s: the term is %d, want %d", what, got, term)
	}
	if got := f.group.raft.CommitIndex(); got != committed {
		f.t.Errorf("%s: committed up to %d, want %d", what, got, committed)
	}
}

func from(leader string, term, index, logTerm uint64) hint {
	return hint{leader: raft.ServerID(leader), address: "127.0.0.1:1", term: term, index: index, logTerm: logTerm}
}

// What the safety of hints rests on, beside our own checks: Raft's handler asks for the term and for the entry before,
// and commits nothing behind the index that it was told.
func TestRaftChecksWhatHintsSay(t *testing.T) {
	f := startFed(t)
	f.append("a", 5, 1, 1, 1, 3) // 2, 3 and 4
	f.expect("entries", 5, 1)
	tests := []struct {
		name      string
		hint      hint
		committed uint64
	}{
		{"an older term", from("b", 4, 3, 5), 1},
		{"another entry there", from("a", 5, 3, 4), 1},
		{"an entry that is not here", from("a", 5, 9, 5), 1},
		{"the truth", from("a", 5, 3, 5), 3},
		{"an older truth", from("a", 5, 2, 5), 3},
		{"the truth again", from("a", 5, 3, 5), 3},
	}
	for _, test := range tests {
		f.group.transport.inject(f.group.transport.message(&test.hint))
		f.flush("a", 5)
		f.expect(test.name, 5, test.committed)
	}
	// What was not committed may still be replaced by another leader's entries, and what was stays.
	if answer := f.append("b", 6, 3, 5, 3, 1); !answer.Success {
		t.Fatalf("the new leader's entry: %+v", answer)
	}
	f.expect("a new leader", 6, 3)
	if got := f.group.raft.LastIndex(); got != 4 {
		t.Errorf("the log ends at %d", got)
	}
}

func TestHintsCommitWithoutDelay(t *testing.T) {
	f := startFed(t)
	tr := f.group.transport
	f.append("a", 5, 1, 1, 1, 3) // 2, 3 and 4
	tell := func(what string, h hint, leader string, term, committed uint64) {
		t.Helper()
		tr.tell(h)
		eventually(t, "consumption of the hint", func() bool { return len(tr.hints.told) == 0 })
		f.flush(leader, term)
		f.expect(what, term, committed)
	}
	tell("a hint", from("a", 5, 3, 5), "a", 5, 3)
	eventually(t, "its application", func() bool { return f.group.applied.Load() == 3 })
	tell("a second time", from("a", 5, 3, 5), "a", 5, 3)
	tell("a late one", from("a", 5, 2, 5), "a", 5, 3)
	tell("of a term that is still to come", from("b", 9, 4, 5), "a", 5, 3)
	tell("of a node that does not lead", from("b", 5, 4, 5), "a", 5, 3)

	// One that is lost costs time only: the leader's next message says it, too.
	f.append("a", 5, 4, 5, 4, 0)
	f.expect("the leader's own word", 5, 4)

	// The answer to a request may overtake the entries.
	tell("before its entry", from("a", 5, 6, 5), "a", 5, 4)
	f.append("a", 5, 4, 5, 4, 2) // 5 and 6
	eventually(t, "the hint that waited", func() bool { return f.group.raft.CommitIndex() == 6 })

	f.append("b", 6, 6, 5, 6, 1) // 7
	tell("of a deposed leader", from("a", 5, 7, 5), "b", 6, 6)
	if _, id := f.group.raft.LeaderWithID(); id != "b" {
		t.Errorf("the leader is %q, want b", id)
	}
	tell("with another entry's term", from("b", 6, 7, 5), "b", 6, 6)
	tell("of the new leader", from("b", 6, 7, 6), "b", 6, 7)
}
