package compat

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what came back into the transcripts; where both servers run one, only Redis does")
	only    = flag.String("on", "", "run the transcripts on one server only: dtkv or redis")
)

func TestMain(m *testing.M) { harness.Main(m) }

// password is what the servers ask for of transcripts that say so. They find themselves not logged in.
const password = "correct horse"

// Each transcript finds an empty keyspace. The servers are shared, so a transcript undoes what it sets beyond keys.
func TestRepliesOnDtkv(t *testing.T) {
	if *only == "redis" {
		return
	}
	strict := harness.Start(t, harness.Options{})
	lenient := harness.Start(t, harness.Options{AutoMkdir: true})
	locked := harness.Start(t, harness.Options{Password: password})
	for _, tr := range transcripts(t) {
		s := strict
		if tr.autoMkdir {
			s = lenient
		} else if tr.password {
			s = locked
		}
		t.Run(filepath.Base(tr.name), func(t *testing.T) { tr.run(t, "dtkv", s.Addr) })
	}
	for _, s := range []*harness.Server{strict, lenient, locked} {
		if !s.Alive() {
			t.Error("a transcript has ended the server")
		}
	}
}

func TestRepliesOnRedis(t *testing.T) {
	if *only == "dtkv" {
		return
	}
	harness.Alone(t, "it is about Redis")
	_, open := harness.StartRedis(t, "")
	_, locked := harness.StartRedis(t, password)
	for _, tr := range transcripts(t) {
		if tr.redis {
			addr := open
			if tr.password {
				addr = locked
			}
			t.Run(filepath.Base(tr.name), func(t *testing.T) { tr.run(t, "redis", addr) })
		}
	}
}

func transcripts(t *testing.T) []*transcript {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []*transcript
	for _, p := range paths {
		tr, err := load(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	return all
}

// place is what a server is in its cluster. Redis is always alone.
func place(server string) string {
	if server == "dtkv" && harness.ThroughFollower() {
		return "follower"
	}
	return "alone"
}

// session is one run of a transcript: its connections by name.
type session struct {
	*transcript
	server string
	addr   string
	conns  map[string]*harness.Conn
}

func (t *transcript) run(tb testing.TB, server, addr string) {
	harness.Dial(tb, addr).Want(tb, "+OK\r\n", "FLUSHALL")
	s := session{t, server, addr, map[string]*harness.Conn{}}
	type change struct {
		at   exchange
		text []string
	}
	var changes []change
	for _, x := range t.exchanges {
		if x.on != "" && x.on != server || x.place != "" && x.place != place(server) {
			continue
		}
		got, err := s.play(tb, x)
		for end := time.Now().Add(harness.Patience); x.soon && err == nil && !same(x.want, got) && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
			got, err = s.play(tb, x)
		}
		if err == nil && same(x.want, got) {
			continue
		}
		if *rewrite && err == nil && (server == "redis" || !t.redis || x.on != "") {
			changes = append(changes, change{x, got})
			continue
		}
		tb.Errorf("%s:%d: on %s, %q\n got %s\nwant %s\nerr %v", t.name, x.line, server, clip(string(x.send)),
			clip(strings.Join(got, "\n     ")), clip(strings.Join(x.want, "\n     ")), err)
		if err != nil {
			return // The connection is out of step: what follows would say nothing.
		}
	}
	if len(changes) == 0 {
		return
	}
	lines := t.lines
	for _, c := range slices.Backward(changes) {
		var text []string
		for _, l := range c.text {
			text = append(text, strings.TrimRight(c.at.conn+"< "+l, " "))
		}
		if c.at.closed {
			text = append(text, c.at.conn+"< (closed)")
		}
		lines = slices.Concat(lines[:c.at.from], text, lines[c.at.to:])
	}
	if err := os.WriteFile(t.name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// play sends one exchange and returns the lines that came back.
func (s *session) play(tb testing.TB, x exchange) ([]string, error) {
	c := s.conns[x.conn]
	if c == nil {
		c = harness.DialOut(tb, s.addr)
		s.conns[x.conn] = c
		if s.proto3 {
			if hello := c.Must(tb, "HELLO", "3"); hello[0] != '%' {
				return nil, fmt.Errorf("HELLO 3: %q", hello)
			}
		}
	}
	if err := c.Send(x.send); err != nil {
		return nil, err
	}
	var raw strings.Builder
	for range x.replies {
		reply, err := c.Reply()
		raw.WriteString(reply)
		if x.closed && (errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)) && reply == "" {
			break // It closed without an answer, which is an answer.
		}
		if err != nil {
			return show(raw.String()), err
		}
	}
	if x.closed {
		delete(s.conns, x.conn)
		rest, err := c.Closed()
		raw.WriteString(rest)
		if err != nil {
			return show(raw.String()), fmt.Errorf("the connection is not closed: %w", err)
		}
	}
	if raw.Len() == 0 {
		return nil, nil
	}
	if x.sorted {
		return show(sortArrays(raw.String())), nil
	}
	return show(raw.String()), nil
}

func clip(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "..."
	}
	return s
}
