package commands

import (
	"slices"
	"strings"
	"testing"
)

func TestSlowlogAndLatencyAnswerAsRedisDoes(t *testing.T) {
	r := newRig(t, 2)
	r.session.slow = []SlowCommand{
		{ID: 8, Unix: 1_700_000_001, Micros: 20_001, Args: []string{"set", "a", "b"}, Address: "127.0.0.1:5", Name: "app"},
		{ID: 7, Unix: 1_700_000_000, Micros: 10_001, Args: []string{"get", "a"}, Address: "127.0.0.1:6"},
	}
	newest := "*6\r\n:8\r\n:1700000001\r\n:20001\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n$11\r\n127.0.0.1:5\r\n$3\r\napp\r\n"
	older := "*6\r\n:7\r\n:1700000000\r\n:10001\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n$11\r\n127.0.0.1:6\r\n$0\r\n\r\n"
	for _, test := range []struct{ send, want string }{
		{"SLOWLOG LEN", ":2\r\n"},
		{"SLOWLOG GET", "*2\r\n" + newest + older},
		{"SLOWLOG GET -1", "*2\r\n" + newest + older},
		{"SLOWLOG GET 1", "*1\r\n" + newest},
		{"SLOWLOG GET 0", "*0\r\n"},
		{"SLOWLOG GET -2", "-ERR count should be greater than or equal to -1\r\n"},
		{"SLOWLOG GET x", "-ERR count should be greater than or equal to -1\r\n"},
		{"SLOWLOG RESET", "+OK\r\n"},
		{"SLOWLOG LEN", ":0\r\n"},
		{"LATENCY LATEST", "*1\r\n*4\r\n$7\r\ncommand\r\n:1700000000\r\n:12\r\n:30\r\n"},
		{"LATENCY HISTORY command", "*2\r\n*2\r\n:1699999990\r\n:30\r\n*2\r\n:1700000000\r\n:12\r\n"},
		{"LATENCY HISTORY fork", "*0\r\n"},
		{"LATENCY HISTORY", "-ERR wrong number of arguments for 'latency|history' command\r\n"},
		{"LATENCY RESET", ":0\r\n"},
		{"LATENCY RESET command fork", ":2\r\n"},
		{"LATENCY DOCTOR", "$11\r\nall is well\r\n"},
		{"LATENCY HISTOGRAM", "*0\r\n"},
		{"LATENCY HISTOGRAM GET", "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:3\r\n$14\r\nhistogram_usec\r\n*4\r\n:4\r\n:1\r\n:16\r\n:3\r\n"},
	} {
		if got := r.do(strings.Fields(test.send)...); got != test.want {
			t.Errorf("%s: got %q, want %q", test.send, got, test.want)
		}
	}
}

func TestTheSlowLogShowsNoSecrets(t *testing.T) {
	long := strings.Repeat("x", 130)
	for _, test := range []struct {
		send string
		more int
		want []string
	}{
		{"SET a b", 0, []string{"SET", "a", "b"}},
		{"SET a " + long, 0, []string{"SET", "a", long[:128] + "... (2 more bytes)"}},
		{"MGET" + strings.Repeat(" k", 31), 0, slices.Repeat([]string{"k"}, 31)},
		{"MGET" + strings.Repeat(" k", 32), 0, append(slices.Repeat([]string{"k"}, 30), "... (2 more arguments)")},
		{"GET a", 7, []string{"GET", "a", "... (and 7 more commands of the pipeline)"}},
		{"AUTH me secret", 0, []string{"AUTH", hidden, hidden}},
		{"HELLO 3 AUTH me secret", 0, []string{"HELLO", "3", "AUTH", hidden, hidden}},
		{"DTKV.OWNER secret", 0, []string{"DTKV.OWNER", hidden}},
		{"DTKV.LOCK l 1000 owner secret WAIT 5", 0, []string{"DTKV.LOCK", "l", "1000", "owner", hidden, hidden, hidden}},
		{"CONFIG SET timeout 5 requirepass secret", 0, []string{"CONFIG", "SET", "timeout", "5", "requirepass", hidden}},
	} {
		var argv [][]byte
		for word := range strings.FieldsSeq(test.send) {
			argv = append(argv, []byte(word))
		}
		c, _ := Lookup(argv[0])
		if len(c.Sub) > 0 {
			c, _ = c.subcommand(argv[1])
		}
		got := Shown(c, argv, test.more)
		if c.Name == "mget" {
			got = got[1:]
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", test.send, got)
		}
	}
}

func TestCommandsThatTakeSecretsSaySo(t *testing.T) {
	seen := map[int]bool{}
	each := func(c *Command) {
		if seen[c.Number()] || c.Number() >= Numbers {
			t.Errorf("%s has number %d of %d", c.Name, c.Number(), Numbers)
		}
		seen[c.Number()] = true
		for _, word := range []string{"OWNER owner", "password", "[owner]"} {
			if strings.Contains(c.Syntax, word) && len(c.Secrets) == 0 {
				t.Errorf("%s takes a secret (%s), and the slow log would show it", c.Name, word)
			}
		}
	}
	for i := range Table {
		each(&Table[i])
		for j := range Table[i].Sub {
			each(&Table[i].Sub[j])
		}
	}
	if len(seen) != Numbers {
		t.Errorf("%d commands, %d numbers", len(seen), Numbers)
	}
}
