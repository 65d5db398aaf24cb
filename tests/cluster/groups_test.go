package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dtkv/dtkv/tests/harness"
)

// in connects to a node and turns to a database.
func in(t *testing.T, s *harness.Server, db int) *harness.Conn {
	t.Helper()
	conn := harness.Dial(t, s.Addr)
	conn.Want(t, "+OK\r\n", "SELECT", digits(db))
	return conn
}

// client is go-redis as applications use it, in a database.
func client(t *testing.T, s *harness.Server, db int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, DB: db, ReadTimeout: harness.Patience, DialTimeout: harness.Patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// directories are those of the groups that a node has on disk.
func directories(t *testing.T, s *harness.Server) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.DataDir, "groups"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// groups waits until all nodes list those databases, all well.
func groups(c *harness.Cluster, want ...int) {
	c.Eventually(fmt.Sprintf("the groups %v", want), func() bool {
		for _, s := range c.Running() {
			conn, err := harness.Connect(s.Addr)
			if err != nil {
				return false
			}
			reply, err := conn.Do("DTKV.GROUP", "LIST")
			conn.Close()
			if err != nil || !strings.HasPrefix(reply, fmt.Sprintf("*%d\r\n", len(want))) ||
				strings.Count(reply, "\r\nstate\r\n$2\r\nok\r\n") != len(want) {
				return false
			}
			for _, id := range want {
				if !strings.Contains(reply, fmt.Sprintf("\r\nid\r\n:%d\r\n", id)) {
					return false
				}
			}
		}
		return true
	})
}

// Eight databases are added while the cluster works, through any node, and loaded side by side. They know nothing of each other.
// When they are removed, whoever is there is told, and nothing of them is left on any disk.
func TestGroupsComeAndGo(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	const added = 8
	all := []int{0}
	for db := 1; db <= added; db++ {
		want(t, c.Servers[db%3], "+OK\r\n", "DTKV.GROUP", "ADD", digits(db))
		all = append(all, db)
		in(t, c.Servers[(db+1)%3], db).Want(t, "+OK\r\n", "SET", "first", "v") // known wherever, as soon as it is there
	}
	refused(t, c.Servers[0], "exists already", "DTKV.GROUP", "ADD", "1")
	refused(t, c.Servers[0], "DB index is out of range", "SELECT", "9")
	groups(c, all...)

	const keys = 200
	value := strings.Repeat("v", 4<<10)
	var loading sync.WaitGroup
	for db := 1; db <= added; db++ {
		conn := client(t, c.Servers[db%3], db)
		loading.Go(func() {
			pipe := conn.Pipeline()
			for i := range keys {
				pipe.Set(context.Background(), fmt.Sprintf("k%d", i), value, 0)
			}
			pipe.Set(context.Background(), "db", db, 0)
			if _, err := pipe.Exec(context.Background()); err != nil {
				t.Errorf("load database %d: %v", db, err)
			}
		})
	}
	loading.Wait()
	for i, s := range c.Servers {
		info := harness.Dial(t, s.Addr).Must(t, "INFO", "keyspace")
		for db := 1; db <= added; db++ {
			if line := fmt.Sprintf("db%d:keys=%d,", db, keys+2); !strings.Contains(info, line) {
				t.Errorf("node %d counts %q, want %s", i+1, info, line)
			}
			in(t, s, db).Want(t, fmt.Sprintf("$1\r\n%d\r\n", db), "GET", "db")
		}
	}

	waiting, subscriber, queued := in(t, c.Servers[0], 1), harness.Dial(t, c.Servers[1].Addr), in(t, c.Servers[2], 1)
	in(t, c.Servers[1], 1).Must(t, "DTKV.LOCK", "l", "600000")
	send(t, waiting, "DTKV.LOCK", "l", "600000", "WAIT", "600000")
	subscriber.Must(t, "SUBSCRIBE", "__keyevent@1__:unlock")
	queued.Want(t, "+OK\r\n", "MULTI")
	c.Eventually("it to wait", func() bool {
		return strings.Contains(harness.Dial(t, c.Servers[0].Addr).Must(t, "INFO", "watch"), "watch_locks_waiting:1")
	})
	for db := 1; db <= added; db++ {
		want(t, c.Servers[db%3], "+OK\r\n", "DTKV.GROUP", "REMOVE", digits(db))
	}
	if reply, err := waiting.Reply(); err != nil || !strings.HasPrefix(reply, "-ERR DB index is out of range: database 1 was removed") {
		t.Errorf("who waits for a lock reads %q, %v", reply, err)
	}
	if reply, err := subscriber.Reply(); err != nil || !strings.HasPrefix(reply, "-ERR the database was removed") {
		t.Errorf("a subscriber reads %q, %v", reply, err)
	}
	if reply, err := queued.Do("EXEC"); err == nil && !strings.HasPrefix(reply, "-ERR DB index is out of range") {
		t.Errorf("a transaction reads %q", reply)
	}
	groups(c, 0)
	for _, s := range c.Servers {
		c.Eventually("the disk to be free", func() bool { return slices.Equal(directories(t, s), []string{"0"}) })
		refused(t, s, "DB index is out of range", "SELECT", "1")
	}
	want(t, c.Servers[1], "+OK\r\n", "DTKV.GROUP", "ADD", "1")
	in(t, c.Servers[0], 1).Want(t, ":0\r\n", "DBSIZE") // another one under that number
}

func send(t *testing.T, conn *harness.Conn, args ...string) {
	t.Helper()
	if err := conn.Send(harness.Command(args...)); err != nil {
		t.Fatal(err)
	}
}

// A database on three of five nodes is reached through all of them, with everything that a connection can do.
func TestAGroupOnThreeOfFiveNodes(t *testing.T) {
	c := harness.StartCluster(t, 5, harness.Options{})
	want(t, c.Servers[4], "+OK\r\n", "DTKV.GROUP", "ADD", "3", "n1", "n2", "n3")
	for i, s := range c.Servers {
		if held := len(directories(t, s)) == 2; held != (i < 3) {
			t.Errorf("node %d has the directories %v", i+1, directories(t, s))
		}
		t.Run(fmt.Sprintf("go-redis through n%d", i+1), func(t *testing.T) { useAll(t, client(t, s, 3), fmt.Sprintf("n%d", i+1)) })
	}
	t.Run("a lock and its waiters", func(t *testing.T) { lockThrough(t, c.Servers[3], c.Servers[4], c.Servers[0]) })
	t.Run("redis-cli", func(t *testing.T) {
		harness.Need(t, "redis-cli")
		for _, s := range c.Servers {
			port := harness.SplitPort(t, s.Addr)
			session := "SET cli v\nGET cli\nMULTI\nINCR count\nDEL count\nEXEC\nSELECT 0\nGET cli\nSELECT 3\nDEL cli\n"
			got := harness.Output(t, "", session, "redis-cli", "-p", port, "-n", "3")
			if strings.Join(strings.Fields(got), " ") != "OK v OK QUEUED QUEUED 1 1 OK OK 1" {
				t.Errorf("through %s: %q", s.Addr, got)
			}
		}
	})
	t.Run("FLUSHALL", func(t *testing.T) {
		in(t, c.Servers[4], 3).Want(t, "+OK\r\n", "SET", "k", "v")
		want(t, c.Servers[4], "+OK\r\n", "SET", "k", "v")
		if info := harness.Dial(t, c.Servers[4].Addr).Must(t, "INFO", "keyspace"); !strings.Contains(info, "\r\ndb3:keys=") {
			t.Errorf("a node that does not hold it counts %q", info)
		}
		want(t, c.Servers[4], "+OK\r\n", "FLUSHALL")
		in(t, c.Servers[0], 3).Want(t, ":0\r\n", "DBSIZE")
		want(t, c.Servers[0], ":0\r\n", "DBSIZE")
	})
	t.Run("it moves", func(t *testing.T) { moveGroup(t, c) })
	whole := t // the processes outlive their part of it
	t.Run("a holder stops", func(*testing.T) { stopHolder(whole, c) })
	t.Run("a holder is killed under load", func(t *testing.T) { killHolder(t, c) })
}

// useAll does through one client what clients do.
func useAll(t *testing.T, client *redis.Client, mark string) {
	ctx := t.Context()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ok("set", client.Set(ctx, mark, "v", 0).Err())
	if v, err := client.Get(ctx, mark).Result(); v != "v" || err != nil {
		t.Errorf("get: %q, %v", v, err)
	}
	sub := client.Subscribe(ctx, "__keyspace@3__:"+mark)
	defer sub.Close()
	_, err := sub.Receive(ctx)
	ok("subscribe", err)

	err = client.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, mark, "w", 0)
			return p.Get(ctx, mark).Err()
		})
		return err
	}, mark)
	ok("watch and multi", err)
	err = client.Watch(ctx, func(tx *redis.Tx) error {
		ok("another's change", client.Set(ctx, mark, "x", 0).Err())
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, mark, "y", 0).Err() })
		return err
	}, mark)
	if !errors.Is(err, redis.TxFailedErr) {
		t.Errorf("a watched key has changed: %v", err)
	}
	if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "set" {
		t.Errorf("a message: %v, %v", m, err)
	}

	const deep = 2000
	pipe := client.Pipeline()
	replies := make([]*redis.IntCmd, deep)
	for i := range replies {
		replies[i] = pipe.Incr(ctx, mark+"-count")
	}
	_, err = pipe.Exec(ctx)
	ok("pipeline", err)
	for i, r := range replies {
		if r.Val() != int64(i+1) {
			t.Fatalf("reply %d of the pipeline is %d", i+1, r.Val())
		}
	}
}

// lockThrough has waiters of a lock at three nodes: they are served in order, but the one that died.
func lockThrough(t *testing.T, a, b, d *harness.Server) {
	holder := in(t, a, 3)
	holder.Want(t, ":1\r\n", "DTKV.LOCK", "l", "600000")
	var waiters []*harness.Conn
	for i, s := range []*harness.Server{b, b, d} {
		w := in(t, s, 3)
		send(t, w, "DTKV.LOCK", "l", "600000", "WAIT", "600000")
		harness.Eventually(t, "it to wait", func() bool {
			return strings.Contains(holder.Must(t, "DTKV.LOCKINFO", "l"), fmt.Sprintf("waiters\r\n:%d\r\n", i+1))
		})
		waiters = append(waiters, w)
	}
	waiters[0].Close()
	harness.Eventually(t, "the dead one to leave", func() bool {
		return strings.Contains(holder.Must(t, "DTKV.LOCKINFO", "l"), "waiters\r\n:2\r\n")
	})
	holder.Want(t, ":1\r\n", "DTKV.UNLOCK", "l")
	for _, w := range waiters[1:] {
		if reply, err := w.Reply(); err != nil || reply[0] != ':' {
			t.Errorf("granted %q, %v", reply, err)
		}
		w.Want(t, ":1\r\n", "DTKV.UNLOCK", "l")
	}
}

// moveGroup gives the database to one more node, takes it from another one, and brings it back.
func moveGroup(t *testing.T, c *harness.Cluster) {
	far, near := c.Servers[4], c.Servers[0]
	at := in(t, near, 3)
	at.Want(t, "+OK\r\n", "SET", "moved", "v")
	in(t, far, 3).Want(t, "+OK\r\n", "DTKV.CLUSTER", "ADD", "n4")
	if len(directories(t, c.Servers[3])) != 2 {
		t.Errorf("n4 has the directories %v", directories(t, c.Servers[3]))
	}
	in(t, far, 3).Want(t, "+OK\r\n", "DTKV.CLUSTER", "REMOVE", "n1")
	c.Eventually("n1 to be without it", func() bool { return len(directories(t, near)) == 1 })
	if reply, err := at.Do("GET", "moved"); err == nil && !strings.HasPrefix(reply, "-CLUSTERDOWN") {
		t.Errorf("a connection to it reads %q", reply)
	}
	in(t, near, 3).Want(t, "$1\r\nv\r\n", "GET", "moved") // by way of others now
	in(t, far, 3).Want(t, "+OK\r\n", "DTKV.CLUSTER", "ADD", "n1", "-")
	in(t, far, 3).Want(t, "+OK\r\n", "DTKV.CLUSTER", "REMOVE", "n4")
	c.Eventually("n4 to be without it", func() bool { return len(directories(t, c.Servers[3])) == 1 })
	in(t, near, 3).Want(t, "$1\r\nv\r\n", "GET", "moved")
}

// stopHolder stops the holders in turn: clients that are relayed to them go on at another one.
func stopHolder(t *testing.T, c *harness.Cluster) {
	conns := make([]*harness.Conn, 6)
	for i := range conns {
		conns[i] = in(t, c.Servers[3], 3)
	}
	for i := range 3 {
		if code := c.Servers[i].Stop(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for n, conn := range conns {
			if reply, err := conn.Do("SET", "k", "v"); err != nil || reply != "+OK\r\n" {
				t.Errorf("after the stop of n%d, connection %d: %q, %v", i+1, n, reply, err)
				conns[n] = in(t, c.Servers[3], 3)
			}
		}
		c.Servers[i] = harness.Start(t, c.Servers[i].Options)
	}
}

// counter counts up through a node that does not hold the database, over a new connection whenever one ends.
type counter struct {
	key         string
	acked       int
	doubts      int // commands of which nobody knows
	reconnected int
	wrong       []string
}

func (k *counter) run(addr string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		k.connection(addr, stop)
		k.reconnected++
	}
}

// connection counts until the connection ends, and holds it to what one may say as it does.
func (k *counter) connection(addr string, stop <-chan struct{}) {
	conn, err := harness.Connect(addr)
	if err != nil {
		k.wrong = append(k.wrong, err.Error())
		return
	}
	defer conn.Close()
	if reply, err := conn.Do("SELECT", "3"); err != nil || reply != "+OK\r\n" {
		if err != nil || !strings.HasPrefix(reply, "-CLUSTERDOWN") {
			k.wrong = append(k.wrong, fmt.Sprintf("SELECT: %q, %v", reply, err))
		}
		return
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		switch reply, err := conn.Do("INCR", k.key); {
		case err != nil:
			k.wrong = append(k.wrong, fmt.Sprintf("a command without an answer: %v", err))
			k.doubts++
			return
		case reply[0] == ':':
			k.acked++
		case strings.HasPrefix(reply, "-INDOUBT the node that served database 3 is lost"):
			k.doubts++
			if more, err := conn.Reply(); err == nil {
				k.wrong = append(k.wrong, fmt.Sprintf("after its last word it said %q", more))
			}
			return
		case strings.HasPrefix(reply, "-INDOUBT"): // of the group: its leader is lost
			k.doubts++
		case strings.HasPrefix(reply, "-CLUSTERDOWN"):
		default:
			k.wrong = append(k.wrong, reply)
		}
	}
}

// killHolder kills a holder under load that is relayed to it: whoever waits is told once and finds another one.
func killHolder(t *testing.T, c *harness.Cluster) {
	stop := make(chan struct{})
	var counting sync.WaitGroup
	counters := make([]counter, 12)
	for i := range counters {
		counters[i].key = fmt.Sprintf("count%d", i)
		counting.Go(func() { counters[i].run(c.Servers[3+i%2].Addr, stop) })
	}
	watcher := in(t, c.Servers[0], 3) // which holds it, and will not be lost
	sum := func() (n int) {
		for i := range counters {
			reply := watcher.Must(t, "GET", counters[i].key)
			_, value, _ := strings.Cut(reply, "\r\n")
			var v int
			_, _ = fmt.Sscan(value, &v) // null: 0
			n += v
		}
		return n
	}
	c.Eventually("a load", func() bool { return sum() > 200 })
	before := sum()
	c.Servers[1].Kill()
	began := time.Now()
	c.Eventually("the load to go on", func() bool { return sum() > before+200 })
	t.Logf("200 more counts %v after the kill", time.Since(began).Round(time.Millisecond))
	close(stop)
	counting.Wait()
	lost, doubts := 0, 0
	for i := range counters {
		k := &counters[i]
		for _, wrong := range k.wrong {
			t.Errorf("%s: %s", k.key, wrong)
		}
		reply := watcher.Must(t, "GET", k.key)
		_, value, _ := strings.Cut(reply, "\r\n")
		var n int
		if _, err := fmt.Sscan(value, &n); err != nil || n < k.acked || n > k.acked+k.doubts {
			t.Errorf("%s is %q after %d acknowledged and %d in doubt", k.key, reply, k.acked, k.doubts)
		}
		lost, doubts = lost+k.reconnected-1, doubts+k.doubts
	}
	if lost == 0 {
		t.Error("nobody was relayed to the node that was killed: the test proves nothing")
	}
	t.Logf("%d connections were lost, %d commands are in doubt", lost, doubts)
}
