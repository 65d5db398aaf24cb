package server

import (
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/commands"
)

func TestInfoHasWhatClientsDecideBy(t *testing.T) {
	s, _ := startTestServer(t, nil)
	got := talk(t, s, "SET k 1", "SET j 1", "GET nothing", "GET k", "INCR", "INFO")
	for _, want := range []string{
		"# Server\r\nredis_version:8.4.0\r\n", "dtkv_version:", "redis_mode:standalone", "arch_bits:64", "process_id:", "run_id:", "tcp_port:",
		"uptime_in_seconds:0", "# Clients\r\nconnected_clients:1\r\n", "maxclients:10000", "used_memory:", "used_memory_human:", "used_memory_rss:",
		"maxmemory_policy:noeviction", "loading:0", "aof_enabled:1", "total_commands_processed:6", "total_connections_received:1",
		"keyspace_hits:1", "keyspace_misses:1", "total_error_replies:1", "role:master", "connected_slaves:0", "master_replid:", "used_cpu_user:",
		"errorstat_ERR:count=1", "cluster_enabled:0", "# Raft\r\n", "raft_role:leader", "raft_term:1", "raft_sync:always", "raft_log_store:wal",
		"# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if got := talk(t, s, "INFO keyspace"); got != crlf("$44", "# Keyspace", "db0:keys=2,expires=0,avg_ttl=0", "") {
		t.Errorf("one section: %q", got)
	}
	got = talk(t, s, "EXPIRE k 1000", "DTKV.PUTTEMP t 1000000 v", "DTKV.LOCK l 1000000", "INFO keyspace")
	if want := crlf("$44", "# Keyspace", "db0:keys=3,expires=3,avg_ttl=0", ""); !strings.HasSuffix(got, want) {
		t.Errorf("what has a time to live: %q does not end with %q", got, want)
	}
}

func TestResetStatsBeginsAnew(t *testing.T) {
	s, _ := startTestServer(t, nil)
	talk(t, s, "GET k", "NOSUCH")
	c := dial(t, s)
	c.send("GET k", "CONFIG RESETSTAT", "PING", "QUIT")
	c.wantEnd(crlf("$-1", "+OK", "+PONG", "+OK"))
	sum, received, rejected, _ := s.clients.totals()
	failed, _ := s.errors.snapshot()
	if sum.commands != 2 || sum.misses != 0 || received != 0 || rejected != 0 || failed != 0 {
		t.Errorf("%+v, %d received, %d rejected, %d errors", sum, received, rejected, failed)
	}
}

func TestConfigParameters(t *testing.T) {
	s, _ := startTestServer(t, nil)
	tests := []struct{ send, want string }{
		{"CONFIG GET save", crlf("*2", "$4", "save", "$0", "")},
		{"CONFIG GET appendonly", crlf("*2", "$10", "appendonly", "$3", "yes")},
		{"CONFIG GET databases", crlf("*2", "$9", "databases", "$1", "1")},
		{"CONFIG SET timeout 30", crlf("+OK")},
		{"CONFIG GET timeout", crlf("*2", "$7", "timeout", "$2", "30")},
		{"CONFIG SET timeout 0", crlf("+OK")},
		{"CONFIG SET timeout x", "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer\r\n"},
		{"CONFIG SET maxclients 0", "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 1000000 inclusive\r\n"},
		{"CONFIG SET maxmemory-policy allkeys-lru", crlf("+OK")},
		{"CONFIG GET maxmemory-policy", crlf("*2", "$16", "maxmemory-policy", "$11", "allkeys-lru")},
	}
	for _, test := range tests {
		if got := talk(t, s, test.send); got != test.want {
			t.Errorf("%s:\ngot  %q\nwant %q", test.send, got, test.want)
		}
	}
}

func TestParametersAreOrderedAndDistinct(t *testing.T) {
	s, _ := newTestServer(Default())
	list := s.parameters()
	for i := 1; i < len(list); i++ {
		if list[i-1].Name >= list[i].Name {
			t.Errorf("%s comes before %s", list[i-1].Name, list[i].Name)
		}
	}
}

func TestParametersChangeTogetherOrNotAtAll(t *testing.T) {
	s, _ := newTestServer(Default())
	err := s.setParameters([]commands.Parameter{{Name: "save", Value: "1 1"}, {Name: "timeout", Value: "5"}, {Name: "maxclients", Value: "x"}})
	if err == nil || s.live.timeout() != 0 || s.live.maxClients.Load() != 10_000 {
		t.Errorf("got %v, timeout %s", err, s.live.timeout())
	}
	for _, p := range s.parameters() {
		if p.Name == "save" && p.Value != "" {
			t.Errorf("save is %q", p.Value)
		}
	}
}

func TestPaceIsCommandsASecond(t *testing.T) {
	var p pace
	now := time.Unix(1_700_000_000, 0)
	p.rate(100, now)
	if got := p.rate(1100, now.Add(2*time.Second)); got != 500 {
		t.Errorf("got %d, want 500", got)
	}
	if got := p.rate(9999, now.Add(2*time.Second+time.Millisecond)); got != 500 {
		t.Errorf("a look right after: got %d, want 500", got)
	}
	if got := p.rate(0, now.Add(4*time.Second)); got != 500 {
		t.Errorf("after a reset: got %d, want the last one", got)
	}
}
