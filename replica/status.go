package replica

import (
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Member is one node of a group's configuration.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter,omitempty"`
}

// Status is what a group knows of itself at one moment. Its fields are read one after the other, so they may belong to
// neighbouring moments.
type Status struct {
	Group    int
	Role     string // leader, follower, candidate or shutdown
	Ready    bool   // this node leads and serves
	Term     uint64
	LeaderID string // empty if unknown
	Leader   string // the leader's peer address
	Client   string // where clients reach the leader; empty if unknown
	Members  []Member
	Follows  []Follower // the other members; only where the leader answers

	Committed uint64 // index
	Applied   uint64 // index
	LastIndex uint64

	SnapshotIndex uint64
	SnapshotTerm  uint64
	SnapshotBytes int64
	Snapshots     uint64 // taken since the start of the process
	Saving        bool   // one is being taken
	Unsaved       bool   // the newest one failed
	LogBytes      int64  // logged since the newest snapshot was begun

	Queued   int64 // bytes of operations that wait for their turn
	InFlight int   // entries of all nodes on their way through the log
	Doubtful int   // entries sent to a leader that is lost, whose fate is still open

	// Since the start of the process.
	ReadIndexes uint64 // given to other nodes
	Forwarded   uint64 // entries sent to the leader
	InDoubt     uint64 // proposals that ended so
	Expired     uint64 // nodes and places in queues whose time was over, while this node led
	Leaders     uint64 // changes of leader seen in the log

	Sync     SyncMode
	LogStore LogStore
}

// counts are what a group has done since the start of the process.
type counts struct {
	readIndexes, forwarded, inDoubt, expired, leaders atomic.Uint64
}

// Status returns the group's present status.
func (g *Group) Status() Status {
	addr, id := g.raft.LeaderWithID()
	newest := g.newest.Load()
	s := Status{
		Group:         g.id,
		Role:          roles[g.raft.State()],
		Ready:         g.leads(g.ready.Load()),
		Term:          g.raft.CurrentTerm(),
		LeaderID:      string(id),
		Leader:        string(addr),
		Committed:     g.raft.CommitIndex(),
		Applied:       g.applied.Load(),
		LastIndex:     g.raft.LastIndex(),
		SnapshotIndex: newest.Index,
		SnapshotTerm:  newest.Term,
		SnapshotBytes: newest.Size,
		Snapshots:     g.snapshots.Load(),
		Saving:        g.saving.Load(),
		Unsaved:       g.unsaved.Load(),
		LogBytes:      g.logged.Load(),
		ReadIndexes:   g.counts.readIndexes.Load(),
		Forwarded:     g.counts.forwarded.Load(),
		InDoubt:       g.counts.inDoubt.Load(),
		Expired:       g.counts.expired.Load(),
		Leaders:       g.counts.leaders.Load(),
		Sync:          g.cfg.Sync,
		LogStore:      g.cfg.LogStore,
	}
	s.Queued, s.InFlight, s.Doubtful = g.proposals.depth()
	s.Client = g.cfg.Client
	if id != g.transport.id {
		s.Client = g.node.clients.find(s.LeaderID)
	}
	latest := g.latest()
	s.Members = latest.members()
	if s.Role == roles[raft.Leader] {
		s.Follows = g.followers(latest.servers)
	}
	return s
}

// members returns the configuration in words that are not Raft's.
func (c *configuration) members() (list []Member) {
	for _, s := range c.servers {
		list = append(list, memberOf(s))
	}
	return list
}

func memberOf(s raft.Server) Member {
	return Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter}
}

var roles = [...]string{
	raft.Follower:  "follower",
	raft.Candidate: "candidate",
	raft.Leader:    "leader",
	raft.Shutdown:  "shutdown",
}
