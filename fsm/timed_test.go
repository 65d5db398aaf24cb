package fsm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// This file has what the tests of deadlines, owners and locks share.

func at(millis int64) string { return fmt.Sprintf(" until %d", millis) }

// timed is the world with deadlines in it, at the cluster time 1000: x expires at 1500; t and td, a directory with the value
// v, are alice's until 2000; g holds g.t, which is bob's until 2000; alice has the lock l until 2000, bob waits for it until
// 1500 and carol until 3000; alice has the lock h.l until 2000.
func timed(t testing.TB) *lab {
	l := world(t).must(&LeaderStart{Term: 1})
	l.header.ClusterMillis = 1000
	return l.must(
		&Set{Key: []byte("x"), Value: []byte("7"), TTL: TTL{Millis: 500}},
		putTemp("t", "mine", 1000, alice), tempDir("td", 1000, alice), set("td.v", "open"),
		mkdir("g"), putTemp("g.t", "his", 1000, bob),
		acquire("l", alice, 0, 1), acquire("l", bob, 500, 2), acquire("l", carol, 2000, 3),
		mkdir("h"), acquire("h.l", alice, 0, 4),
	)
}

func setFor(key, value string, millis int64) *Set {
	return &Set{Key: []byte(key), Value: []byte(value), TTL: TTL{Millis: millis}}
}

func putTemp(key, value string, millis int64, o Owner) *PutTemp {
	return &PutTemp{[]byte(key), []byte(value), millis, o}
}

func tempDir(key string, millis int64, o Owner) *MakeDir {
	return &MakeDir{Key: []byte(key), Millis: millis, Owner: o}
}

func expire(key string, millis int64, c TTLCondition) *Expire {
	return &Expire{Key: []byte(key), Millis: millis, If: c}
}

// acquire asks for a lock of 1000 ms with the ticket 1-number.
func acquire(key string, o Owner, wait int64, number uint64) *AcquireLock {
	return &AcquireLock{[]byte(key), o, 1000, wait, Ticket{Process: 1, Number: number}}
}

func release(key string, o Owner) *ReleaseLock { return &ReleaseLock{[]byte(key), o} }

func name(o Owner) string { return map[Owner]string{alice: "alice", bob: "bob", carol: "carol"}[o] }

// describe describes what a key holds, for how long, and whose it is; of a lock also its participants.
func (l *lab) describe(key string) string {
	n, ok := l.View().Lookup([]byte(key))
	if !ok {
		return "none"
	}
	s := l.get(key)
	if deadline, ok := n.Deadline(); ok {
		s += at(deadline)
	}
	if n.Temporary() {
		s += " of " + name(n.Owner())
	}
	if q := queueOf(n); q != nil {
		s += fmt.Sprintf(" %d:", q.token)
		for _, p := range q.all {
			s += " " + name(p.Owner) + at(p.Deadline)
		}
	}
	return s
}

// told prints events in one line.
func told(events []Event) string {
	var all []string
	for _, e := range events {
		s := e.What.String()
		if e.Key != "" {
			s += " " + e.Key
		}
		if e.Owner != (Owner{}) {
			s += fmt.Sprintf(" %s-%d", name(e.Owner), e.Ticket.Number)
		}
		if e.Token != 0 {
			s += fmt.Sprintf(" #%d", e.Token)
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// timedStep is one line of a table: an operation on the timed world, so many milliseconds after its making, what it
// answers, the events it makes, and what a key holds then.
type timedStep struct {
	name   string
	later  int64
	op     Op
	want   string
	events string
	key    string
	state  string
}

// runTimed checks each step on a fresh world. A refused operation must leave the very same state and tell nobody.
func runTimed(t *testing.T, steps []timedStep) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			l := timed(t)
			copied := mirrorOf(l.View())
			l.header.ClusterMillis += s.later
			l.all() // the clock moves first, so that the digest tells what the operation did
			before := l.View().Digest()
			r := l.do(s.op)
			if got := outcome(r); got != s.want {
				t.Errorf("%s: got %s, want %s", s.op, got, s.want)
			}
			if got := told(l.Events()); got != s.events {
				t.Errorf("%s: told %s, want %s", s.op, got, s.events)
			}
			if got := l.describe(s.key); s.key != "" && got != s.state {
				t.Errorf("%s: then %s is %s, want %s", s.op, s.key, got, s.state)
			}
			if r.Err != nil && l.View().Digest() != before {
				t.Errorf("%s: refused, and changed the state", s.op)
			}
			copied.follow(t, l.Events())
			copied.compare(t, l.View())
			audit(t, l.View())
			if again := restored(t, l.Machine); again.View().Digest() != l.View().Digest() {
				t.Errorf("%s: restored, it is another state", s.op)
			} else {
				audit(t, again.View())
			}
		})
	}
}

// The texts of refusals, as tables need them.
func tempNode(path string) string  { return outcome(refused(&Refusal{Code: TempNode, Path: path})) }
func notOwner(path string) string  { return outcome(refused(&Refusal{Code: NotOwner, Path: path})) }
func notTemp(path string) string   { return outcome(refused(&Refusal{Code: NotTemp, Path: path})) }
func underTemp(path string) string { return outcome(refused(&Refusal{Code: UnderTemp, Path: path})) }

// mirror is a copy of the tree that is made of events alone.
type mirror struct {
	nodes  map[string]string
	tokens uint64
}

func newMirror() *mirror { return &mirror{nodes: map[string]string{}} }

func mirrorOf(v View) *mirror {
	m := &mirror{map[string]string{}, v.s.tokens}
	v.Ascend(func(n *Node) bool {
		m.nodes[n.Key] = reflection(n)
		return true
	})
	return m
}

// reflection is what events tell of a node. Who waits for a lock and how long its lease is they do not tell.
func reflection(n *Node) string {
	deadline, _ := n.Deadline()
	s := fmt.Sprintf("%s %q %d %s", n.Kind, n.Value, deadline, name(n.Owner()))
	if n.Lock() != nil {
		holder, _ := n.Lock().Holder()
		s += fmt.Sprintf(" %d %s", n.Lock().Token(), name(holder.Owner))
	}
	return s
}

// follow carries events over. Parents must come before their children, and go after them.
func (m *mirror) follow(t testing.TB, events []Event) {
	t.Helper()
	for _, e := range events {
		if e.What == EventFlush {
			clear(m.nodes)
			continue
		}
		_, known := m.nodes[e.Key]
		if e.Node == nil {
			if !known && e.Owner == (Owner{}) { // all events of an operation on a lock say that it is gone
				t.Errorf("%s of %q, which is not there", e.What, e.Key)
			}
			for key := range m.nodes {
				if above(key) == e.Key {
					t.Errorf("%s of %q before its child %q", e.What, e.Key, key)
				}
			}
			delete(m.nodes, e.Key)
			continue
		}
		if parent := above(e.Key); parent != "" && !strings.HasPrefix(m.nodes[parent], "dir") {
			t.Errorf("%s of %q, which has no parent", e.What, e.Key)
		}
		if e.What == EventLock {
			if e.Token <= m.tokens {
				t.Errorf("token %d after %d", e.Token, m.tokens)
			}
			m.tokens = e.Token
		}
		m.nodes[e.Key] = reflection(e.Node)
	}
}

func (m *mirror) compare(t testing.TB, v View) {
	t.Helper()
	want := mirrorOf(v)
	for key := range want.nodes {
		if m.nodes[key] != want.nodes[key] {
			t.Errorf("by the events %q is %s, and it is %s", key, m.nodes[key], want.nodes[key])
		}
	}
	if len(m.nodes) != len(want.nodes) {
		t.Errorf("by the events there are %d nodes, and there are %d", len(m.nodes), len(want.nodes))
	}
}

// A node more than 80 bytes long takes 96, and there is one for every key.
func TestANodeTakes80Bytes(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size != 80 {
		t.Errorf("it takes %d", size)
	}
}

func newReader(t testing.TB, v View) *bytes.Reader { return bytes.NewReader(snapshotOf(t, v)) }
