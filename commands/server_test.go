package commands

import (
	"slices"
	"testing"
)

func TestServerCommands(t *testing.T) {
	runTranscripts(t, []transcript{
		{"CONFIG GET takes several patterns in any case and shows each parameter once", `
			> CONFIG GET maxmemory SAVE max*
			< *4
			< $9
			< maxmemory
			< $1
			< 0
			< $4
			< save
			< $0
			<
			> CONFIG GET nosuch
			< *0
			@ resp3
			> CONFIG GET [dt]*
			< %2
			< $9
			< databases
			< $1
			< 1
			< $7
			< timeout
			< $1
			< 0`},
		{"CONFIG SET changes all parameters or none", `
			> CONFIG SET timeout 5 MAXMEMORY 6
			< +OK
			> CONFIG GET timeout
			< *2
			< $7
			< timeout
			< $1
			< 5
			> CONFIG SET timeout 7 maxmemory wrong
			< -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must not be wrong
			> CONFIG GET timeout
			< *2
			< $7
			< timeout
			< $1
			< 5
			> CONFIG SET Foo x
			< -ERR Unknown option or number of arguments for CONFIG SET - 'Foo'
			> CONFIG SET timeout 1 timeout 2
			< -ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter
			> CONFIG SET appendonly no
			< -ERR CONFIG SET failed (possibly related to argument 'appendonly') - can't set immutable config
			> CONFIG SET timeout 1 x
			< -ERR syntax error
			> CONFIG SET timeout
			< -ERR wrong number of arguments for 'config|set' command
			> CONFIG RESETSTAT
			< +OK`},
		{"CONFIG HELP is an array of lines", `
			> CONFIG HELP
			< *9
			< +CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
			< +GET parameter [parameter ...]
			< +    Answers the parameters whose names match any of the patterns, and their values.
			< +HELP
			< +    Lists the subcommands.
			< +RESETSTAT
			< +    Sets the counters of INFO to zero.
			< +SET parameter value [parameter value ...]
			< +    Changes parameters of this node, all or none.`},
		{"INFO prints sections, verbatim in RESP3", `
			> INFO keyspace
			< $44
			< # Keyspace
			< db0:keys=1,expires=0,avg_ttl=0
			<
			> INFO nosuch
			< $0
			<
			@ resp3
			> INFO
			< =96
			< txt:# Server
			< redis_version:8.4.0
			< tcp_port:6379
			<
			< # Keyspace
			< db0:keys=1,expires=0,avg_ttl=0
			<
			> INFO nosuch
			< =4
			< txt:`},
		{"TIME, LASTSAVE and MODULE LIST", `
			> TIME
			< *2
			< $10
			< 1700000000
			< $2
			< 42
			> LASTSAVE
			< :1700000000
			> MODULE LIST
			< *0`},
		{"BGSAVE begins one snapshot at a time", `
			> BGSAVE NOW
			< -ERR syntax error
			> BGSAVE SCHEDULE
			< +Background saving started
			> BGSAVE
			< -ERR Background save already in progress`},
		{"SHUTDOWN is careful with its arguments, and says nothing when it obeys", `
			> SHUTDOWN later
			< -ERR syntax error
			> SHUTDOWN SAVE NOSAVE
			< -ERR syntax error
			> SHUTDOWN NOW ABORT
			< -ERR syntax error
			> SHUTDOWN ABORT
			< -ERR No shutdown in progress.
			> SHUTDOWN NOSAVE NOW FORCE`},
		{"WAIT checks its arguments and never waits", `
			> WAIT 0 0
			< :0
			> WAIT a 0
			< -ERR value is not an integer or out of range
			> WAIT 0 a
			< -ERR timeout is not an integer or out of range
			> WAIT 0 -1
			< -ERR timeout is negative
			> WAITAOF 0 0 0
			< *2
			< :0
			< :0
			> WAITAOF 2 0 0
			< -ERR value is out of range, must be between 0 and 1
			> WAITAOF 0 -1 0
			< -ERR value is out of range, must be positive
			> WAITAOF 0 0 -1
			< -ERR timeout is negative`},
	})
}

func TestRoleTellsWhoLeads(t *testing.T) {
	r := newRig(t, 2)
	if got, want := r.do("ROLE"), "*3\r\n$6\r\nmaster\r\n:9\r\n*0\r\n"; got != want {
		t.Errorf("a leader alone: got %q, want %q", got, want)
	}
	r.session.role.Replicas = []Replica{{"10.0.0.2", 6379, 8}}
	if got, want := r.do("ROLE"), "*3\r\n$6\r\nmaster\r\n:9\r\n*1\r\n*3\r\n$8\r\n10.0.0.2\r\n$4\r\n6379\r\n$1\r\n8\r\n"; got != want {
		t.Errorf("a leader: got %q, want %q", got, want)
	}
	r.session.role = Role{Host: "10.0.0.1", Port: 6379, Link: "connected", Offset: 5}
	if got, want := r.do("ROLE"), "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:5\r\n"; got != want {
		t.Errorf("a follower: got %q, want %q", got, want)
	}
	if got := r.do("HELLO", "2"); !slices.Contains(listing(t, got), "replica") {
		t.Errorf("a follower's HELLO: %q", got)
	}
}

func TestWaitTellsWhereWritesSurelyAre(t *testing.T) {
	r := newRig(t, 2)
	r.session.synced, r.session.replicas = true, 2
	if got := r.do("WAIT", "5", "0"); got != ":2\r\n" {
		t.Errorf("WAIT: %q", got)
	}
	if got := r.do("WAITAOF", "1", "1", "0"); got != "*2\r\n:1\r\n:2\r\n" {
		t.Errorf("WAITAOF: %q", got)
	}
}

func TestInfoAsksForSections(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{[]string{"default"}, nil},
		{[]string{"Server", "default"}, nil},
		{[]string{"ALL"}, []string{"all"}},
		{[]string{"server", "EVERYTHING"}, []string{"all"}},
		{[]string{"Server", "RAFT"}, []string{"server", "raft"}},
	}
	for _, test := range tests {
		r := newRig(t, 2)
		r.do(append([]string{"INFO"}, test.args...)...)
		if !slices.Equal(r.session.asked, test.want) {
			t.Errorf("INFO %q asks for %q, want %q", test.args, r.session.asked, test.want)
		}
	}
}
