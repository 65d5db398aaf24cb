package server

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/latency"
)

func infoErrors(s *Server, _ group, f *fields) {
	_, kinds := s.errors.snapshot()
	for _, k := range kinds {
		f.text("errorstat_"+k.prefix, "count="+strconv.FormatUint(k.count, 10))
	}
}

// infoCommands tells what each command did, in Redis's words.
func infoCommands(s *Server, _ group, f *fields) {
	s.lookBack(nil, func(c *commands.Command, did *commandStats) {
		took := did.took.Snapshot()
		micros, perCall := took.Sum.Microseconds(), 0.0
		if took.Count > 0 {
			perCall = float64(took.Sum) / float64(took.Count) / float64(time.Microsecond)
		}
		f.text("cmdstat_"+c.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			took.Count, micros, perCall, did.rejected.Load(), did.failed.Load()))
	})
}

// infoLatencies tells how long the calls of each command took.
func infoLatencies(s *Server, _ group, f *fields) {
	if !s.live.tracking.Load() {
		return
	}
	s.lookBack(nil, func(c *commands.Command, did *commandStats) {
		if took := did.took.Snapshot(); took.Count > 0 {
			f.text("latency_percentiles_usec_"+c.Name, fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f",
				micros(&took, 50), micros(&took, 99), micros(&took, 99.9)))
		}
	})
}

func micros(took *latency.Snapshot, percent float64) float64 {
	return float64(took.Percentile(percent)) / float64(time.Microsecond)
}

func infoRaft(s *Server, g group, f *fields) {
	status := g.Status()
	if s.node != nil {
		f.text("raft_cluster_id", s.node.ClusterID())
		f.text("raft_node_id", s.node.ID())
	}
	f.number("raft_group", int64(status.Group))
	f.text("raft_role", status.Role)
	f.flag("raft_ready", status.Ready)
	f.number("raft_term", int64(status.Term))
	f.text("raft_leader_id", status.LeaderID)
	f.text("raft_leader_addr", status.Leader)
	f.text("raft_leader_client", status.Client)
	f.number("raft_leader_changes", int64(status.Leaders))
	f.number("raft_commit_index", int64(status.Committed))
	f.number("raft_applied_index", int64(status.Applied))
	f.number("raft_last_index", int64(status.LastIndex))
	f.number("raft_snapshot_index", int64(status.SnapshotIndex))
	f.number("raft_snapshot_term", int64(status.SnapshotTerm))
	f.number("raft_snapshot_bytes", status.SnapshotBytes)
	f.number("raft_snapshots_taken", int64(status.Snapshots))
	f.number("raft_log_bytes", status.LogBytes)
	f.number("raft_queue_bytes", status.Queued)
	f.number("raft_entries_in_flight", int64(status.InFlight))
	f.number("raft_entries_in_doubt", int64(status.Doubtful))
	f.number("raft_entries_forwarded", int64(status.Forwarded))
	f.number("raft_read_indexes_given", int64(status.ReadIndexes))
	f.number("raft_proposals_in_doubt", int64(status.InDoubt))
	f.text("raft_sync", string(status.Sync))
	f.text("raft_log_store", string(status.LogStore))
	if m, ok := g.(measured); ok {
		t := m.Timings()
		for _, one := range []struct {
			name string
			took latency.Snapshot
		}{{"proposal", t.Propose}, {"apply", t.Apply}, {"log_write", t.Store}, {"snapshot", t.Snapshot}} {
			f.text("raft_"+one.name+"_usec", fmt.Sprintf("count=%d,p50=%.0f,p99=%.0f,p99.9=%.0f",
				one.took.Count, micros(&one.took, 50), micros(&one.took, 99), micros(&one.took, 99.9)))
		}
	}
	voters := countVoters(status.Members)
	f.number("raft_voters", int64(voters))
	f.number("raft_learners", int64(len(status.Members)-voters))
	f.number("raft_members", int64(len(status.Members)))
	for i, m := range status.Members {
		f.text("raft_member"+strconv.Itoa(i), fmt.Sprintf("id=%s,addr=%s,voter=%t", m.ID, m.Address, m.Voter))
	}
}
