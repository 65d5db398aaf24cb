package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func message(channel, payload string) string {
	return fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(payload), payload)
}

// subscribed makes a subscriber of RESP2.
func subscribed(t *testing.T, s *Server, channels ...string) *client {
	t.Helper()
	c := dial(t, s)
	c.send("SUBSCRIBE " + strings.Join(channels, " "))
	for i, channel := range channels {
		c.want(fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n", len(channel), channel, i+1))
	}
	return c
}

func TestMessagesAndRepliesHaveOneOrder(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c, p := subscribed(t, s, "news"), dial(t, s)
	for i := range 500 {
		p.send(fmt.Sprintf("PUBLISH news %d", i))
		p.want(":1\r\n")
		c.send("PING x")
		c.want(message("news", fmt.Sprint(i)) + "*2\r\n$4\r\npong\r\n$1\r\nx\r\n")
	}
}

func TestAWatchBeginsWithTheState(t *testing.T) {
	s, g := startTestServer(t, nil)
	talk(t, s, "SET k 1")
	g.mu.Lock()
	index := g.machine.View().Index()
	g.mu.Unlock()
	c := subscribed(t, s, "__watch@0__:k")
	c.want(message("__watch@0__:k", fmt.Sprintf(`{"index":%d,"event":"state","key":"k","kind":"value","value":"1"}`, index)))
	talk(t, s, "SET k 2")
	c.want(message("__watch@0__:k", fmt.Sprintf(`{"index":%d,"event":"set","key":"k","kind":"value","value":"2"}`, index+1)))
	c.send("QUIT")
	c.wantEnd("+OK\r\n")
	eventually(t, "nobody is subscribed", func() bool { return s.hub.Stats().Subscribers == 0 })
}

func TestSubscribersAreNotIdle(t *testing.T) {
	s, _ := startTestServer(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	c := subscribed(t, s, "a")
	idle := dial(t, s)
	if _, err := io.ReadAll(idle); err != nil { // until it is disconnected
		t.Fatal(err)
	}
	if got := talk(t, s, "PUBLISH a x"); got != ":1\r\n" {
		t.Errorf("PUBLISH: %q", got)
	}
	c.want(message("a", "x"))
}

func TestClientListShowsSubscribers(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := subscribed(t, s, "a", "b")
	c.send("PSUBSCRIBE x*", "SSUBSCRIBE s")
	c.want("*3\r\n$10\r\npsubscribe\r\n$2\r\nx*\r\n:3\r\n*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n")
	got := talk(t, s, "CLIENT LIST TYPE pubsub", "CLIENT KILL TYPE pubsub")
	if !strings.Contains(got, " flags=P ") || !strings.Contains(got, " sub=2 psub=1 ssub=1 ") || !strings.HasSuffix(got, ":1\r\n") {
		t.Errorf("got %q", got)
	}
	c.wantEnd("")
}

func TestAStopEndsSubscribers(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := subscribed(t, s, "a")
	s.stopClients()
	c.wantEnd("")
}

func TestASubscriberThatDoesNotReadDoesNotHoldUpAStop(t *testing.T) {
	var log lockedBuffer
	s, _ := startTestServer(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	subscribed(t, s, "a")
	payload := make([]byte, 1<<20)
	for range 16 { // more than the sockets hold
		s.hub.Publish("a", payload)
	}
	s.stopClients()
	if strings.Contains(log.String(), "cut off") {
		t.Errorf("it was waited for:\n%s", &log)
	}
}

// A subscriber that does not read is closed with the reason, when more than its share waits for it. It holds nobody up.
func TestASubscriberThatDoesNotReadIsClosed(t *testing.T) {
	s, _ := startTestServer(t, func(c *Config) { c.PubSubOutput = 1 << 20 })
	deaf, good := subscribed(t, s, "a"), subscribed(t, s, "a")
	p := dial(t, s)
	payload := strings.Repeat("x", 32<<10)
	receivers := ":2\r\n"
	for i := 0; receivers == ":2\r\n"; i++ {
		if i == 10_000 {
			t.Fatal("it was given 320 MB")
		}
		p.send("PUBLISH a " + payload)
		got := make([]byte, 4)
		if _, err := io.ReadFull(p, got); err != nil {
			t.Fatal(err)
		}
		receivers = string(got)
		good.want(message("a", payload))
		if s.hub.Stats().TooSlow > 0 {
			break
		}
	}
	rest, err := io.ReadAll(deaf)
	if err != nil || !strings.HasSuffix(string(rest), "-ERR subscriber is too slow: its output buffer is full\r\n") {
		t.Errorf("it ended with %.200q, %v", rest[max(0, len(rest)-200):], err)
	}
}

func TestAFloodLeavesAnEarForTheSubscriber(t *testing.T) {
	s, _ := startTestServer(t, nil)
	c := subscribed(t, s, "a")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				s.hub.Publish("a", []byte("flood"))
			}
		}
	}()
	c.send("UNSUBSCRIBE", "PING")
	var end strings.Builder
	buf := make([]byte, 64<<10)
	for !strings.HasSuffix(end.String(), "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+PONG\r\n") {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		tail := end.String() + string(buf[:n])
		end.Reset()
		end.WriteString(tail[max(0, len(tail)-200):])
	}
	close(stop)
	<-done
}

func TestParametersOfSubscribersAreLive(t *testing.T) {
	s, _ := startTestServer(t, nil)
	get := func(name string) string {
		t.Helper()
		lines := strings.Split(talk(t, s, "CONFIG GET "+name), "\r\n")
		return lines[4]
	}
	tests := []struct{ set, get, want string }{
		{"notify-keyspace-events KEA", "notify-keyspace-events", "AKE"},
		{"notify-keyspace-events Exg$", "notify-keyspace-events", "g$xE"},
		{`client-output-buffer-limit "pubsub 2mb 1mb 60"`, "client-output-buffer-limit-pubsub", "2097152"},
		{`client-output-buffer-limit "normal 0 0 0 pubsub 4mb 0 0"`, "client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 4194304 0 0"},
		{"client-output-buffer-limit-pubsub 3MiB", "client-output-buffer-limit-pubsub", "3145728"},
	}
	for _, test := range tests {
		if got := talk(t, s, "CONFIG SET "+test.set); got != "+OK\r\n" {
			t.Errorf("%s: %q", test.set, got)
		}
		if got := get(test.get); got != test.want {
			t.Errorf("%s: %s is %q", test.set, test.get, got)
		}
	}
	for _, bad := range []string{
		"notify-keyspace-events Q", `client-output-buffer-limit "pubsub 1"`, `client-output-buffer-limit "pubsub x 0 0"`,
		`client-output-buffer-limit "pubsub 0 0 0"`, `client-output-buffer-limit "nobody 1mb 0 0"`, "client-output-buffer-limit-pubsub 1",
	} {
		if got := talk(t, s, "CONFIG SET "+bad); !strings.HasPrefix(got, "-ERR CONFIG SET failed (possibly related to argument '") {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
