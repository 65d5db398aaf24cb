package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wire stands for the followers of a leader: it holds every message until it is answered.
type wire struct {
	ahead
	messages chan *sentAhead
}

type sentAhead struct {
	to     raft.ServerID
	target raft.ServerAddress
	args   *raft.AppendEntriesRequest
	answer chan raft.AppendEntriesResponse
}

var errNoAnswer = errors.New("lost")

func newWire() *wire {
	w := &wire{messages: make(chan *sentAhead, 10)}
	w.send = func(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
		m := &sentAhead{id, target, args, make(chan raft.AppendEntriesResponse)}
		w.messages <- m
		got, ok := <-m.answer
		*answer = got
		if !ok {
			return errNoAnswer
		}
		return nil
	}
	return w
}

// entries are those of a term from one index to another.
func entries(term, from, to uint64) (list []*raft.Log) {
	for i := from; i <= to; i++ {
		list = append(list, &raft.Log{Index: i, Term: term})
	}
	return list
}

// raftSends is a message of Raft's in a term, of some entries after an index.
func raftSends(term, after uint64, list []*raft.Log) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{Term: term, RPCHeader: raft.RPCHeader{Addr: []byte("me")}, PrevLogEntry: after, PrevLogTerm: term, Entries: list}
}

func TestOnlyAnUpToDateFollowerIsSentEntriesAhead(t *testing.T) {
	configuration := entries(7, 11, 12)
	configuration[1].Type = raft.LogConfiguration
	for name, tt := range map[string]struct {
		last *raft.AppendEntriesRequest // that the follower has taken
		next []*raft.Log
		goes bool
	}{
		"one that has all before the first entry is":            {raftSends(7, 8, entries(7, 9, 10)), entries(7, 11, 12), true},
		"one that has only heard of an entry may lack it":       {raftSends(7, 10, nil), entries(7, 11, 11), false},
		"one that lacks an entry is not":                        {raftSends(7, 8, entries(7, 9, 9)), entries(7, 11, 11), false},
		"nor one that followed in an earlier term":              {raftSends(6, 9, entries(6, 10, 10)), entries(7, 11, 11), false},
		"a heartbeat does not tell where a follower's log ends": {&raft.AppendEntriesRequest{Term: 7}, entries(7, 1, 1), false},
		"members that change are told by Raft":                  {raftSends(7, 9, entries(7, 10, 10)), configuration, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.note("n2", "there", tt.last)
			w.begin(tt.next, 9)
			w.mu.Lock()
			f := w.followers["n2"]
			goes := f != nil && f.sent != nil
			w.mu.Unlock()
			if goes != tt.goes {
				t.Fatalf("goes ahead: %t, want %t", goes, tt.goes)
			}
			if !goes {
				return
			}
			m := <-w.messages
			if a := m.args; m.to != "n2" || m.target != "there" || a.Term != 7 || string(a.Addr) != "me" ||
				a.PrevLogEntry != 10 || a.PrevLogTerm != 7 || len(a.Entries) != len(tt.next) || a.LeaderCommitIndex != 9 {
				t.Errorf("%s at %s was sent %+v", m.to, m.target, a)
			}
			close(m.answer)
			w.close()
		})
	}
}

func TestRaftGetsTheAnswerToItsOwnMessageOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		args *raft.AppendEntriesRequest
		mine bool
	}{
		"the same entries":              {raftSends(7, 10, entries(7, 11, 12)), true},
		"more than went ahead":          {raftSends(7, 10, entries(7, 11, 13)), false},
		"less":                          {raftSends(7, 10, entries(7, 11, 11)), false},
		"from further back":             {raftSends(7, 9, entries(7, 10, 11)), false},
		"of another term":               {raftSends(8, 10, entries(8, 11, 12)), false},
		"nothing but what is committed": {raftSends(7, 10, nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.note("n2", "there", raftSends(7, 9, entries(7, 10, 10)))
			w.begin(entries(7, 11, 12), 9)
			w.end()
			m := <-w.messages
			go func() { m.answer <- raft.AppendEntriesResponse{Term: 7, LastLog: 12, Success: true} }()
			var answer raft.AppendEntriesResponse
			err := w.answer("n2", tt.args, &answer)
			if mine := err == nil && answer.Success && answer.LastLog == 12; mine != tt.mine || !mine && !errors.Is(err, errNotAhead) {
				t.Errorf("%v, %+v", err, answer)
			}
			if err := w.answer("n3", tt.args, &answer); !errors.Is(err, errNotAhead) {
				t.Errorf("another follower: %v", err)
			}
			w.close()
		})
	}
}

// A message that was lost is one that Raft sent in vain: it sends again, by itself.
func TestWhatWentAheadMayBeLost(t *testing.T) {
	w := newWire()
	w.note("n2", "there", raftSends(7, 9, entries(7, 10, 10)))
	w.begin(entries(7, 11, 11), 9)
	close((<-w.messages).answer)
	args, answer := raftSends(7, 10, entries(7, 11, 11)), raft.AppendEntriesResponse{}
	if err := w.answer("n2", args, &answer); !errors.Is(err, errNoAnswer) {
		t.Errorf("the loss was not told: %v", err)
	}
	if err := w.answer("n2", args, &answer); !errors.Is(err, errNotAhead) {
		t.Errorf("and it was kept: %v", err)
	}
	w.end()
	w.begin(entries(7, 12, 12), 10)
	if len(w.messages) > 0 {
		t.Error("a follower that may lack an entry was sent the next one")
	}
}

// At most one message is on its way to a follower, whatever is stored meanwhile; what is being stored when its answer comes
// goes ahead then.
func TestAFollowerIsSentOneMessageAtATime(t *testing.T) {
	w := newWire()
	w.note("n2", "there", raftSends(7, 9, entries(7, 10, 10)))
	w.begin(entries(7, 11, 11), 9)
	first := <-w.messages
	w.end()
	w.begin(entries(7, 12, 12), 10)
	if len(w.messages) > 0 {
		t.Fatal("a second message is on its way")
	}
	first.answer <- raft.AppendEntriesResponse{Term: 7, Success: true}
	args, answer := raftSends(7, 10, entries(7, 11, 11)), raft.AppendEntriesResponse{}
	if err := w.answer("n2", args, &answer); err != nil {
		t.Fatal(err)
	}
	w.note("n2", "there", args)
	second := <-w.messages
	if second.args.PrevLogEntry != 11 || len(second.args.Entries) != 1 {
		t.Errorf("then it was sent %+v", second.args)
	}
	close(second.answer)
	w.close()
	w.note("n2", "there", args)
	if len(w.messages) > 0 {
		t.Error("a message was sent after the end")
	}
}

// Followers hold an entry that the leader's disk has not taken yet, and nobody counts it before.
func TestFollowersStoreWhileTheLeaderStores(t *testing.T) {
	stalls := []*stallPoint{newStallPoint(), newStallPoint(), newStallPoint()}
	c := startCluster(t, 3, func(i int, cfg *Config) {
		stalls[i].sent = true
		cfg.stall, cfg.DiskStall = stalls[i], time.Hour
	})
	l := c.leader(-1)
	g := c.group(l)
	mustSet(t, g, "x", "1")
	eventually(t, "the leader to know that both followers are up to date", func() bool {
		a := &g.transport.ahead
		a.mu.Lock()
		defer a.mu.Unlock()
		known := 0
		for _, f := range a.followers {
			if f.last != nil && f.last.PrevLogEntry == g.raft.LastIndex() {
				known++
			}
		}
		return known == 2
	})
	before := g.raft.LastIndex()
	stalls[l].on.Store(true)
	written := make(chan error, 1)
	go func() { written <- g.Propose(context.Background(), proposal(setTo("x", "2"))) }()
	<-stalls[l].entered
	eventually(t, "both followers to hold the entry", func() bool {
		return c.group((l+1)%3).raft.LastIndex() > before && c.group((l+2)%3).raft.LastIndex() > before
	})
	if g.raft.LastIndex() != before {
		t.Error("the leader holds it already")
	}
	for i := range c.nodes {
		if at := c.group(i).raft.CommitIndex(); at > before {
			t.Errorf("node %d takes it for committed", i+1)
		}
	}
	select {
	case err := <-written:
		t.Errorf("the write was answered: %v", err)
	default:
	}
	stalls[l].on.Store(false)
	close(stalls[l].released)
	if err := <-written; err != nil {
		t.Error(err)
	}
	c.agree()
}
