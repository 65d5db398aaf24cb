package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

func TestGroupsAreAddedRemovedAndListed(t *testing.T) {
	twins := startTwins(t, 2, map[int][]string{3: {"n2"}, 4: {"n1", "n2"}})
	w := twins[0]
	if got := talk(t, w.Server, "DTKV.GROUP ADD 5 n1 n2", "DTKV.GROUP ADD 6", "DTKV.GROUP REMOVE 5"); got != "+OK\r\n+OK\r\n+OK\r\n" {
		t.Errorf("got %q", got)
	}
	w.mu.Lock()
	calls := w.calls
	w.mu.Unlock()
	if got := strings.Join(calls, ", "); got != "add 5 n1 n2, add 6, remove 5" {
		t.Errorf("called %q", got)
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&replica.Refusal{Text: "group 5 exists"}, "-ERR group 5 exists\r\n"},
		{replica.ErrNoLeader, "-CLUSTERDOWN no leader is known; the command was not run\r\n"},
		{replica.ErrInDoubt, "-INDOUBT the change may or may not have been made; DTKV.GROUP LIST shows it\r\n"},
	} {
		if w.fail(test.err, nil); talk(t, w.Server, "DTKV.GROUP ADD 5") != test.want {
			t.Errorf("%v: not answered with %q", test.err, test.want)
		}
	}
	talk(t, w.Server, "SELECT 4", "SET k v")
	row := func(id int, state, leader, voters, keys, everywhere string) string {
		return fmt.Sprintf("*14 id :%d state %s leader %s voters %s learners *0 keys %s everywhere %s", id, state, leader, voters, keys, everywhere)
	}
	list := func() string {
		var words []string
		for _, line := range strings.Split(strings.TrimSpace(talk(t, w.Server, "DTKV.GROUP LIST")), "\r\n") {
			if !strings.HasPrefix(line, "$") || line == "$-1" {
				words = append(words, line)
			}
		}
		return strings.Join(words, " ")
	}
	want := "*3 " + row(0, "ok", "n1", "*3 n1 n2 n3", ":0", ":1") + " " + row(3, "ok", "n2", "*1 n2", "$-1", ":0") + " " + row(4, "ok", "n1", "*2 n1 n2", ":1", ":0")
	if got := list(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.fail(nil, replica.ErrNoLeader)
	want = "*3 " + row(0, "down", "", "*3 n1 n2 n3", ":0", ":1") + " " + row(3, "down", "", "*1 n2", "$-1", ":0") + " " + row(4, "down", "", "*2 n1 n2", ":1", ":0")
	if got := list(); got != want {
		t.Errorf("without a leader: got  %s\nwant %s", got, want)
	}
}

// Whatever a client does in a database that is removed, it is told so or disconnected, and soon.
func TestADatabaseIsRemovedUnderItsClients(t *testing.T) {
	const gone = "-ERR DB index is out of range: database 3 was removed; the command was not run\r\n"
	tests := []struct {
		name   string
		before []string
		reply  string
		end    string // what the client reads once the database is gone
	}{
		{"idle", []string{"GET k"}, "$-1\r\n", ""},
		{"in a transaction", []string{"MULTI", "SET k v"}, "+OK\r\n+QUEUED\r\n", ""},
		{"watching keys", []string{"WATCH k"}, "+OK\r\n", ""},
		{"waiting for a lock", []string{"DTKV.LOCK l 60000 WAIT 60000"}, "", gone},
		{"waiting for an event", []string{"XREAD BLOCK 0 STREAMS __events__ $"}, "", gone},
		{"subscribed to what happens there", []string{"SUBSCRIBE __watch@3__:none"}, "*3\r\n$9\r\nsubscribe\r\n$16\r\n__watch@3__:none\r\n:1\r\n", "-ERR the database was removed from this node\r\n"},
	}
	for _, test := range tests {
		for at, through := range []string{"here", "through a relay"} {
			t.Run(test.name+" "+through, func(t *testing.T) {
				twins := startTwins(t, 2, map[int][]string{3: {"n1"}})
				other := dial(t, twins[0].Server)
				other.send("SELECT 3", "DTKV.LOCK l 60000")
				other.want("+OK\r\n:1\r\n")
				c := dial(t, twins[at].Server)
				c.send(append([]string{"SELECT 3"}, test.before...)...)
				c.want("+OK\r\n" + test.reply)
				if strings.Contains(test.name, "waiting") {
					eventually(t, "it to wait", func() bool { s := twins[0].hub.Stats(); return s.Parked+s.Waits == 1 })
				}
				if strings.Contains(test.name, "subscribed") { // its state comes first
					c.want("*3\r\n$7\r\nmessage\r\n$16\r\n__watch@3__:none\r\n")
					skip(t, c, "}\r\n")
				}
				twins[1].remove(3)
				twins[0].remove(3)
				got, _ := io.ReadAll(c)
				if string(got) != test.end {
					t.Errorf("the client reads %q, want %q", got, test.end)
				}
				if got := talk(t, twins[at].Server, "SELECT 3"); got != "-ERR DB index is out of range\r\n" {
					t.Errorf("then it is %q", got)
				}
				if s := twins[0].hub.Stats(); s.RingEvents != 0 || s.Parked != 0 || s.Waits != 0 {
					t.Errorf("the hub still has %+v", s)
				}
				eventually(t, "all its clients to be gone", func() bool { _, _, _, n := twins[0].clients.totals(); return n == 0 })
			})
		}
	}
}

// Who is elsewhere does not notice.
func TestARemovedDatabaseIsNobodyElsesConcern(t *testing.T) {
	twins := startTwins(t, 1, map[int][]string{3: {"n1"}, 4: {"n1"}})
	zero, four, subscriber := dial(t, twins[0].Server), dial(t, twins[0].Server), dial(t, twins[0].Server)
	zero.send("SELECT 3", "SELECT 0", "SET k v")
	zero.want("+OK\r\n+OK\r\n+OK\r\n")
	four.send("SELECT 4", "SET k v", "WATCH k", "MULTI")
	four.want("+OK\r\n+OK\r\n+OK\r\n+OK\r\n")
	subscriber.send("PSUBSCRIBE __keyevent@*")
	skip(t, subscriber, ":1\r\n")
	twins[0].remove(3)
	zero.send("GET k")
	zero.want("$1\r\nv\r\n")
	four.send("GET k", "EXEC")
	four.want("+QUEUED\r\n*1\r\n$1\r\nv\r\n")
	zero.send("SET k w")
	zero.want("+OK\r\n")
	skip(t, subscriber, "__keyevent@0__:set\r\n$1\r\nk\r\n")
}

// A command that meets its group closed before the connection is told.
func TestACommandMeetsAClosedGroup(t *testing.T) {
	for _, test := range []struct {
		name  string
		sent  []string
		known bool
		want  string
	}{
		{"a write", []string{"SET k v", "GET k"}, false, "-ERR DB index is out of range: database 3 was removed; the command was not run\r\n"},
		{"a read", []string{"GET k"}, false, "-ERR DB index is out of range: database 3 was removed; the command was not run\r\n"},
		{"a long read", []string{"KEYS *"}, false, "-ERR DB index is out of range: database 3 was removed; the command was not run\r\n"},
		{"WATCH", []string{"WATCH k"}, false, "-ERR DB index is out of range: database 3 was removed; the command was not run\r\n"},
		{"a group that lives on elsewhere", []string{"SET k v"}, true, "-CLUSTERDOWN database 3 has left this node; the command was not run\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			twins := startTwins(t, 1, map[int][]string{3: {"n1"}})
			c := dial(t, twins[0].Server)
			c.send("SELECT 3")
			c.want("+OK\r\n")
			if !test.known {
				twins[0].mu.Lock()
				twins[0].infos = twins[0].infos[:1]
				twins[0].mu.Unlock()
			}
			twins[0].held[3].setFail(fmt.Errorf("%w: closing", replica.ErrClosed))
			c.send(test.sent...)
			got, err := io.ReadAll(c)
			if !strings.HasPrefix(string(got), test.want) || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

// A database that was added elsewhere a moment ago is found, and one that is about to be open here is waited for.
func TestANewDatabaseIsFound(t *testing.T) {
	t.Parallel() // it waits in vain for a while
	twins := startTwins(t, 1, nil)
	w := twins[0]
	c := dial(t, w.Server)
	zero := w.held[0]
	zero.mu.Lock()
	zero.onRead = func() { w.add(5, "n1") } // the read brings what was applied meanwhile
	zero.mu.Unlock()
	c.send("SELECT 5", "SET k v")
	c.want("+OK\r\n+OK\r\n")

	zero.mu.Lock()
	zero.onRead = nil
	zero.mu.Unlock()
	w.mu.Lock()
	w.infos = append(w.infos, replica.GroupInfo{ID: 6, Held: true})
	w.mu.Unlock()
	late := dial(t, w.Server)
	late.send("SELECT 6", "SET k v")
	eventually(t, "it to be asked for", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asked[6] > 1
	})
	w.mu.Lock()
	w.held[6] = newFakeGroup()
	w.mu.Unlock()
	late.want("+OK\r\n+OK\r\n")

	w.mu.Lock()
	w.infos = append(w.infos, replica.GroupInfo{ID: 7, Held: true})
	w.mu.Unlock()
	never := dial(t, w.Server)
	never.send("SELECT 7", "PING")
	never.want("-LOADING database 7 is being opened on this node; it was not selected\r\n+PONG\r\n")
}
