package replica

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft"
)

// ahead sends new entries to the followers that are up to date while this node, which leads, writes them to its own disk, so
// that a write waits for one disk, not for two in turn (Ongaro's dissertation, 10.2.1). Raft sends what its disk has; when it
// comes to that message, it gets the answer to the one that went ahead.
//
// So Raft counts a follower not a moment before it has stored the entries itself, and commits nothing that it would not have
// committed. What goes ahead says of the committed index what Raft said when the entries came.
//
// Goroutines: one for each message, at most one a follower; it ends with the answer, or after the transport's timeout. mu is
// a leaf.
type ahead struct {
	send func(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error

	mu        sync.Mutex
	closed    bool
	storing   *raft.AppendEntriesRequest // what is being stored here: term, entries, committed index; nil if nothing is
	followers map[raft.ServerID]*progress
	wg        sync.WaitGroup
}

// progress is where the log of a follower ends, as far as it has answered to Raft, and what was sent ahead of Raft.
type progress struct {
	target raft.ServerAddress
	last   *raft.AppendEntriesRequest // of term, leader, end of the log; nil while something is on its way to the follower
	sent   *advance                   // nil when Raft has asked for its answer
}

// advance is one message that was sent ahead of Raft.
type advance struct {
	args   raft.AppendEntriesRequest
	answer raft.AppendEntriesResponse
	err    error
	done   chan struct{} // closed when the answer is there
}

// begin says that this node, which leads the term of these entries, begins to store them.
func (a *ahead) begin(entries []*raft.Log, committed uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range entries {
		if e.Type == raft.LogConfiguration {
			a.followers = nil // until Raft has sent it to those who are members then
			return
		}
	}
	a.storing = &raft.AppendEntriesRequest{Term: entries[0].Term, Entries: entries, LeaderCommitIndex: committed}
	for id, f := range a.followers {
		a.run(id, f)
	}
}

// end says that they are stored.
func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.storing = nil
}

// run sends a follower what is being stored, if that is what it needs next. The caller holds mu.
func (a *ahead) run(id raft.ServerID, f *progress) {
	if a.closed || a.storing == nil || f.last == nil || f.last.Term != a.storing.Term ||
		f.last.PrevLogEntry+1 != a.storing.Entries[0].Index {
		return
	}
	sent := &advance{args: *a.storing, done: make(chan struct{})}
	sent.args.RPCHeader, sent.args.Leader = f.last.RPCHeader, f.last.Leader //lint:ignore SA1019 as Raft does
	sent.args.PrevLogEntry, sent.args.PrevLogTerm = f.last.PrevLogEntry, f.last.PrevLogTerm
	f.sent, f.last = sent, nil
	target := f.target
	a.wg.Go(func() {
		defer close(sent.done)
		sent.err = a.send(id, target, &sent.args, &sent.answer)
	})
}

// answer returns what the follower answers to a message of Raft's that was sent ahead. It waits for that.
func (a *ahead) answer(id raft.ServerID, args *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	a.mu.Lock()
	var sent *advance
	if f := a.followers[id]; f != nil && len(args.Entries) > 0 {
		sent, f.sent = f.sent, nil
	}
	a.mu.Unlock()
	if sent == nil || sent.args.Term != args.Term || sent.args.PrevLogEntry != args.PrevLogEntry || len(sent.args.Entries) != len(args.Entries) {
		return errNotAhead
	}
	<-sent.done
	*answer = sent.answer
	return sent.err
}

// errNotAhead: Raft's message was not sent ahead.
var errNotAhead = errors.New("not sent ahead")

// note says that a follower has taken a message of Raft's. Only one with entries tells that the end of the follower's log is
// in its log: behind a snapshot it may hold nothing, and without [settle] it refuses the first entry when that comes again.
func (a *ahead) note(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest) {
	n := len(args.Entries)
	if n == 0 {
		return
	}
	last := *args
	last.Entries = nil
	last.PrevLogEntry, last.PrevLogTerm = args.Entries[n-1].Index, args.Entries[n-1].Term
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.followers == nil {
		a.followers = map[raft.ServerID]*progress{}
	}
	f := a.followers[id]
	if f == nil {
		f = &progress{}
		a.followers[id] = f
	}
	if f.sent != nil && f.sent.args.Term == last.Term {
		return // something newer is on its way
	}
	f.target, f.last, f.sent = target, &last, nil
	a.run(id, f)
}

// close waits for what is on its way. Nothing more is sent.
func (a *ahead) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wg.Wait()
}
