package replica

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/latency"
)

// timings are how long things take in a group, since the start of the process.
type timings struct{ propose, apply, snapshot, install latency.Histogram }

// Timings are how long things took in a group since the start of the process.
type Timings struct {
	Propose  latency.Snapshot // entries of this node's clients, from their first operation to their results here
	Apply    latency.Snapshot // entries, to be folded into the state
	Store    latency.Snapshot // calls that put entries into the log, with the fsync unless SyncOS
	Snapshot latency.Snapshot // snapshots taken, to their end on disk
	Install  latency.Snapshot // snapshots read, at the start or from the leader
}

// Timings returns what has been measured so far.
func (g *Group) Timings() Timings {
	t := &g.timings
	return Timings{
		Propose: t.propose.Snapshot(), Apply: t.apply.Snapshot(), Store: g.stores.log.took.Snapshot(),
		Snapshot: t.snapshot.Snapshot(), Install: t.install.Snapshot(),
	}
}

// Follower is another member of a group as its leader sees it.
type Follower struct {
	Member
	Client string    // where clients reach it; empty when not known
	Last   uint64    // index of its newest log entry when it answered last; 0 when it has not
	Heard  time.Time // when that was; zero when it has not
}

// sent remembers what other members answered to Raft's messages. The zero value is empty.
type sent struct {
	mu sync.Mutex // a leaf
	to map[raft.ServerID]lastAnswer
}

// lastAnswer is when a member answered last, and where its log ended then.
type lastAnswer struct {
	last  uint64
	heard time.Time
}

// note remembers an answer.
func (s *sent) note(id raft.ServerID, answer *raft.AppendEntriesResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		s.to = map[raft.ServerID]lastAnswer{}
	}
	s.to[id] = lastAnswer{last: answer.LastLog, heard: time.Now()}
}

// find returns the newest answer of a member.
func (s *sent) find(id raft.ServerID) lastAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to[id]
}

// keep forgets all but those.
func (s *sent) keep(servers []raft.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.to {
		if !slices.ContainsFunc(servers, func(m raft.Server) bool { return m.ID == id }) {
			delete(s.to, id)
		}
	}
}

// followers are the other members as this node, which leads, sees them.
func (g *Group) followers(servers []raft.Server) (list []Follower) {
	for _, m := range servers {
		if m.ID == g.transport.id {
			continue
		}
		a := g.transport.sent.find(m.ID)
		list = append(list, Follower{
			Member: memberOf(m),
			Client: g.node.clients.find(string(m.ID)), Last: a.last, Heard: a.heard,
		})
	}
	return list
}
