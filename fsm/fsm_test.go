package fsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// lab drives a machine through entries as a log would.
type lab struct {
	t testing.TB
	*Machine
	header Header
}

func newLab(t testing.TB) *lab {
	return &lab{t, New(), Header{Term: 1, MaxValue: 1 << 20}}
}

// entry makes the next entry of some operations.
func (l *lab) entry(ops ...Op) *Entry {
	l.t.Helper()
	h := l.header
	h.WallMillis = 1000 * int64(l.View().Index()+1)
	buf := make([]byte, HeaderSize)
	for _, op := range ops {
		buf = op.AppendTo(buf)
	}
	SealEntry(buf, h, len(ops))
	e, err := OpenEntry(buf)
	if err != nil {
		l.t.Fatal(err)
	}
	e.Index, e.LogTerm = l.View().Index()+1, h.Term
	return &e
}

// all applies operations in one entry.
func (l *lab) all(ops ...Op) []Result {
	l.t.Helper()
	e := l.entry(ops...)
	results, err := l.Apply(e, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	clear(e.ops) // whoever kept a slice of the log's buffer will notice
	return results
}

// do applies one operation in an entry of its own.
func (l *lab) do(op Op) Result {
	l.t.Helper()
	return l.all(op)[0]
}

// must applies operations, each in an entry of its own, none of which may be refused.
func (l *lab) must(ops ...Op) *lab {
	l.t.Helper()
	for _, op := range ops {
		if r := l.do(op); r.Err != nil {
			l.t.Fatalf("%s: %v", op, r.Err)
		}
	}
	return l
}

// get describes what a key holds: its value in quotes, "dir" or "none".
func (l *lab) get(key string) string {
	n, ok := l.View().Lookup([]byte(key))
	switch {
	case !ok:
		return "none"
	case n.Kind == Value:
		return fmt.Sprintf("%q", n.Value)
	}
	return n.Kind.String()
}

func (l *lab) node(key string) *Node {
	l.t.Helper()
	n, ok := l.View().Lookup([]byte(key))
	if !ok {
		l.t.Fatalf("no node %q", key)
	}
	return n
}

// Three who share the tests' world.
var alice, bob, carol = Owner{'a'}, Owner{'b'}, Owner{'c'}

func set(key, value string) *Set { return &Set{Key: []byte(key), Value: []byte(value)} }

func mkdir(key string) *MakeDir { return &MakeDir{Key: []byte(key)} }

func del(keys ...string) *Remove { return &Remove{Keys: list(keys...)} }

func cas(key, expected, new string) *CompareAndSet {
	return &CompareAndSet{[]byte(key), []byte(expected), []byte(new)}
}

func rename(from, to string) *Rename { return &Rename{From: []byte(from), To: []byte(to)} }

func list(texts ...string) [][]byte {
	all := make([][]byte, len(texts))
	for i, s := range texts {
		all[i] = []byte(s)
	}
	return all
}

// outcome prints a result in one line, so that tables can hold it.
func outcome(r Result) string {
	var no *Refusal
	if errors.As(r.Err, &no) {
		return strings.TrimSpace(fmt.Sprintf("refused: %s", no))
	}
	s := fmt.Sprint(r.Int)
	if r.Found {
		s += fmt.Sprintf(" found %q", r.Value)
	}
	for _, e := range r.List {
		s += ", " + outcome(e)
	}
	return s
}

// The texts of refusals, as tables need them.
var (
	wrongType = outcome(refused(ErrWrongType))
	badKey    = outcome(refused(ErrBadKey))
	tooLong   = outcome(refused(ErrTooLong))
)

func noParent(path string) string { return outcome(refused(&Refusal{Code: NoParent, Path: path})) }
func notDir(path string) string   { return outcome(refused(&Refusal{Code: NotDir, Path: path})) }
func notEmpty(path string) string { return outcome(refused(&Refusal{Code: NotEmpty, Path: path})) }

// The world the tables below start from: one of each kind of place.
func world(t testing.TB) *lab {
	return newLab(t).must(
		set("v", "old"), set("n", "10"), mkdir("empty"), mkdir("d"), set("d.v", "deep"), mkdir("d.sub"), set("d.sub.v", "deeper"),
	)
}

// step is one line of a table: an operation on the world, what it answers, and what a key holds then.
type step struct {
	name  string
	op    Op
	want  string
	key   string
	holds string
}

// run checks each step on a fresh world. A refused operation must leave the very same state.
func run(t *testing.T, steps []step) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			l := world(t)
			before := l.View().Digest()
			r := l.do(s.op)
			if got := outcome(r); got != s.want {
				t.Errorf("%s: got %s, want %s", s.op, got, s.want)
			}
			if s.key != "" && l.get(s.key) != s.holds {
				t.Errorf("%s: then %s holds %s, want %s", s.op, s.key, l.get(s.key), s.holds)
			}
			if r.Err != nil && l.View().Digest() != before {
				t.Errorf("%s: refused, and changed the state", s.op)
			}
			audit(t, l.View())
		})
	}
}

// audit checks what must hold in every state.
func audit(t testing.TB, v View) {
	t.Helper()
	children := map[string]int{}
	values, nodes, locks := 0, 0, 0
	root, _ := v.Lookup(nil)
	v.Ascend(func(n *Node) bool {
		parent, ok := v.Lookup([]byte(above(n.Key)))
		if !ok || parent.Kind != Directory {
			t.Errorf("%q has no directory above it", n.Key)
		} else if parent.Updated.Index < n.Updated.Index {
			t.Errorf("%q was updated at %d, the directory above it at %d", n.Key, n.Updated.Index, parent.Updated.Index)
		}
		if got, ok := v.Lookup([]byte(n.Key)); !ok || got != n {
			t.Errorf("%q is in the tree and not found", n.Key)
		}
		if n.Created.Index > n.Updated.Index || n.Updated.Index > v.Index() {
			t.Errorf("%q: created %v, updated %v at index %d", n.Key, n.Created, n.Updated, v.Index())
		}
		children[above(n.Key)]++
		nodes++
		if n.Kind == Value {
			values++
		}
		if n.Kind == Lock {
			locks++
		}
		return true
	})
	v.Ascend(func(n *Node) bool {
		if n.Children() != children[n.Key] {
			t.Errorf("%q says %d children and has %d", n.Key, n.Children(), children[n.Key])
		}
		return true
	})
	if root.Children() != children[""] {
		t.Errorf("the root says %d children and has %d", root.Children(), children[""])
	}
	if v.Len() != values || v.Nodes() != nodes || v.Locks() != locks {
		t.Errorf("it says %d values and %d locks in %d nodes and has %d and %d in %d", v.Len(), v.Locks(), v.Nodes(), values, locks, nodes)
	}
	auditDeadlines(t, v)
	scanned := 0
	v.Scan(0, nodes+1, func(n *Node) {
		if n == nil {
			t.Fatal("the scan has a key that the tree does not have")
		}
		scanned++
	})
	if scanned != nodes {
		t.Errorf("a scan sees %d of %d nodes", scanned, nodes)
	}
	if v.s.cells.tags != nil {
		auditIndex(t, &v.s.cells, nodes)
	}
}

// auditDeadlines checks that ExpireDue will look at whatever has a deadline, when it comes, and at nothing else.
func auditDeadlines(t testing.TB, v View) {
	t.Helper()
	first, count := int64(0), 0
	v.Ascend(func(n *Node) bool {
		at := n.due()
		if at == 0 {
			return true
		}
		if _, ok := v.s.deadlines.Get(due{at, n.Key}); !ok {
			t.Errorf("%q is due at %d, and nobody knows", n.Key, at)
		}
		if count++; count == 1 || at < first {
			first = at
		}
		return true
	})
	if got, ok := v.NextDeadline(); got != first || ok != (count > 0) || v.s.deadlines.Len() != count {
		t.Errorf("the next deadline is %d, want %d; there are %d of them, want %d", got, first, v.s.deadlines.Len(), count)
	}
}

func TestKeysHaveNoEmptySegmentAndAtMost8192BytesAnd128Segments(t *testing.T) {
	tests := []struct {
		name string
		key  string
		ok   bool
	}{
		{"the empty key is the root and no key", "", false},
		{"one byte is enough", "a", true},
		{"a path has dots", "a.b.c", true},
		{"no dot in front", ".a", false},
		{"no dot behind", "a.", false},
		{"no dot beside a dot", "a..b", false},
		{"a dot alone is no key", ".", false},
		{"two dots are no key", "..", false},
		{"spaces are allowed", "a b. c", true},
		{"any byte but the dot is allowed", "\x00\r\n\xff", true},
		{"8192 bytes are allowed", strings.Repeat("k", 8192), true},
		{"8193 bytes are too many", strings.Repeat("k", 8193), false},
		{"128 segments are allowed", strings.Repeat("k.", 127) + "k", true},
		{"129 segments are too many", strings.Repeat("k.", 128) + "k", false},
		{"4096 segments are too many", strings.Repeat("k.", 4095) + "k", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckKey([]byte(tt.key)); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrBadKey) && !errors.Is(err, ErrTooDeep) {
				t.Errorf("CheckKey: %v", err)
			}
			p, no := parsePath([]byte(tt.key))
			if (no == nil) != tt.ok {
				t.Errorf("parsePath: %v", no)
			}
			if no == nil && (p.depth != depthOf(tt.key) || p.key[:max(p.last-1, 0)] != above(tt.key)) {
				t.Errorf("parsePath: depth %d, last segment at %d", p.depth, p.last)
			}
		})
	}
}

// Every operation that takes a key refuses a bad one, wherever it stands.
func TestABadKeyIsRefusedByEveryOperation(t *testing.T) {
	bad, good := []byte("a..b"), []byte("v")
	for _, op := range []Op{
		&Set{Key: bad}, &SetMany{Pairs: [][]byte{good, good, bad, good}}, &Append{Key: bad}, &SetRange{Key: bad}, &GetDel{Key: bad},
		&Increment{Key: bad}, &IncrementFloat{Key: bad, By: "1"}, &Remove{Keys: [][]byte{good, bad}}, &RemoveIf{Key: bad},
		&Rename{From: bad, To: good}, &Rename{From: good, To: bad}, &Copy{From: bad, To: good}, &Copy{From: good, To: bad},
		&MakeDir{Key: bad}, &RemoveDir{Key: bad}, &CompareAndSet{Key: bad}, // the key comes before both being empty
		&Set{}, &Remove{Keys: [][]byte{{}}}, &MakeDir{}, &RemoveDir{}, &RemoveDir{Recursive: true}, cas("", "", "x"), // the root
		rename("v", ""), rename("", "v"),
		&Expire{Key: bad}, &Persist{bad}, &GetExpire{Key: bad}, &PutTemp{Key: bad, Owner: bob}, &UpdateTTL{Key: bad}, &RemoveOwned{Key: bad},
		&AcquireLock{Key: bad, Owner: bob}, &ReleaseLock{Key: bad}, &RenewLock{Key: bad}, &LeaveLock{Key: bad},
	} {
		run(t, []step{{op.String(), op, badKey, "v", `"old"`}})
	}
}

func TestParentsMustExist(t *testing.T) {
	run(t, []step{
		{"at the top there is always one", set("new", "x"), "1", "new", `"x"`},
		{"in a directory", set("d.new", "x"), "1", "d.new", `"x"`},
		{"the missing one is named", set("nope.x", "x"), noParent("nope"), "nope", "none"},
		{"the first missing one is named", set("d.no.where.x", "x"), noParent("d.no"), "d.no", "none"},
		{"a value is no directory", set("v.x", "x"), notDir("v"), "v", `"old"`},
		{"a value far above is no directory", set("d.v.x.y.z", "x"), notDir("d.v"), "d.v", `"deep"`},
		{"MKDIR needs one too", mkdir("no.where"), noParent("no"), "no", "none"},
		{"MKDIR below a value", mkdir("v.x"), notDir("v"), "v", `"old"`},
		{"INCR needs one", &Increment{[]byte("no.n"), 1}, noParent("no"), "", ""},
		{"APPEND needs one", &Append{[]byte("no.a"), nil}, noParent("no"), "", ""},
		{"SETRANGE needs one", &SetRange{[]byte("no.a"), 0, []byte("x")}, noParent("no"), "", ""},
		{"MSET needs one for each", &SetMany{Pairs: list("v", "new", "no.a", "x")}, noParent("no"), "v", `"old"`},
		{"RENAME needs one at the target", rename("v", "no.v"), noParent("no"), "v", `"old"`},
		{"RENAME below a value", rename("n", "v.n"), notDir("v"), "n", `"10"`},
		{"RENAME of a value below itself", rename("v", "v.v"), notDir("v"), "v", `"old"`},
		{"COPY needs one at the target", &Copy{From: []byte("v"), To: []byte("no.v")}, noParent("no"), "", ""},
		{"removing below a missing directory finds nothing", del("no.where"), "0", "", ""},
		{"removing below a value finds nothing", del("v.x"), "0", "", ""},
		{"SET XX below a missing directory has nothing to overwrite", &Set{Key: []byte("no.x"), If: IfPresent}, "0", "no", "none"},
	})
}

func TestAutoMkdirMakesMissingParentsInTheSameEntry(t *testing.T) {
	l := world(t)
	l.header.AutoMkdir = true
	l.must(set("x.y.z", "1"), set("d.new.deep", "2"), mkdir("m.n"), rename("n", "r.n"),
		&Copy{From: []byte("v"), To: []byte("c.v")}, &Increment{[]byte("i.n"), 1}, cas("cas.v", "", "x"), rename("empty", "e.e"))
	for key, want := range map[string]string{
		"x": "dir", "x.y": "dir", "x.y.z": `"1"`, "d.new": "dir", "d.new.deep": `"2"`, "m.n": "dir", "r.n": `"10"`,
		"c.v": `"old"`, "i.n": `"1"`, "cas.v": `"x"`, "e.e": "dir",
	} {
		if got := l.get(key); got != want {
			t.Errorf("%s holds %s, want %s", key, got, want)
		}
	}
	if x, z := l.node("x"), l.node("x.y.z"); x.Created != z.Created || x.Children() != 1 {
		t.Errorf("x was created at %v with %d children, x.y.z at %v", x.Created, x.Children(), z.Created)
	}
	before := l.View().Digest()
	for _, s := range []struct {
		op   Op
		want string
	}{
		{set("v.x.y", "1"), notDir("v")},
		{&SetMany{Pairs: list("q.r", "1", "q", "2")}, wrongType},
		{&SetMany{Pairs: list("q", "1", "q.r", "2")}, notDir("q")},
		{cas("cas.no.v", "x", "y"), "0"},
		{cas("v.x", "x", "y"), notDir("v")},
		{&Set{Key: []byte("q.r"), Value: make([]byte, 1<<20+1)}, tooLong},
		{&Set{Key: []byte("q.r"), If: IfPresent}, "0"},
		{rename("d", "d.q.r"), outcome(refused(&Refusal{Code: IntoItself, Path: "d"}))},
	} {
		if got := outcome(l.do(s.op)); got != s.want {
			t.Errorf("%s: got %s, want %s", s.op, got, s.want)
		}
		if l.View().Digest() != before {
			t.Fatalf("%s left something behind", s.op)
		}
	}
	audit(t, l.View())
}

func TestALongKeyOfManySegmentsWorksEverywhere(t *testing.T) {
	l := newLab(t)
	segment := strings.Repeat("k", 63)
	key := strings.Repeat(segment+".", MaxDepth-1) + segment // of MaxKeySize-1 bytes
	if got := outcome(l.do(set(key, "x"))); got != noParent(segment) {
		t.Errorf("got %s", got)
	}
	l.must(&MakeDir{Key: []byte(above(key)), Parents: true}, set(key, "x"))
	if got := l.get(key); got != `"x"` {
		t.Errorf("it holds %s", got)
	}
	if root := l.node(""); root.Updated.Index != 3 {
		t.Errorf("the root was updated at %d", root.Updated.Index)
	}
	if got := outcome(l.do(rename(segment, segment+"longer"))); got != badKey {
		t.Errorf("a subtree whose keys would be too long was moved: %s", got)
	}
	l.must(mkdir("d"))
	if got := outcome(l.do(rename(segment, "d.k"))); got != outcome(refused(ErrTooDeep)) {
		t.Errorf("a subtree whose keys would be too deep was moved: %s", got)
	}
	if got := outcome(l.do(&RemoveDir{Key: []byte(segment), Recursive: true})); got != "128" {
		t.Errorf("removed %s", got)
	}
	audit(t, l.View())
}

func TestAnEntryThatWasAppliedIsSkipped(t *testing.T) {
	l := world(t)
	e := l.entry(&Increment{[]byte("n"), 1})
	for i, want := range []string{"11", "11"} {
		if _, err := l.Apply(e, nil); err != nil {
			t.Fatal(err)
		}
		if got := l.node("n").Value; got != want {
			t.Errorf("after %d times: %s", i+1, got)
		}
	}
	l.Advance(100)
	e.Index = 100
	if r, err := l.Apply(e, nil); r != nil || err != nil {
		t.Errorf("an entry that Advance passed gave %v, %v", r, err)
	}
	l.Advance(50)
	if got := l.View().Index(); got != 100 {
		t.Errorf("the index went to %d", got)
	}
}

func TestTheClusterClockFollowsTheLeaderOfTheTerm(t *testing.T) {
	m := New()
	tests := []struct {
		name        string
		stamped     uint64 // the term in the header
		logged      uint64 // the term in the log
		millis      int64
		leader      bool // with a LeaderStart
		clock       int64
		leadingTerm uint64
	}{
		{"no leader has started", 1, 1, 100, false, 0, 0},
		{"a leader's first entry only names the leader", 1, 1, 200, true, 0, 1},
		{"its stamps count", 1, 1, 300, false, 300, 1},
		{"it does not go back", 1, 1, 250, false, 300, 1},
		{"a stamp of another term does not count", 2, 1, 400, false, 300, 1},
		{"nor of an older one", 0, 1, 400, false, 300, 1},
		{"a new term's entries do not count before its LeaderStart", 2, 2, 400, false, 300, 1},
		{"a new leader starts", 2, 2, 500, true, 300, 2},
		{"the old one's stamps do not count", 1, 2, 600, false, 300, 2},
		{"the new one's do", 2, 2, 301, false, 301, 2},
	}
	for i, tt := range tests {
		buf, ops := make([]byte, HeaderSize), 0
		if tt.leader {
			buf, ops = (&LeaderStart{Term: tt.stamped, Node: "n1"}).AppendTo(buf), 1
		}
		SealEntry(buf, Header{Term: tt.stamped, ClusterMillis: tt.millis}, ops)
		e, err := OpenEntry(buf)
		if err != nil {
			t.Fatal(err)
		}
		e.Index, e.LogTerm = uint64(i+1), tt.logged
		if _, err := m.Apply(&e, nil); err != nil {
			t.Fatal(err)
		}
		v := m.View()
		if v.ClusterMillis() != tt.clock || v.LeaderTerm() != tt.leadingTerm || v.Term() != tt.logged {
			t.Errorf("%s: clock %d, leader term %d, term %d", tt.name, v.ClusterMillis(), v.LeaderTerm(), v.Term())
		}
	}
	if root, _ := m.View().Lookup(nil); root.Updated != (Stamp{}) {
		t.Errorf("a leader's start moved the root to %v", root.Updated)
	}
}

func TestBytesThatAreNoOperationsStopTheMachineUnchanged(t *testing.T) {
	l := world(t)
	before, index := l.View().Digest(), l.View().Index()
	e := l.entry(set("v", "new"), set("w", "new"))
	e.ops = e.ops[:len(e.ops)-1]
	if _, err := l.Apply(e, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	if l.View().Digest() != before || l.View().Index() != index {
		t.Error("the state moved")
	}
}
