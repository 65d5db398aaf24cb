package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // connections are lost all the time
	harness.Main(m)
}

// change is a message of a watch channel.
type change struct {
	Index uint64 `json:"index"`
	Event string `json:"event"`
	Key   string `json:"key"`
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// changes reads what a program has printed so far: a line for each message, and others that do not matter.
func changes(t *testing.T, out string) (list []change) {
	t.Helper()
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var c change
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			list = append(list, c)
		}
	}
	return list
}

// subscribers are the programs that people have. Each is given a port and a channel, prints messages a line each, and knows
// nothing of dtkv: after a lost connection it does no more than subscribe again.
var subscribers = []struct {
	name  string
	start func(t *testing.T, port, channel string) (printed func() string)
}{
	{"redis-cli", func(t *testing.T, port, channel string) func() string {
		harness.NeedRedis(t)
		return run(t, "", "sh", "-c", `while :; do redis-cli -p "$0" SUBSCRIBE "$1"; sleep 0.05; done`, port, channel)
	}},
	{"redis-cli RESP3", func(t *testing.T, port, channel string) func() string {
		harness.NeedRedis(t)
		return run(t, "", "sh", "-c", `while :; do redis-cli -3 -p "$0" SUBSCRIBE "$1"; sleep 0.05; done`, port, channel)
	}},
	{"python3-redis", func(t *testing.T, port, channel string) func() string {
		harness.Need(t, harness.Python)
		if out, err := harness.TryOutput("", "", harness.Python, "-c", "import redis"); err != nil {
			harness.NotRun(t, "needs python3-redis: "+strings.TrimSpace(out))
		}
		return run(t, "", harness.Python, "-u", "subscriber.py", port, channel)
	}},
	{"ioredis", func(t *testing.T, port, channel string) func() string {
		dir := harness.NeedNode(t)
		program, err := filepath.Abs("subscriber.mjs")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		return run(t, dir, "node", "--input-type=module", "-e", string(text), port, channel)
	}},
	{"go-redis RESP2", goRedis(2)},
	{"go-redis RESP3", goRedis(3)},
}

func run(t *testing.T, dir, name string, args ...string) func() string {
	t.Helper()
	return harness.Run(t, dir, nil, name, args...).Log
}

// goRedis is the subscriber of an ordinary Go program.
func goRedis(protocol int) func(t *testing.T, port, channel string) func() string {
	return func(t *testing.T, port, channel string) func() string {
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, Protocol: protocol})
		s := c.Subscribe(t.Context(), channel)
		t.Cleanup(func() { _, _ = s.Close(), c.Close() })
		var mu sync.Mutex
		var out strings.Builder
		go func() {
			for m := range s.Channel() {
				mu.Lock()
				fmt.Fprintln(&out, m.Payload)
				mu.Unlock()
			}
		}()
		return func() string {
			mu.Lock()
			defer mu.Unlock()
			return out.String()
		}
	}
}

// silent drops what go-redis says of lost connections.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Each subscriber sees the state, then every change, and however the server is restarted it ends with the last state.
func TestOrdinarySubscribersSeeTheStateAndItsChanges(t *testing.T) {
	for _, sub := range subscribers {
		t.Run(sub.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			c := harness.Dial(t, s.Addr)
			c.Want(t, "+OK\r\n", "SET", "k", "before")
			printed := sub.start(t, harness.SplitPort(t, s.Addr), "__watch@0__:k")
			see := func(event, value string) {
				t.Helper()
				harness.Eventually(t, event+" "+value, func() bool {
					list := changes(t, printed())
					if len(list) == 0 {
						return false
					}
					last := list[len(list)-1]
					return last.Value == value && (event == "" || last.Event == event)
				})
			}
			see("state", "before")
			for i := range 10 {
				c.Want(t, "+OK\r\n", "SET", "k", fmt.Sprint(i))
				see("set", fmt.Sprint(i))
			}
			for round := range 3 {
				if round == 1 {
					s.Kill()
				} else {
					s.Stop(t)
				}
				s = s.Restart(t)
				c = harness.Dial(t, s.Addr)
				final := fmt.Sprint("final ", round)
				c.Want(t, "+OK\r\n", "SET", "k", final) // before it is back, or after
				see("", final)
			}
			c.Want(t, ":1\r\n", "DEL", "k")
			see("del", "")
			list := changes(t, printed())
			for i := 1; i < len(list); i++ {
				if list[i].Index < list[i-1].Index || list[i].Index == list[i-1].Index && list[i].Event != "state" {
					t.Errorf("index %d comes after %d", list[i].Index, list[i-1].Index)
				}
			}
		})
	}
}
