package harness

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestRepliesOfEveryTypeAreReadToTheirEnd(t *testing.T) {
	replies := []string{
		"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$3\r\na\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "%1\r\n+a\r\n~1\r\n+b\r\n",
		"=7\r\ntxt:abc\r\n", ">2\r\n+a\r\n+b\r\n", "|1\r\n+k\r\n+v\r\n+the reply\r\n",
	}
	for _, want := range replies {
		r := bufio.NewReader(strings.NewReader(want + "+next\r\n"))
		var got bytes.Buffer
		if err := readReply(r, &got, 0); err != nil || got.String() != want {
			t.Errorf("read %q, %v; want %q", got.String(), err, want)
		}
	}
	for _, bad := range []string{"", "hello\r\n", "+\n", "$x\r\n", "*1\r\n"} {
		if err := readReply(bufio.NewReader(strings.NewReader(bad)), &bytes.Buffer{}, 0); err == nil {
			t.Errorf("%q was taken for a reply", bad)
		}
	}
}

func TestPortsAreGivenOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p := Port(t)
		if seen[p] || p < portsFirst || p >= portsFirst+portsBlocks*portsBlock {
			t.Fatalf("port %d was given twice or lies outside the range", p)
		}
		seen[p] = true
	}
}

func TestProcessesEndWhenToldAndTellHow(t *testing.T) {
	Need(t, "sh", "sleep")
	if code := Run(t, "", nil, "sh", "-c", "echo out; echo err >&2; exit 3").Wait(t); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	p := Run(t, "", nil, "sleep", "600")
	p.Kill()
	if p.Alive() || p.Wait(t) != -1 {
		t.Error("a killed process lives on")
	}
	p = Run(t, "", nil, "sh", "-c", "echo out; echo err >&2")
	p.Wait(t)
	if got := p.Log(); got != "out\nerr\n" {
		t.Errorf("log %q", got)
	}
}

func TestRedisAnswersThroughTheHarness(t *testing.T) {
	p, addr := StartRedis(t, "")
	c := Dial(t, addr)
	c.Want(t, "+OK\r\n", "SET", "k", "v")
	c.Want(t, "$1\r\nv\r\n", "GET", "k")
	if now, peak, ok := p.Memory(); ok && (now < 1<<20 || peak < now) {
		t.Errorf("resident memory of %d bytes, %d at most, cannot be right", now, peak)
	}
	if n, ok := p.Descriptors(); ok && n < 3 {
		t.Errorf("%d open files cannot be right", n)
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}
