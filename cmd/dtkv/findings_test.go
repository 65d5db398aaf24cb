package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// healthy is a picture of three nodes that lack nothing.
func healthy() *picture {
	s := &picture{cluster: "c", groups: []groupView{{record: record{"id": "0", "state": "ok", "leader": "n1"}}}}
	for _, id := range []string{"n1", "n2", "n3"} {
		role := "voter"
		if id == "n1" {
			role = "leader"
		}
		m := record{"id": id, "role": role, "state": "up", "address": id + ":1", "client": id + ":2", "last-index": "50000", "version": "1.2.0"}
		s.groups[0].members = append(s.groups[0].members, m)
		s.nodes = append(s.nodes, nodeView{
			record: m, answered: true, asked: id == "n1",
			info: record{
				"raft_node_id": id, "raft_cluster_id": "c", "raft_leader_id": "n1", "raft_commit_index": "50000", "raft_applied_index": "50000",
				"raft_log_write_usec": "count=9,p50=900,p99=3000,p99.9=4000", "disk_free_bytes": "50", "disk_size_bytes": "100",
				"maxclients": "10000", "maxfiles": "65536",
			},
			config: record{"max-clients": "10000"},
		})
	}
	for i := range s.nodes {
		s.nodes[i].sees = s.groups[0].members
	}
	return s
}

var usual = limits{lag: 10_000, clock: 500 * time.Millisecond, fsync: 100 * time.Millisecond, disk: 10, openFiles: 4096}

// lose makes a node of the picture one that does not answer.
func (s *picture) lose(i int) {
	s.nodes[i].record["state"] = "down"
	s.nodes[i].answered, s.nodes[i].err = false, errors.New("refused")
}

func TestTheDoctorFindsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *picture)
		want   []string // of each finding, what it says and what to do, in part
	}{
		{"nothing", func(*picture) {}, nil},
		{"a node is down", func(s *picture) { s.lose(2) }, []string{
			"n3 does not answer, neither other nodes at n3:1 nor clients (refused)|DTKV.CLUSTER REMOVE n3", "bears no further loss: 2 of its 3 voters answer|replace them",
		}},
		{"no leader", func(s *picture) { s.groups[0].record["leader"] = ""; s.lose(1); s.lose(2) }, []string{
			"group 0 has no leader: nothing can be written; n2, n3 do not answer|dtkv recover", "n2 does not answer|", "n3 does not answer|",
		}},
		{"another group has no leader", func(s *picture) {
			s.groups = append(s.groups, groupView{id: 4, record: record{"state": "down"}})
		}, []string{"group 4 has no leader|DTKV.GROUP REMOVE 4"}},
		{"a node without a leader", func(s *picture) { s.nodes[1].info["raft_leader_id"] = "" }, []string{"n2 knows no leader, though others do|both ways"}},
		{"a peer address that is wrong", func(s *picture) { s.nodes[1].record["state"] = "down" }, []string{
			"n2 answers clients, but n1 does not reach it at n2:1|--advertise", "bears no further loss|",
		}},
		{"a way that is closed in one direction", func(s *picture) {
			s.nodes[2].sees = []record{{"id": "n2", "state": "down", "address": "n2:1"}}
		}, []string{"n3 does not reach n2 at n2:1, though others do|from n3 to n2"}},
		{
			"a client address where nobody is", func(s *picture) { s.nodes[1].answered, s.nodes[1].err = false, errors.New("refused") },
			[]string{"n2 runs, but not at n2:2, where it says that clients reach it (refused)|--advertise-addr"},
		},
		{
			"a client address where another node is", func(s *picture) { s.nodes[1].info["raft_node_id"] = "n3" },
			[]string{"n2 says that clients reach it at n2:2, and there answers n3|--advertise-addr"},
		},
		{"a client address in another cluster", func(s *picture) { s.nodes[1].info["raft_cluster_id"] = "d" }, []string{"a node of another cluster (d)|"}},
		{
			"the address of the node that is asked", func(s *picture) { s.nodes[0].announced = errors.New("nobody answers") },
			[]string{"n1 says that clients reach it at n1:2, and there nobody answers|--advertise-addr"},
		},
		{"a peer address of one machine", func(s *picture) { s.nodes[1].record["address"] = "127.0.0.1:1" }, []string{"which only its own machine reaches|--advertise,"}},
		{"one peer address for two", func(s *picture) { s.nodes[1].record["address"] = "n1:1" }, []string{"n1 and n2 are both said to be at n1:1|"}},
		{"one client address for two", func(s *picture) { s.nodes[1].record["client"] = "n1:2" }, []string{"n1 and n2 both tell clients that they are at n1:2|"}},
		{
			"a learner that lags", func(s *picture) { s.nodes[2].record["role"] = "learner"; s.nodes[2].record["last-index"] = "39999" },
			[]string{"n3 (learner) lacks 10001 entries of group 0|", "group 0 has 2 voters|"},
		},
		{"a node that does not apply", func(s *picture) { s.nodes[2].info["raft_applied_index"] = "5" }, []string{"n3 has 49995 entries that it has not applied|"}},
		{"a slow disk", func(s *picture) { s.nodes[2].info["raft_log_write_usec"] = "count=9,p50=1,p99=250000,p99.9=1" }, []string{"the disk of n3 is slow: one write to the log in a hundred takes 250ms|"}},
		{"a full disk", func(s *picture) { s.nodes[2].info["disk_free_bytes"] = "9" }, []string{"the disk of n3 is nearly full: 9 bytes of 100 bytes are left|make room"}},
		{
			"clocks", func(s *picture) { s.nodes[0].ahead, s.nodes[2].ahead = -300*time.Millisecond, 300*time.Millisecond },
			[]string{"the clocks of n1 and n3 are 600ms apart; n3 is ahead|time server"},
		},
		{"clocks, as seen over a slow network", func(s *picture) {
			s.nodes[2].ahead, s.nodes[2].took = 600*time.Millisecond, time.Second
		}, nil},
		{"few files", func(s *picture) { s.nodes[1].info["maxfiles"] = "1024" }, []string{"n2 may open only 1024 files and sockets|ulimit -n"}},
		{"few clients", func(s *picture) { s.nodes[1].info["maxclients"] = "900" }, []string{"n2 takes 900 clients, though max-clients is 10000|"}},
		{
			"an even number of voters", func(s *picture) { s.groups[0].members, s.nodes = s.groups[0].members[:2], s.nodes[:2] },
			[]string{"group 0 has 2 voters: it bears the loss of 0, no more than with 1|DEMOTE"},
		},
		{"different releases", func(s *picture) {
			s.nodes[0].record["version"], s.nodes[1].record["version"], s.nodes[2].record["version"] = "1.9.0", "1.10.0", "1.10.0-rc1"
		}, []string{"the newest is 1.10.0|in this order, each when dtkv status says ok again: n3 (voter, 1.10.0-rc1), n1 (leader, 1.9.0)"}},
	} {
		s := healthy()
		test.change(s)
		found := s.diagnose(usual)
		ok := len(found) == len(test.want)
		for i := 0; ok && i < len(found); i++ {
			what, todo, _ := strings.Cut(test.want[i], "|")
			ok = strings.Contains(found[i].what, what) && strings.Contains(found[i].todo, todo)
		}
		if !ok {
			t.Errorf("%s: found %q, want %q", test.name, found, test.want)
		}
	}
}

func TestReleasesAreOrderedByTheirNumbers(t *testing.T) {
	order := []string{"0.1.0-dev", "0.1.0", "0.2.0", "0.10.0-rc1", "0.10.0-rc2", "v0.10.0", "1.0"}
	for i := range order {
		for j := range order {
			if got := laterRelease(order[i], order[j]); got != (i > j) {
				t.Errorf("%s after %s: %t", order[i], order[j], got)
			}
		}
	}
}

func TestThePictureIsATableForPeopleAndLinesForPrograms(t *testing.T) {
	s := healthy()
	s.lose(2)
	s.groups[0].record["state"] = "degraded"
	var table, lines strings.Builder
	s.table(&table)
	for _, want := range []string{"cluster c: degraded\n", "GROUP  STATE", "\n0      degraded  n1      n1 n2 n3  -", "\nn1    up     leader  n1:2 ", "3ms", "50%", "n3 could not be asked: refused\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in\n%s", want, table.String())
		}
	}
	s.lines(&lines, time.Unix(0, 0).UTC())
	all := slices.Collect(strings.Lines(lines.String()))
	if len(all) != 4 || all[0] != "1970-01-01T00:00:00Z group=0 state=degraded leader=n1 voters=n1,n2,n3 learners=-\n" ||
		!strings.Contains(all[1], " node=n1 state=up role=leader release=1.2.0 lacks=0 ") || !strings.Contains(all[3], " node=n3 state=down ") {
		t.Errorf("lines:\n%s", lines.String())
	}
	if strings.Contains(strconv.Quote(lines.String()), `\x1b`) {
		t.Error("lines have escape sequences")
	}
}
