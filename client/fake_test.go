package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// fault is what goes wrong with one command.
type fault struct {
	delay time.Duration // before it is applied
	reply string        // said instead of running it
	after string        // said instead of the reply, though it ran
	drop  bool          // the connection breaks, before it runs
	cut   bool          // the connection breaks after it ran, before the reply
	hang  bool          // the reply never comes, though it ran
}

// fake is a server in this process that knows a few commands of dtkv and makes mistakes on request. Connections are
// pipes, so that all of it lives in the bubble of a test, where time is virtual.
type fake struct {
	t      testing.TB
	wg     sync.WaitGroup
	mu     sync.Mutex
	values map[string]string
	locks  map[string]*fakeLock
	tokens int64
	index  uint64
	log    []string // of commands as they are applied
	subs   map[*fakeConn][]string
	events []string // of the stream: a key each
	oldest int      // events before this one are compacted
	conns  map[*fakeConn]bool
	down   bool // connecting fails
	// faults says what goes wrong; it is called with mu held.
	faults func(args []string) fault
}

type fakeLock struct{ queue []*fakeWaiter } // the first one holds

type fakeWaiter struct {
	owner, lease string
	token        int64
	end          *time.Timer
	granted      chan int64
}

type fakeConn struct {
	net.Conn
	f    *fake
	gone chan struct{}
	wmu  sync.Mutex
}

func newFake(t testing.TB) *fake {
	f := &fake{
		t: t, values: map[string]string{}, locks: map[string]*fakeLock{},
		subs: map[*fakeConn][]string{}, conns: map[*fakeConn]bool{},
	}
	t.Cleanup(f.close)
	return f
}

func (f *fake) close() {
	f.mu.Lock()
	for c := range f.conns {
		_ = c.Close()
	}
	for _, l := range f.locks {
		for _, w := range l.queue {
			w.end.Stop()
		}
	}
	f.mu.Unlock()
	f.wg.Wait()
	time.Sleep(2 * time.Second) // go-redis looks once a second whether a server that was down is back
}

func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")}
	}
	ours, theirs := net.Pipe()
	c := &fakeConn{Conn: ours, f: f, gone: make(chan struct{})}
	f.conns[c] = true
	commands := make(chan []string, 10_000)
	f.wg.Go(func() { c.read(commands) })
	f.wg.Go(func() { c.serve(commands) })
	return theirs, nil
}

// client returns a client of the fake, and closes it with the test.
func (f *fake) client(o Options, options ...func(*redis.Options)) *Client {
	ro := &redis.Options{
		Addr: "127.0.0.1:1", Dialer: f.dial, Protocol: 2, DisableIdentity: true, PoolSize: 20,
		DialerRetries: 1, PipelinePoolSize: -1,
	}
	for _, option := range options {
		option(ro)
	}
	rdb := redis.NewClient(ro)
	c, err := New(rdb, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close(); _ = rdb.Close() })
	return c
}

func (f *fake) setFaults(fn func(args []string) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = fn
}

// once makes the next command of that name go wrong.
func (f *fake) once(name string, what fault) {
	f.setFaults(func(args []string) fault {
		if args[0] != name || what == (fault{}) {
			return fault{}
		}
		now := what
		what = fault{}
		return now
	})
}

// breakAll closes every connection, as a restart does.
func (f *fake) breakAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

// applied lists the commands of that name as they were applied.
func (f *fake) applied(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []string
	for _, line := range f.log {
		if strings.HasPrefix(line, name+" ") {
			found = append(found, line)
		}
	}
	return found
}

// holder is the token of a lock, 0 when it is free.
func (f *fake) holder(key string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.locks[key]; l != nil {
		return l.queue[0].token
	}
	return 0
}

func (f *fake) waiters(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.locks[key]; l != nil {
		return len(l.queue) - 1
	}
	return 0
}

func (c *fakeConn) read(commands chan<- []string) {
	defer close(c.gone)
	defer close(commands)
	r := bufio.NewReader(c)
	line := func() string { s, _ := r.ReadString('\n'); return strings.TrimSpace(s) }
	for {
		head := line()
		if !strings.HasPrefix(head, "*") {
			return
		}
		n, _ := strconv.Atoi(head[1:])
		args := make([]string, n)
		for i := range args {
			size, _ := strconv.Atoi(strings.TrimPrefix(line(), "$"))
			b := make([]byte, size+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			args[i] = string(b[:size])
		}
		args[0] = strings.ToUpper(args[0])
		commands <- args
	}
}

func (c *fakeConn) serve(commands <-chan []string) {
	defer func() {
		_ = c.Close()
		c.f.mu.Lock()
		defer c.f.mu.Unlock()
		delete(c.f.conns, c)
		delete(c.f.subs, c)
	}()
	for args := range commands {
		c.f.mu.Lock()
		var ft fault
		if c.f.faults != nil {
			ft = c.f.faults(args)
		}
		c.f.mu.Unlock()
		if ft.delay > 0 {
			time.Sleep(ft.delay)
		}
		if ft.drop {
			return
		}
		reply := ft.reply
		if reply == "" {
			reply = c.run(args)
		}
		if ft.cut {
			return
		}
		if ft.hang {
			<-c.gone
			return
		}
		if ft.after != "" {
			reply = ft.after
		}
		c.write(reply)
	}
}

func (c *fakeConn) write(s string) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, _ = c.Write([]byte(s))
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func number(n int64) string { return fmt.Sprintf(":%d\r\n", n) }

const null = "$-1\r\n"

// run applies a command.
func (c *fakeConn) run(args []string) string {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, strings.Join(args, " "))
	switch args[0] {
	case "CLIENT", "SELECT":
		return "+OK\r\n"
	case "PING":
		if len(f.subs[c]) > 0 {
			return "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
		}
		return "+PONG\r\n"
	case "SET":
		f.change(args[1], args[2])
		return "+OK\r\n"
	case "GET":
		if v, ok := f.values[args[1]]; ok {
			return bulk(v)
		}
		return null
	case "INCR":
		n, _ := strconv.ParseInt(f.values[args[1]], 10, 64)
		f.change(args[1], strconv.FormatInt(n+1, 10))
		return number(n + 1)
	case "DTKV.MKDIR":
		return number(0)
	case "DTKV.CAS":
		if f.values[args[1]] != args[2] {
			return number(0)
		}
		f.change(args[1], args[3])
		return number(1)
	case "SUBSCRIBE":
		return f.subscribe(c, args[1:])
	case "XINFO":
		return "*2\r\n$17\r\nlast-generated-id\r\n" + bulk(fmt.Sprintf("%d-0", len(f.events)))
	case "XREAD":
		return f.xread(c, args)
	case "DTKV.LOCK":
		return f.lock(c, args)
	case "DTKV.UNLOCK", "DTKV.RENEW":
		return f.unlockOrRenew(args)
	}
	return fmt.Sprintf("-ERR unknown command '%s'\r\n", args[0])
}

func (f *fake) change(key, value string) {
	f.index++
	f.values[key] = value
	if value == "" {
		delete(f.values, key)
	}
	f.events = append(f.events, key)
	f.publish(key, "set")
}

// state is the message of a watch channel.
func (f *fake) state(key, event string) string {
	if l := f.locks[key]; l != nil {
		return fmt.Sprintf(`{"index":%d,"event":%q,"key":%q,"kind":"lock","token":%d}`, f.index, event, key, l.queue[0].token)
	}
	if v, ok := f.values[key]; ok {
		return fmt.Sprintf(`{"index":%d,"event":%q,"key":%q,"kind":"value","value":%q}`, f.index, event, key, v)
	}
	return fmt.Sprintf(`{"index":%d,"event":%q,"key":%q,"kind":"none"}`, f.index, event, key)
}

func (f *fake) publish(key, event string) {
	for c, keys := range f.subs {
		for _, k := range keys {
			if k == key {
				f.wg.Go(func() { c.write(published(key, f.state2(key, event))) })
			}
		}
	}
}

// state2 is state for those who do not hold the lock.
func (f *fake) state2(key, event string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state(key, event)
}

func published(key, payload string) string {
	return "*3\r\n$7\r\nmessage\r\n" + bulk("__watch@0__:"+key) + bulk(payload)
}

func (f *fake) subscribe(c *fakeConn, channels []string) string {
	var out strings.Builder
	for i, ch := range channels {
		key := strings.TrimPrefix(ch, "__watch@0__:")
		f.subs[c] = append(f.subs[c], key)
		out.WriteString("*3\r\n$9\r\nsubscribe\r\n" + bulk(ch) + number(int64(i+1)))
		out.WriteString(published(key, f.state(key, "state")))
	}
	return out.String()
}

// xread answers at most ten events, whose IDs are their places in the log. It does not wait long.
func (f *fake) xread(c *fakeConn, args []string) string {
	after, _, _ := strings.Cut(args[len(args)-1], "-")
	from, _ := strconv.Atoi(after)
	if from < f.oldest {
		return fmt.Sprintf("-COMPACTED oldest is %d-0\r\n", f.oldest+1)
	}
	to := min(from+10, len(f.events))
	if from >= to {
		f.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		f.mu.Lock()
		return "*-1\r\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "*1\r\n*2\r\n%s*%d\r\n", bulk(args[len(args)-2]), to-from)
	for i := from; i < to; i++ {
		fmt.Fprintf(&out, "*2\r\n%s*6\r\n%s%s%s%s%s%s", bulk(fmt.Sprintf("%d-0", i+1)),
			bulk("event"), bulk("set"), bulk("key"), bulk(f.events[i]), bulk("kind"), bulk("value"))
	}
	return out.String()
}

// lock is called with mu held, and lets go of it while it waits.
func (f *fake) lock(c *fakeConn, args []string) string {
	key, lease, wait, owner := args[1], args[2], "0", args[len(args)-1]
	if args[3] == "WAIT" {
		wait = args[4]
	}
	l := f.locks[key]
	if l == nil {
		l = &fakeLock{}
		f.locks[key] = l
	}
	var me *fakeWaiter
	for _, w := range l.queue {
		if w.owner == owner {
			me = w
		}
	}
	switch {
	case me == nil && len(l.queue) > 0 && wait == "0", me != nil && me != l.queue[0] && wait == "0":
		return null
	case me == nil:
		me = &fakeWaiter{owner: owner, end: time.AfterFunc(time.Hour, func() {}), granted: make(chan int64, 1)}
		l.queue = append(l.queue, me)
	}
	me.lease = lease
	if me == l.queue[0] {
		if me.token == 0 {
			f.grant(key, l)
		}
		f.arm(key, me, lease)
		return number(me.token)
	}
	f.arm(key, me, wait)
	mine := make(chan int64, 1)
	old := me.granted
	me.granted = mine
	close(old) // an older request of this owner is told that this one took its place
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case token := <-mine: // 0: it has left
		if token != 0 {
			return number(token)
		}
	case <-c.gone:
		f.mu.Lock()
		if me.granted == mine {
			f.leave(key, owner)
		}
		f.mu.Unlock()
	}
	return null
}

// grant gives the lock to the first in line.
func (f *fake) grant(key string, l *fakeLock) {
	f.tokens++
	l.queue[0].token = f.tokens
	f.index++
	f.publish(key, "lock")
}

// arm restarts the time of the holder's lease or of a waiter's patience.
func (f *fake) arm(key string, w *fakeWaiter, ms string) {
	n, _ := strconv.Atoi(ms)
	w.end.Stop()
	w.end = time.AfterFunc(time.Duration(n)*time.Millisecond, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.leave(key, w.owner)
	})
}

func (f *fake) leave(key, owner string) bool {
	l := f.locks[key]
	if l == nil {
		return false
	}
	for i, w := range l.queue {
		if w.owner != owner {
			continue
		}
		w.end.Stop()
		l.queue = append(l.queue[:i], l.queue[i+1:]...)
		if w.token == 0 {
			w.granted <- 0
		}
		switch {
		case len(l.queue) == 0:
			delete(f.locks, key)
			f.publish(key, "unlock")
		case i == 0:
			next := l.queue[0]
			f.grant(key, l)
			f.arm(key, next, next.lease)
			next.granted <- next.token
		}
		return true
	}
	return false
}

func (f *fake) unlockOrRenew(args []string) string {
	key, owner := args[1], args[len(args)-1]
	if args[0] == "DTKV.UNLOCK" {
		if f.leave(key, owner) {
			return number(1)
		}
		return number(0)
	}
	l := f.locks[key]
	if l == nil || l.queue[0].owner != owner {
		return "-NOTOWNER another holds it\r\n"
	}
	f.arm(key, l.queue[0], args[2])
	return number(l.queue[0].token)
}
