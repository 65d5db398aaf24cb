package clients

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

var server = flag.String("server", "", "address of a server to use instead of a dtkv started for the test")

func TestMain(m *testing.M) { harness.Main(m) }

// start returns the port of a fresh dtkv. When the test ends, the server must still run and have nothing to complain of.
func start(t *testing.T) (port string) {
	t.Helper()
	if *server != "" {
		return harness.SplitPort(t, *server)
	}
	s := harness.Start(t, harness.Options{})
	t.Cleanup(func() {
		if !s.Alive() {
			t.Error("the server has ended")
		}
		for line := range strings.Lines(s.Log()) {
			if complaint.MatchString(line) && !(harness.ThroughFollower() && strings.Contains(line, election)) {
				t.Errorf("the server complains: %s", line)
			}
		}
	})
	return harness.SplitPort(t, s.Addr)
}

// complaint finds lines of the log, JSON or text, above the level of information.
var complaint = regexp.MustCompile(`(?i)\b(level"?[=:]"?(warn|error))|panic|goroutine \d`)

// election marks what Raft says of nodes that come, go and take over from each other: a cluster is not silent as it starts.
const election = `"component":"raft"`

func TestNodeRedis(t *testing.T) {
	dir := harness.NeedNode(t)
	wantOK(t, harness.Output(t, dir, "", "node", "node-redis.mjs", start(t)))
}

func TestIoredis(t *testing.T) {
	dir := harness.NeedNode(t)
	wantOK(t, harness.Output(t, dir, "", "node", "ioredis.mjs", start(t)))
}

func TestPythonRedis(t *testing.T) {
	harness.Need(t, harness.Python)
	if out, err := harness.TryOutput("", "", harness.Python, "-c", "import redis"); err != nil {
		harness.NotRun(t, "needs python3-redis: "+strings.TrimSpace(out))
	}
	wantOK(t, harness.Output(t, "", "", harness.Python, "python3_redis.py", start(t)))
}

func wantOK(t *testing.T, out string) {
	t.Helper()
	if out != "ok\n" {
		t.Errorf("the client printed more than ok:\n%s", out)
	}
}

// clientLog is where go-redis prints what goes wrong behind an application's back.
type clientLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *clientLog) Printf(_ context.Context, format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
}

func TestGoRedis(t *testing.T) {
	port := start(t)
	log := &clientLog{}
	redis.SetLogger(log)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	set, err := c.Set(ctx, "go:a", "1", 0).Result()
	check("SET", set, "OK", err)
	get, err := c.Get(ctx, "go:a").Result()
	check("GET", get, "1", err)
	if _, err := c.Get(ctx, "go:none").Result(); err != redis.Nil {
		t.Errorf("GET of a missing key: %v", err)
	}
	mset, err := c.MSet(ctx, "go:b", "2", "go:c", "3").Result()
	check("MSET", mset, "OK", err)
	mget, err := c.MGet(ctx, "go:a", "go:none", "go:c").Result()
	check("MGET", mget, []any{"1", nil, "3"}, err)
	n, err := c.IncrBy(ctx, "go:a", 41).Result()
	check("INCRBY", n, 42, err)
	cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "go:d", "x", 0)
		p.Get(ctx, "go:d")
		p.Incr(ctx, "go:a")
		return nil
	})
	check("MULTI", len(cmds), 3, err)
	check("INCR in MULTI", cmds[2].(*redis.IntCmd).Val(), 43, cmds[2].Err())
	err = c.Watch(ctx, func(tx *redis.Tx) error {
		c.Set(ctx, "go:a", "changed", 0)
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "go:a", "mine", 0).Err() })
		return err
	}, "go:a")
	if err != redis.TxFailedErr {
		t.Errorf("EXEC after a change of a watched key: %v", err)
	}
	if keys, err := c.Keys(ctx, "go:*").Result(); err != nil || !slices.Contains(keys, "go:d") {
		t.Errorf("KEYS: %v, %v", keys, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if len(log.lines) > 0 {
		t.Errorf("go-redis complains:\n%s", strings.Join(log.lines, "\n"))
	}
}
