package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// What /metrics tells of each group at this node.
var (
	groupTerm      = exported.gauge("dtkv_group_term", "Raft term", "group")
	groupRole      = exported.gauge("dtkv_group_role", "1 for the part that this node has, 0 for the others", "group", "role")
	groupReady     = exported.gauge("dtkv_group_leading", "1 while this node leads and serves", "group")
	groupLed       = exported.gauge("dtkv_group_has_leader", "1 while a leader is known", "group")
	groupCommitted = exported.gauge("dtkv_group_commit_index", "log index up to which entries are committed", "group")
	groupApplied   = exported.gauge("dtkv_group_applied_index", "log index up to which entries are applied", "group")
	groupLast      = exported.gauge("dtkv_group_last_index", "log index of the newest entry", "group")
	groupMembers   = exported.gauge("dtkv_group_members", "members by what they are: voter or learner", "group", "kind")
	groupSnapIndex = exported.gauge("dtkv_group_snapshot_index", "log index of the newest snapshot", "group")
	groupSnapBytes = exported.gauge("dtkv_group_snapshot_bytes", "its size", "group")
	groupLogBytes  = exported.gauge("dtkv_group_log_bytes", "logged since the newest snapshot was begun", "group")
	groupQueue     = exported.gauge("dtkv_group_queue_bytes", "operations that wait for their turn to be proposed", "group")
	groupInFlight  = exported.gauge("dtkv_group_entries_in_flight", "entries on their way through the log", "group")
	groupDoubtful  = exported.gauge("dtkv_group_entries_in_doubt", "entries sent to a leader that is lost, whose fate is open", "group")

	groupElections  = exported.counter("dtkv_group_leader_changes_total", "terms that began, as seen in the log", "group")
	groupForwarded  = exported.counter("dtkv_group_forwarded_total", "entries sent to the leader", "group")
	groupReadIndex  = exported.counter("dtkv_group_read_indexes_total", "read indexes given to other nodes", "group")
	groupInDoubt    = exported.counter("dtkv_group_in_doubt_total", "proposals answered with INDOUBT", "group")
	groupExpired    = exported.counter("dtkv_group_expired_total", "nodes and places in queues whose time was over, while this node led", "group")
	groupPropose    = exported.histogram("dtkv_group_proposal_duration_seconds", "entries of this node's clients, from the first operation to the results", "group")
	groupApply      = exported.histogram("dtkv_group_apply_duration_seconds", "folding an entry into the state", "group")
	groupStore      = exported.histogram("dtkv_group_log_write_duration_seconds", "writing entries to the log, with the fsync unless sync is os", "group")
	groupSnapshot   = exported.histogram("dtkv_group_snapshot_duration_seconds", "snapshots taken", "group")
	groupInstall    = exported.histogram("dtkv_group_snapshot_install_duration_seconds", "snapshots read, at the start or from the leader", "group")
	groupKeys       = exported.gauge("dtkv_group_keys", "values", "group")
	groupNodes      = exported.gauge("dtkv_group_nodes", "values, directories and locks", "group")
	groupLocks      = exported.gauge("dtkv_group_locks", "locks that are held", "group")
	groupDeadlines  = exported.gauge("dtkv_group_deadlines", "values, directories and participants of locks that have a time to live", "group")
	followerLag     = exported.gauge("dtkv_group_follower_lag_entries", "entries that another member lacks, where its leader answers", "group", "node")
	followerSilence = exported.gauge("dtkv_group_follower_silence_seconds", "time since another member answered, where its leader answers", "group", "node")
)

// measured is a group that has measured itself. *replica.Group is one.
type measured interface{ Timings() replica.Timings }

// heldGroups are the databases whose groups are open here.
func (s *Server) heldGroups() (list []int) {
	for _, g := range s.catalogue().Groups() {
		if g.Open {
			list = append(list, g.ID)
		}
	}
	return list
}

// serves reports whether group 0 serves now.
func (s *Server) serves() bool {
	status := s.group(0).Status()
	return status.Ready || status.LeaderID != "" && status.Role == "follower"
}

func (g gathering) group(of group) {
	s := of.Status()
	id := strconv.Itoa(s.Group)
	g.value(groupTerm, float64(s.Term), id)
	for _, role := range []string{"leader", "follower", "candidate"} {
		g.flag(groupRole, s.Role == role, id, role)
	}
	g.flag(groupReady, s.Ready, id)
	g.flag(groupLed, s.LeaderID != "", id)
	g.value(groupCommitted, float64(s.Committed), id)
	g.value(groupApplied, float64(s.Applied), id)
	g.value(groupLast, float64(s.LastIndex), id)
	voters := countVoters(s.Members)
	g.value(groupMembers, float64(voters), id, "voter")
	g.value(groupMembers, float64(len(s.Members)-voters), id, "learner")
	g.value(groupSnapIndex, float64(s.SnapshotIndex), id)
	g.value(groupSnapBytes, float64(s.SnapshotBytes), id)
	g.value(groupLogBytes, float64(s.LogBytes), id)
	g.value(groupQueue, float64(s.Queued), id)
	g.value(groupInFlight, float64(s.InFlight), id)
	g.value(groupDoubtful, float64(s.Doubtful), id)
	g.value(groupElections, float64(s.Leaders), id)
	g.value(groupForwarded, float64(s.Forwarded), id)
	g.value(groupReadIndex, float64(s.ReadIndexes), id)
	g.value(groupInDoubt, float64(s.InDoubt), id)
	g.value(groupExpired, float64(s.Expired), id)
	now := time.Now()
	for _, f := range s.Follows {
		g.value(followerLag, float64(s.LastIndex-min(f.Last, s.LastIndex)), id, f.ID)
		if !f.Heard.IsZero() {
			g.value(followerSilence, now.Sub(f.Heard).Seconds(), id, f.ID)
		}
	}
	_ = of.Stale(func(v fsm.View) { // fails while loading, and then there is nothing to tell
		g.value(groupKeys, float64(v.Len()), id)
		g.value(groupNodes, float64(v.Nodes()), id)
		g.value(groupLocks, float64(v.Locks()), id)
		g.value(groupDeadlines, float64(v.Deadlines()), id)
	})
	if m, ok := of.(measured); ok {
		t := m.Timings()
		g.took(groupPropose, t.Propose, id)
		g.took(groupApply, t.Apply, id)
		g.took(groupStore, t.Store, id)
		g.took(groupSnapshot, t.Snapshot, id)
		g.took(groupInstall, t.Install, id)
	}
}

func countVoters(members []replica.Member) (n int) {
	for _, m := range members {
		if m.Voter {
			n++
		}
	}
	return n
}

// MetricsTable prints what /metrics exports as a Markdown table, for the documentation.
func MetricsTable() string {
	var b strings.Builder
	b.WriteString("| name | kind | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, m := range exported.list {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
	}
	return b.String()
}
