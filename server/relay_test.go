package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtkv/dtkv/replica"
)

// Wherever a database lives, the replies are the same, whether commands come in one piece or one by one.
func TestADatabaseIsServedWhereverItLives(t *testing.T) {
	tests := []struct {
		name  string
		sent  []string
		reply []string
	}{
		{
			"there, back, and there again",
			[]string{"SET k zero", "SELECT 3", "GET k", "SET k three", "GET k", "SELECT 0", "GET k", "SELECT 3", "GET k", "DEL k"},
			[]string{"+OK", "+OK", "$-1", "+OK", "$5", "three", "+OK", "$4", "zero", "+OK", "$5", "three", ":1"},
		},
		{"the same one again", []string{"SELECT 3", "SELECT 3", "GET k"}, []string{"+OK", "+OK", "$-1"}},
		{
			"one that there is not",
			[]string{"SELECT 3", "SET k v", "SELECT 9", "GET k", "DEL k", "SELECT -1", "SELECT 256"},
			[]string{"+OK", "+OK", "-ERR DB index is out of range", "$1", "v", ":1", "-ERR DB index is out of range", "-ERR DB index is out of range"},
		},
		{"from one that lives elsewhere to another one", []string{"SELECT 3", "SET k v", "SELECT 4", "GET k", "SELECT 3", "DEL k"}, []string{"+OK", "+OK", "+OK", "$-1", "+OK", ":1"}},
		{
			"a transaction",
			[]string{"SELECT 3", "WATCH k", "MULTI", "SET k v", "GET k", "EXEC", "DEL k"},
			[]string{"+OK", "+OK", "+OK", "+QUEUED", "+QUEUED", "*2", "+OK", "$1", "v", ":1"},
		},
		{
			"no transaction over two",
			[]string{"MULTI", "SELECT 3", "EXEC", "MULTI", "SELECT 0", "EXEC", "SELECT 3", "MULTI", "SELECT 0", "DISCARD"},
			[]string{
				"+OK", "-" + errSelectInMulti.Error(), "-EXECABORT Transaction discarded because of previous errors.",
				"+OK", "+QUEUED", "*1", "+OK", "+OK", "+OK", "-" + errSelectInMulti.Error(), "+OK",
			},
		},
		{
			"no watch over two",
			[]string{"WATCH k", "SELECT 3", "SELECT 0", "UNWATCH", "SELECT 3", "WATCH k", "SELECT 0", "UNWATCH", "SELECT 0"},
			[]string{"+OK", "-" + errSelectWatching.Error(), "+OK", "+OK", "+OK", "+OK", "-" + errSelectWatching.Error(), "+OK", "+OK"},
		},
		{
			"a session keeps what it is",
			[]string{"CLIENT SETNAME me", "DTKV.OWNER me", "PUTALL", "SELECT 3", "CLIENT GETNAME", "DTKV.PUTTEMP t 60000 v", "SELECT 0", "CLIENT GETNAME", "SELECT 3", "DTKV.REMOVE t OWNER me", "CLIENT SETNAME you", "SELECT 0", "CLIENT GETNAME"},
			[]string{"+OK", "+OK", "-ERR unknown command 'PUTALL', with args beginning with: ", "+OK", "$2", "me", "+OK", "+OK", "$2", "me", "+OK", ":1", "+OK", "+OK", "$3", "you"},
		},
		{
			"replies that are not wanted",
			[]string{"SELECT 3", "CLIENT REPLY OFF", "SET k v", "SELECT 0", "SET z v", "SELECT 3", "CLIENT REPLY ON", "GET k", "DEL k", "CLIENT REPLY SKIP", "SELECT 0", "DEL z"},
			[]string{"+OK", "+OK", "$1", "v", ":1", ":1"},
		},
		{"RESET goes home", []string{"CLIENT SETNAME me", "SELECT 3", "RESET", "CLIENT GETNAME", "SET k home", "GET k", "DEL k"}, []string{"+OK", "+OK", "+RESET", "$-1", "+OK", "$4", "home", ":1"}},
		{
			"the end of somebody else's node",
			[]string{"SELECT 3", "SHUTDOWN", "PING"},
			[]string{"+OK", "-ERR database 3 is served by another node, which would stop; SELECT 0 first", "+PONG"},
		},
		{"QUIT", []string{"SELECT 3", "PING", "QUIT", "PING"}, []string{"+OK", "+PONG", "+OK"}},
		{"what is no command", []string{"SELECT 3", "*1", "x"}, []string{"+OK", "-ERR Protocol error: expected '$', got 'x'"}},
		{"the last words of a client that has nothing more to say", []string{"SELECT 3", "PING"}, []string{"+OK", "+PONG"}},
	}
	twins := startTwins(t, 3, map[int][]string{3: {"n2"}, 4: {"n3"}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := crlf(test.reply...)
			if got := talk(t, twins[0].Server, test.sent...); got != want {
				t.Errorf("in one piece: got\n%qwant\n%q", got, want)
			}
			talk(t, twins[0].Server, "FLUSHALL")
			c := dial(t, twins[0].Server)
			go func() {
				for _, line := range test.sent {
					fmt.Fprint(c, line+"\r\n")
					time.Sleep(time.Millisecond) // the more, the more pieces
				}
				c.CloseWriteNow()
			}()
			if got, err := io.ReadAll(c); string(got) != want {
				t.Errorf("one by one: got\n%q (%v) want\n%q", got, err, want)
			}
			talk(t, twins[0].Server, "FLUSHALL")
		})
	}
	for _, w := range twins {
		eventually(t, "all clients to be gone", func() bool { _, _, _, n := w.clients.totals(); return n == 0 })
	}
}

// Much goes both ways at once, and turns around in the midst of it.
func TestMuchIsRelayed(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	value := strings.Repeat("v", 300_000) // several frames
	var sent, want bytes.Buffer
	for i := range 16 {
		fmt.Fprintf(&sent, "SELECT %d\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", i%2*3, len(value), value)
		fmt.Fprint(&want, "+OK\r\n+OK\r\n")
		for range 3 {
			fmt.Fprint(&sent, "GET k\r\n")
			fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(value), value)
		}
	}
	c := dial(t, twins[0].Server)
	c.SetDeadline(time.Now().Add(6 * patience))
	go func() {
		_, _ = sent.WriteTo(c)
		c.CloseWriteNow()
	}()
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes came back (%v), want %d", len(got), err, want.Len())
	}
}

// When the node that serves the database is lost, whoever waits for an answer is told once that nobody knows.
func TestALostHolderLeavesOneDoubt(t *testing.T) {
	const doubt = "-INDOUBT the node that served database 3 is lost; what was sent there may or may not have been run\r\n"
	t.Run("a command is unanswered", func(t *testing.T) {
		twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
		c := dial(t, twins[0].Server)
		c.send("SELECT 3", "SET k v")
		c.want("+OK\r\n+OK\r\n")
		g := twins[1].held[3]
		g.mu.Lock()
		g.hold = make(chan struct{})
		g.mu.Unlock()
		c.send("SET k w", "SET k x", "GET k")
		<-g.entered
		twins[1].lose()
		c.wantEnd(doubt)
		close(g.hold)
	})
	t.Run("a lock is waited for", func(t *testing.T) {
		twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
		c := dial(t, twins[0].Server)
		other := dial(t, twins[1].Server)
		other.send("SELECT 3", "DTKV.LOCK l 60000")
		other.want("+OK\r\n:1\r\n")
		c.send("SELECT 3", "DTKV.LOCK l 60000 WAIT 60000")
		c.want("+OK\r\n")
		eventually(t, "it to wait", func() bool { return twins[1].hub.Stats().Parked == 1 })
		twins[1].lose()
		c.wantEnd(doubt)
	})
	t.Run("all is answered", func(t *testing.T) {
		twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
		c := dial(t, twins[0].Server)
		c.send("SELECT 3", "SET k v")
		c.want("+OK\r\n+OK\r\n")
		twins[1].lose()
		c.wantEnd("")
	})
}

// A node that stands still is as good as lost, after a while.
func TestASilentHolderIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Default()
		cfg.Logger = quiet
		s, _ := newTestServer(cfg)
		defer s.hub.Close()
		here, client := net.Pipe()
		there, far := net.Pipe()
		c := newConn(s, here)
		s.clients.add(c, 1)
		c.outlet = newOutlet(there)
		c.settings.Database = 3
		go func() {
			c.beginUnit()
			c.rest()
			c.close()
		}()
		go func() {
			for range 3 {
				time.Sleep(aliveEvery)
				_, _ = far.Write([]byte{frameAlive, frameHeader - 1: 0})
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		began := time.Now()
		_, _ = client.Write([]byte("GET k\r\n"))
		got, _ := io.ReadAll(client)
		if !strings.HasPrefix(string(got), "-INDOUBT ") || strings.Count(string(got), "\r\n") != 1 {
			t.Errorf("the client reads %q", got)
		}
		if took := time.Since(began); took != 3*aliveEvery+alivePatience {
			t.Errorf("it took %v", took)
		}
	})
}

func TestADatabaseThatNobodyServes(t *testing.T) {
	t.Parallel() // it waits in vain for a while
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}, 4: {}})
	twins[1].lose()
	got := talk(t, twins[0].Server, "SET k v", "SELECT 3", "GET k", "SELECT 4", "GET k")
	for i, prefix := range []string{"+OK", "-CLUSTERDOWN no node that holds database 3 serves it", "$1", "v", "-CLUSTERDOWN", "$1", "v"} {
		line, rest, _ := strings.Cut(got, "\r\n")
		if !strings.HasPrefix(line, prefix) {
			t.Errorf("line %d is %q, want %q", i, line, prefix)
		}
		got = rest
	}
}

// A session that came from a database elsewhere stays there when the one it wants cannot be had.
func TestARelayedSessionStaysWhereItIs(t *testing.T) {
	t.Parallel() // it waits in vain for a while
	twins := startTwins(t, 3, map[int][]string{3: {"n2"}, 4: {"n3"}})
	twins[2].lose()
	got := talk(t, twins[0].Server, "SELECT 3", "SET k v", "SELECT 4", "GET k")
	before, after, _ := strings.Cut(got, "-CLUSTERDOWN ")
	if _, after, _ = strings.Cut(after, "\r\n"); before != "+OK\r\n+OK\r\n" || after != "$1\r\nv\r\n" {
		t.Errorf("got %q", got)
	}
}

// Another holder takes over from one that stops, and the client does not notice.
func TestAHolderThatStopsHandsItsSessionsBack(t *testing.T) {
	twins := startTwins(t, 3, map[int][]string{3: {"n2", "n3"}})
	c := dial(t, twins[0].Server)
	c.send("CLIENT SETNAME me", "SELECT 3", "CLIENT GETNAME")
	c.want("+OK\r\n+OK\r\n$2\r\nme\r\n")
	first := twins[1]
	if _, _, _, n := first.clients.totals(); n == 0 {
		first = twins[2]
	}
	first.stopClients()
	c.send("SET k v", "CLIENT GETNAME", "GET k")
	c.want("+OK\r\n$2\r\nme\r\n$1\r\nv\r\n")

	c.send("WATCH k") // and this cannot be moved along
	c.want("+OK\r\n")
	for _, w := range twins[1:] {
		if w != first {
			w.stopClients()
		}
	}
	c.wantEnd("")
}

// A client of a relayed connection that waits for a lock dies; its place is free at once.
func TestADeadClientBehindARelayLeavesItsQueue(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	holder, dead, next := dial(t, twins[1].Server), dial(t, twins[0].Server), dial(t, twins[0].Server)
	holder.send("SELECT 3", "DTKV.LOCK l 60000")
	holder.want("+OK\r\n:1\r\n")
	for i, c := range []*client{dead, next} {
		c.send("SELECT 3", "DTKV.LOCK l 60000 WAIT 60000")
		c.want("+OK\r\n")
		eventually(t, "it to wait", func() bool { return twins[1].hub.Stats().Parked == i+1 })
	}
	dead.Close()
	eventually(t, "it to leave", func() bool { return twins[1].hub.Stats().Parked == 1 })
	holder.send("DTKV.UNLOCK l")
	holder.want(":1\r\n")
	next.want(":2\r\n")
}

func TestSubscribersOfADatabaseElsewhere(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	c := dial(t, twins[0].Server)
	c.send("HELLO 3", "SUBSCRIBE __keyspace@3__:k", "PSUBSCRIBE __keyspace@3__:*", "SUBSCRIBE __keyspace@7__:k", "UNSUBSCRIBE")
	if _, err := io.ReadFull(c, make([]byte, len("%7\r\n"))); err != nil {
		t.Fatal(err)
	}
	skip(t, c, "*0\r\n")
	refusal := "-ERR " + errElsewhere.Error() + "\r\n"
	c.want(refusal + refusal)
	c.want(">3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@7__:k\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$16\r\n__keyspace@7__:k\r\n:0\r\n")

	c.send("SELECT 3", "SUBSCRIBE __keyspace@3__:k")
	c.want("+OK\r\n>3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@3__:k\r\n:1\r\n")
	talk(t, twins[1].Server, "SELECT 3", "SET k v")
	c.want(">3\r\n$7\r\nmessage\r\n$16\r\n__keyspace@3__:k\r\n$3\r\nset\r\n")
	c.send("SELECT 0", "PING", "SELECT 3") // the other node has this one, too
	c.want("+OK\r\n+PONG\r\n+OK\r\n")
	c.send("RESET")
	c.want("+RESET\r\n")
}

// skip reads up to the end of a reply that ends so.
func skip(t *testing.T, c *client, end string) {
	t.Helper()
	var seen []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(seen), end); seen = append(seen, b[0]) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("after %q: %v", seen, err)
		}
	}
}

// A subscriber cannot go where its subscriptions cannot.
func TestASubscriberStaysWhereItIs(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	c := dial(t, twins[0].Server)
	c.send("HELLO 3", "SUBSCRIBE news", "SELECT 3", "UNSUBSCRIBE", "SELECT 3", "PING")
	skip(t, c, "news\r\n:1\r\n")
	c.want("-" + errSelectSubscribe.Error() + "\r\n>3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n+OK\r\n+PONG\r\n")
}

// What is seen of relayed clients: at the one node the client's address, at both the database; and either can end them.
func TestRelayedClientsCanBeSeenAndKilled(t *testing.T) {
	for _, at := range []int{0, 1} {
		twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
		c := dial(t, twins[0].Server)
		c.send("SELECT 3", "PING")
		c.want("+OK\r\n+PONG\r\n")
		list := talk(t, twins[at].Server, "CLIENT LIST")
		if !strings.Contains(list, "addr="+c.LocalAddr().String()) || !strings.Contains(list, " db=3 ") {
			t.Errorf("node %d lists %q", at+1, list)
		}
		if got := talk(t, twins[at].Server, "CLIENT KILL ADDR "+c.LocalAddr().String()); got != ":1\r\n" {
			t.Errorf("the kill: %q", got)
		}
		c.wantEnd("")
	}
}

func TestANodeThatStopsLetsRelayedClientsGo(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	idle, waiting := dial(t, twins[0].Server), dial(t, twins[0].Server)
	idle.send("SELECT 3", "SET k v", "DTKV.LOCK l 60000")
	idle.want("+OK\r\n+OK\r\n:1\r\n")
	waiting.send("SELECT 3", "DTKV.LOCK l 60000 WAIT 60000")
	waiting.want("+OK\r\n")
	eventually(t, "it to wait", func() bool { return twins[1].hub.Stats().Parked == 1 })
	began := time.Now()
	twins[0].stopClients()
	if took := time.Since(began); took > drainTime/2 {
		t.Errorf("the stop took %v", took)
	}
	idle.wantEnd("")
	if got, _ := io.ReadAll(waiting); !strings.HasPrefix(string(got), "-INDOUBT ") {
		t.Errorf("who waits for a lock reads %q", got)
	}
}

func TestReadOnlyIsRelayed(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}})
	c := dial(t, twins[0].Server)
	c.send("READONLY", "SELECT 3", "SET k v", "GET k")
	c.want("+OK\r\n+OK\r\n+OK\r\n$1\r\nv\r\n")
	twins[1].held[3].setFail(replica.ErrNoLeader)
	c.send("GET k", "SELECT 0", "READWRITE", "SELECT 3", "GET k")
	c.want("$1\r\nv\r\n+OK\r\n+OK\r\n+OK\r\n-CLUSTERDOWN no leader is known; the command was not run\r\n")
}

func TestInfoAndFlushReachAllDatabases(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}, 4: {"n1"}, 9: {"n1", "n2"}})
	for _, db := range []int{0, 3, 4} {
		talk(t, twins[0].Server, fmt.Sprintf("SELECT %d", db), fmt.Sprintf("SET k%d v", db), "SETEX e 1000 v")
	}
	const keys = "# Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=0\r\ndb3:keys=2,expires=1,avg_ttl=0\r\ndb4:keys=2,expires=1,avg_ttl=0\r\n"
	if got := talk(t, twins[0].Server, "INFO keyspace"); !strings.Contains(got, keys) {
		t.Errorf("got %q", got)
	}
	if got := talk(t, twins[0].Server, "CONFIG GET databases"); !strings.Contains(got, "\r\n10\r\n") {
		t.Errorf("databases: %q", got)
	}
	if got := talk(t, twins[0].Server, "MULTI", "FLUSHALL", "EXEC"); !strings.Contains(got, errFlushAllInMulti.Error()) {
		t.Errorf("in a transaction: %q", got)
	}
	twins[0].held[4].setFail(replica.ErrNoLeader)
	got := talk(t, twins[0].Server, "FLUSHALL")
	if !strings.HasPrefix(got, "-INDOUBT 1 of 4 databases may not be empty, the others are; of database 4: CLUSTERDOWN ") {
		t.Errorf("with one that has no leader: %q", got)
	}
	twins[0].held[4].setFail(nil)
	if got := talk(t, twins[0].Server, "FLUSHALL", "INFO keyspace"); !strings.HasPrefix(got, "+OK\r\n") || strings.Contains(got, "db") {
		t.Errorf("got %q", got)
	}
}

func TestFlushAllThatDidNothingSaysSo(t *testing.T) {
	twins := startTwins(t, 1, map[int][]string{4: {"n1"}})
	for _, db := range []int{0, 4} {
		twins[0].held[db].setFail(replica.ErrNoLeader)
	}
	if got := talk(t, twins[0].Server, "FLUSHALL"); got != "-CLUSTERDOWN no leader is known; the command was not run\r\n" {
		t.Errorf("got %q", got)
	}
}

// A stream that is no session is told so.
func TestGreetingsThatAreNone(t *testing.T) {
	twins := startTwins(t, 1, map[int][]string{3: {"n1"}})
	twins[0].live.maxClients.Store(0)
	for _, test := range []struct{ line, verdict string }{
		{"{}\n", "it has too many clients\n"},
		{"hello\n", "no greeting: "},
		{strings.Repeat("x", greetingMax+1), "no greeting: it is too long\n"},
	} {
		sock, err := twins[0].Dial(t.Context(), "n1", useClient, 3)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(sock, test.line)
		got, _ := io.ReadAll(sock)
		if !strings.HasPrefix(string(got), test.verdict) {
			t.Errorf("%.20q: %q, want %q", test.line, got, test.verdict)
		}
	}
}

// Frames that make no sense break the stream, and cost no memory.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{frameReplies, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'x'})
	f.Add([]byte{frameReplies, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		here, far := net.Pipe()
		defer here.Close()
		go func() {
			_, _ = far.Write(data)
			far.Close()
		}()
		o := newOutlet(here)
		for {
			_, body, err := o.next()
			if len(body) > frameMax || cap(o.buf) > frameMax {
				t.Fatalf("%d bytes", len(body))
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					t.Fatal("an end that was not announced")
				}
				return
			}
		}
	})
}
