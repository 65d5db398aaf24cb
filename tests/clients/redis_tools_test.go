package clients

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// session is what a person types, and what redis-cli prints when its output is no terminal.
const (
	session = "SET cli:a 1\nGET cli:a\nGET cli:none\nMSET cli:b 2 cli:c 3\nMGET cli:a cli:c\nMULTI\nINCR cli:a\nGET cli:a\nEXEC\nPING\n"
	printed = "OK\n1\n\nOK\n1\n3\nOK\nQUEUED\nQUEUED\n2\n2\nPONG\n"
)

func TestRedisCli(t *testing.T) {
	harness.NeedRedis(t)
	port := start(t)
	for _, proto := range []string{"-2", "-3"} {
		t.Run("RESP"+proto[1:], func(t *testing.T) {
			harness.Output(t, "", "", "redis-cli", proto, "-p", port, "FLUSHALL")
			if got := harness.Output(t, "", session, "redis-cli", proto, "-p", port); got != printed {
				t.Errorf("got %q, want %q", got, printed)
			}
		})
	}
}

// Without a command of its own redis-cli asks for COMMAND DOCS, to complete and to help: our commands must be in there.
func TestRedisCliHelpsWithOurCommands(t *testing.T) {
	harness.NeedRedis(t)
	port := start(t)
	for _, proto := range []string{"-2", "-3"} {
		t.Run("RESP"+proto[1:], func(t *testing.T) {
			t.Setenv("FAKETTY", "1") // print as on a terminal
			out := harness.Output(t, "", "help set\nhelp dtkv.mkdir\nSET cli:n 41\nINCR cli:n\nGET cli:none\nnosuch\n", "redis-cli", proto, "-p", port)
			for _, want := range []string{"SET", "DTKV.MKDIR", "summary:", "(integer) 42", "(nil)", "(error) ERR unknown command 'nosuch'"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

func TestRedisCliTools(t *testing.T) {
	harness.NeedRedis(t)
	port := start(t)
	var load strings.Builder
	for i := range 500 {
		load.Write(harness.Command("SET", fmt.Sprintf("tool:%03d", i), strings.Repeat("v", i)))
	}
	out := harness.Output(t, "", load.String(), "redis-cli", "-p", port, "--pipe")
	if !strings.Contains(out, "errors: 0, replies: 500") {
		t.Errorf("--pipe: %s", out)
	}
	out = harness.Output(t, "", "", "redis-cli", "-p", port, "--scan", "--pattern", "tool:*")
	if n := strings.Count(out, "\n"); n != 500 {
		t.Errorf("--scan found %d keys, want 500", n)
	}
	out = harness.Output(t, "", "", "redis-cli", "-p", port, "--bigkeys")
	if !strings.Contains(out, `Biggest string found '"tool:499"' has 499 bytes`) {
		t.Errorf("--bigkeys: %s", out)
	}
	out = harness.Output(t, "", "", "redis-cli", "-p", port, "-r", "3", "-i", "0.01", "PING")
	if out != "PONG\nPONG\nPONG\n" {
		t.Errorf("-r 3: %s", out)
	}
}

func TestRedisBenchmark(t *testing.T) {
	harness.NeedRedis(t)
	harness.Need(t, "redis-benchmark")
	port := start(t)
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"one at a time", []string{"-n", "2000", "-c", "10"}},
		{"pipelined", []string{"-n", "20000", "-c", "10", "-P", "16"}},
		{"RESP3", []string{"-n", "2000", "-c", "10", "-3"}},
		{"many keys, large values, many connections", []string{"-n", "2000", "-c", "100", "-r", "1000", "-d", "4096"}},
		{"a fresh connection each time", []string{"-n", "500", "-c", "10", "-k", "0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"-p", port, "-t", "set,get,incr,mset,ping", "-q"}, tt.args...)
			out := harness.Output(t, "", "", "redis-benchmark", args...)
			// The progress of a line is overwritten by carriage returns: only the results end one.
			if n := len(result.FindAllString(out, -1)); n != 6 {
				t.Errorf("%d results, want 6 (ping counts twice):\n%q", n, out)
			}
			out = strings.ReplaceAll(out, "WARNING: Keepalive disabled.", "") // That is what the test asked for.
			if strings.Contains(out, "WARN") || strings.Contains(out, "rror") {
				t.Errorf("redis-benchmark complains:\n%q", out)
			}
		})
	}
}

var result = regexp.MustCompile(`[\d.]+ requests per second`)
