package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/commands"
)

// stats is one line of INFO commandstats, without the times.
func stats(t *testing.T, s *Server, command string) string {
	t.Helper()
	info := talk(t, s, "INFO commandstats")
	m := regexp.MustCompile(`cmdstat_` + regexp.QuoteMeta(command) + `:(calls=\d+),usec=\d+,usec_per_call=\d+\.\d\d,(rejected_calls=\d+,failed_calls=\d+)\r\n`).FindStringSubmatch(info)
	if m == nil {
		return ""
	}
	return m[1] + "," + m[2]
}

func TestCommandsAreCountedAsRedisDoes(t *testing.T) {
	s, _ := startTestServer(t, nil)
	talk(t, s, "SET k v", "SET j v", "GET k", "GET k", "PING", "GET nothing", "SET", "SET k v NONSENSE", "DTKV.MKDIR d", "GET d",
		"CLIENT SETNAME x", "MULTI", "SET k v", "GET k", "GET", "EXEC", "MULTI", "SET m v", "GET d", "PING", "EXEC", "NOSUCH", "KEYS *")
	for _, test := range []struct{ command, want string }{
		{"set", "calls=4,rejected_calls=1,failed_calls=1"},
		{"get", "calls=5,rejected_calls=1,failed_calls=2"},
		{"ping", "calls=2,rejected_calls=0,failed_calls=0"},
		{"client|setname", "calls=1,rejected_calls=0,failed_calls=0"},
		{"multi", "calls=2,rejected_calls=0,failed_calls=0"},
		{"exec", "calls=2,rejected_calls=0,failed_calls=1"},
		{"keys", "calls=1,rejected_calls=0,failed_calls=0"},
		{"append", ""},
	} {
		if got := stats(t, s, test.command); got != test.want {
			t.Errorf("%s: %s, want %s", test.command, got, test.want)
		}
	}
	if got := talk(t, s, "INFO"); strings.Contains(got, "cmdstat_") || strings.Contains(got, "latency_percentiles") {
		t.Error("INFO alone tells of each command")
	}
	if got := talk(t, s, "INFO everything"); !regexp.MustCompile(`\r\nlatency_percentiles_usec_keys:p50=\d+\.000,p99=\d+\.000,p99\.9=\d+\.000\r\n`).MatchString(got) {
		t.Errorf("no percentiles:\n%s", got)
	}
	if got := talk(t, s, "LATENCY HISTOGRAM keys nosuch"); !regexp.MustCompile(`^\*2\r\n\$4\r\nkeys\r\n\*4\r\n\$5\r\ncalls\r\n:1\r\n\$14\r\nhistogram_usec\r\n\*2\r\n:\d+\r\n:1\r\n$`).MatchString(got) {
		t.Errorf("the histogram of KEYS is %q", got)
	}
	if got := talk(t, s, "CONFIG SET latency-tracking no", "LATENCY HISTOGRAM keys", "INFO latencystats"); got != crlf("+OK", "*0", "$16", "# Latencystats", "") {
		t.Errorf("without tracking: %q", got)
	}
	talk(t, s, "CONFIG RESETSTAT")
	if got := stats(t, s, "keys"); got != "" {
		t.Errorf("after a reset: %s", got)
	}
}

func TestTheSlowLogHasWhatIsSlow(t *testing.T) {
	s, g := startTestServer(t, nil)
	if got := talk(t, s, "SET k v", "SLOWLOG LEN"); got != crlf("+OK", ":0") {
		t.Fatalf("before: %q", got)
	}
	g.mu.Lock()
	g.hold = make(chan struct{})
	g.mu.Unlock()
	c := dial(t, s)
	c.send("CLIENT SETNAME slow")
	c.want(crlf("+OK"))
	c.send("SET a 1", "SET b 2", "SET c 3")
	<-g.entered
	time.Sleep(12 * time.Millisecond) // it is the time that is measured
	g.mu.Lock()
	close(g.hold)
	g.hold = nil
	g.mu.Unlock()
	c.want(crlf("+OK", "+OK", "+OK"))
	got := talk(t, s, "SLOWLOG GET")
	want := fmt.Sprintf("*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n$41\r\n... (and 2 more commands of the pipeline)\r\n$%d\r\n%s\r\n$4\r\nslow\r\n", len(c.LocalAddr().String()), c.LocalAddr())
	if !strings.HasPrefix(got, "*1\r\n*6\r\n:0\r\n:") || !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	// A client that waits for its own sake is not slow.
	c.send("DTKV.LOCK l 100000 OWNER me")
	c.want(":1\r\n")
	c.send("DTKV.LOCK l 100000 WAIT 100000 OWNER other", "XREAD BLOCK 30 STREAMS __events__ $")
	time.Sleep(15 * time.Millisecond)
	talk(t, s, "DTKV.UNLOCK l OWNER me")
	c.want(":2\r\n")
	c.want("*-1\r\n")
	if got := talk(t, s, "SLOWLOG LEN"); got != ":1\r\n" {
		t.Errorf("after waits: %s", talk(t, s, "SLOWLOG GET"))
	}
}

func TestTheSlowLogsOptionsAreLive(t *testing.T) {
	s, _ := startTestServer(t, func(c *Config) { c.SlowlogMaxLen = 3 })
	talk(t, s, "CONFIG SET slowlog-log-slower-than 0", "GET 1", "GET 2", "GET 3", "GET 4", "GET 5")
	if got := s.slowlog.len(); got > 3 || got == 0 {
		t.Errorf("%d entries", got)
	}
	if got := talk(t, s, "CONFIG GET slowlog*"); got != crlf("*4", "$23", "slowlog-log-slower-than", "$1", "0", "$15", "slowlog-max-len", "$1", "3") {
		t.Errorf("%q", got)
	}
	talk(t, s, "CONFIG SET slowlog-max-len 1")
	if got := s.slowlog.len(); got != 1 {
		t.Errorf("%d entries after the log was made shorter", got)
	}
	talk(t, s, "CONFIG SET slowlog-log-slower-than -1 slowlog-max-len 100")
	before := s.slowlog.len()
	talk(t, s, "GET 1", "KEYS *")
	if got := s.slowlog.len(); got != before {
		t.Errorf("%d entries, %d before", got, before)
	}
	talk(t, s, "SLOWLOG RESET", "CONFIG SET slowlog-log-slower-than 0")
	talk(t, s, "MULTI", "SET in-exec 1", "EXEC")
	found := false
	for _, e := range s.slowlog.newest(100) {
		found = found || strings.Join(e.Args, " ") == "SET in-exec 1 ... (and 1 more commands of the pipeline)"
	}
	if !found {
		t.Errorf("a transaction is not there: %+v", s.slowlog.newest(100))
	}
	for _, test := range []struct{ send, want string }{
		{"CONFIG SET slowlog-log-slower-than x", "-ERR CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - argument couldn't be parsed into an integer\r\n"},
		{"CONFIG SET latency-monitor-threshold -1", "-ERR CONFIG SET failed (possibly related to argument 'latency-monitor-threshold') - argument must be between 0 and 1099511627776 inclusive\r\n"},
	} {
		if got := talk(t, s, test.send); got != test.want {
			t.Errorf("%s: %q", test.send, got)
		}
	}
}

func TestTheLatencyMonitor(t *testing.T) {
	s, _ := startTestServer(t, nil)
	if got := talk(t, s, "LATENCY DOCTOR"); !strings.Contains(got, "is off") {
		t.Errorf("without a threshold: %q", got)
	}
	s.stored(time.Hour)
	talk(t, s, "CONFIG SET latency-monitor-threshold 5")
	if got := talk(t, s, "LATENCY DOCTOR", "LATENCY LATEST"); !strings.Contains(got, "Nothing has taken 5 ms") || !strings.HasSuffix(got, "*0\r\n") {
		t.Errorf("nothing yet: %q", got)
	}
	s.stored(4 * time.Millisecond)
	s.stored(70 * time.Millisecond)
	if got := talk(t, s, "LATENCY LATEST"); !regexp.MustCompile(`^\*1\r\n\*4\r\n\$16\r\naof-fsync-always\r\n:\d+\r\n:70\r\n:70\r\n$`).MatchString(got) {
		t.Errorf("the latest: %q", got)
	}
	if got := talk(t, s, "LATENCY DOCTOR"); !strings.Contains(got, "70 ms at worst") || !strings.Contains(got, "the disk is slow") {
		t.Errorf("the doctor: %q", got)
	}
	if got := talk(t, s, "LATENCY RESET nothing aof-fsync-always", "LATENCY HISTORY aof-fsync-always"); got != crlf(":1", "*0") {
		t.Errorf("the reset: %q", got)
	}
	now := time.Unix(1_700_000_000, 0)
	for i := range spikeSamples + 10 {
		s.spikes.add(eventCommand, time.Duration(100+i)*time.Millisecond, now.Add(time.Duration(i/2*2)*time.Second), time.Millisecond)
	}
	samples := s.spikes.history(eventCommand)
	if last := samples[len(samples)-1]; len(samples) != (spikeSamples+10)/2 || last.Millis != 100+spikeSamples+9 {
		t.Errorf("%d samples, the last %+v", len(samples), last)
	}
	for i := range 3 * spikeSamples {
		s.spikes.add(eventCommand, time.Second, now.Add(time.Hour+time.Duration(i)*time.Second), time.Millisecond)
	}
	if got := len(s.spikes.history(eventCommand)); got != spikeSamples {
		t.Errorf("%d samples are kept", got)
	}
}

// A pipeline of one command costs one call of the clock, however long it is.
func TestATallyJoinsCallsOfOneCommand(t *testing.T) {
	var tl tally
	get, _ := commands.Lookup([]byte("get"))
	set, _ := commands.Lookup([]byte("set"))
	for range 100 {
		tl.add(get, nil)
	}
	tl.add(set, nil)
	if len(tl.runs) != 2 || tl.runs[0] != (run{get, 100}) || tl.runs[1] != (run{set, 1}) || tl.count != 101 {
		t.Errorf("%+v", tl)
	}
	tl.clear(time.Time{})
	if n := testing.AllocsPerRun(10, func() { tl.add(get, nil); tl.add(set, nil); tl.clear(time.Time{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
