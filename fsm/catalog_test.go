package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func founders(ids ...string) (list []Founder) {
	for _, id := range ids {
		list = append(list, Founder{ID: id, Address: id + ":1", Voter: true})
	}
	return list
}

func addGroup(id int, nodes ...string) *AddGroup {
	return &AddGroup{ID: id, Founders: founders(nodes...)}
}

// shown is the catalogue as text.
func shown(v View) string {
	var b strings.Builder
	for _, r := range v.Groups() {
		fmt.Fprintf(&b, "%d/%d", r.ID, r.Generation)
		if r.Everywhere {
			b.WriteString(" everywhere")
		}
		for _, f := range r.Founders {
			fmt.Fprintf(&b, " %s%s%s", f.ID, option(f.Voter, "v"), option(f.Left, "left"))
		}
		b.WriteString(":")
		for _, n := range r.Nodes {
			fmt.Fprintf(&b, " %s%s", n.ID, option(n.Voter, "v"))
		}
		b.WriteString("\n")
	}
	return b.String() + strings.Join(v.Leaving(), " ")
}

func TestTheCatalogueKnowsGroupsByGeneration(t *testing.T) {
	l := newLab(t)
	if r := l.do(addGroup(3, "n2", "n1")); r.Err != nil || r.Int != 1 {
		t.Fatalf("add: %+v", r)
	}
	l.must(&AddGroup{ID: 1, Everywhere: true, Founders: founders("n1")})
	if got, want := shown(l.View()), "1/2 everywhere n1 v:\n3/1 n2 v n1 v: n1 v n2 v\n"; got != want {
		t.Fatalf("got\n%s, want\n%s", got, want)
	}
	before := l.View().Digest()
	for _, bad := range []struct {
		name string
		op   Op
		want error
	}{
		{"a group that is there", addGroup(3, "n1"), ErrExists},
		{"group 0", addGroup(0, "n1"), ErrInvalid},
		{"a group above the greatest", addGroup(MaxGroup+1, "n1"), ErrInvalid},
		{"a group of nobody", addGroup(4), ErrInvalid},
		{"a group without a vote", &AddGroup{ID: 4, Founders: []Founder{{ID: "n1", Address: "a"}}}, ErrInvalid},
		{"a founder twice", addGroup(4, "n1", "n1"), ErrInvalid},
		{"a founder without an address", &AddGroup{ID: 4, Founders: []Founder{{ID: "n1", Voter: true}}}, ErrInvalid},
		{"a founder that has left", &AddGroup{ID: 4, Founders: []Founder{{ID: "n1", Address: "a", Voter: true, Left: true}}}, ErrInvalid},
		{"the removal of another generation", &RemoveGroup{3, 2}, ErrNoSuchKey},
		{"the removal of nothing", &RemoveGroup{4, 2}, ErrNoSuchKey},
		{"a node of another generation", &SetGroupNode{3, 2, "n3", Voter}, ErrNoSuchKey},
		{"a node of a group that lives everywhere", &SetGroupNode{1, 2, "n3", Voter}, ErrInvalid},
		{"a node without a name", &SetGroupNode{3, 1, "", Voter}, ErrInvalid},
		{"a long name that leaves", &NodeLeaves{strings.Repeat("n", 65), Leaves}, ErrInvalid},
	} {
		if r := l.do(bad.op); !errors.Is(r.Err, bad.want) {
			t.Errorf("%s: %v, want %v", bad.name, r.Err, bad.want)
		}
	}
	if l.View().Digest() != before {
		t.Error("a refusal changed something")
	}
	l.must(&RemoveGroup{3, 1}, addGroup(3, "n1"))
	if got := l.View().Groups()[1].Generation; got <= 2 {
		t.Errorf("the id came back with generation %d", got)
	}
}

func TestNodesComeAndGoInTheCatalogue(t *testing.T) {
	l := newLab(t).must(addGroup(3, "n1", "n2"), &AddGroup{ID: 4, Everywhere: true, Founders: founders("n1", "n2")})
	steps := []struct {
		op   Op
		want string
	}{
		{&SetGroupNode{3, 1, "n3", Learner}, "3/1 n1 v n2 v: n1 v n2 v n3\n4/2 everywhere n1 v n2 v:\n"},
		{&SetGroupNode{3, 1, "n3", Voter}, "3/1 n1 v n2 v: n1 v n2 v n3 v\n4/2 everywhere n1 v n2 v:\n"},
		{&SetGroupNode{3, 1, "n1", NoRole}, "3/1 n1 v left n2 v: n2 v n3 v\n4/2 everywhere n1 v n2 v:\n"},
		{&SetGroupNode{3, 1, "n1", Learner}, "3/1 n1 v left n2 v: n1 n2 v n3 v\n4/2 everywhere n1 v n2 v:\n"},
		{&NodeLeaves{"n2", Leaves}, "3/1 n1 v left n2 v: n1 n2 v n3 v\n4/2 everywhere n1 v n2 v:\nn2"},
		{&NodeLeaves{"n2", Leaves}, "3/1 n1 v left n2 v: n1 n2 v n3 v\n4/2 everywhere n1 v n2 v:\nn2"},
		{&NodeLeaves{"n2", Stays}, "3/1 n1 v left n2 v: n1 n2 v n3 v\n4/2 everywhere n1 v n2 v:\n"},
		{&NodeLeaves{"n2", Leaves}, "3/1 n1 v left n2 v: n1 n2 v n3 v\n4/2 everywhere n1 v n2 v:\nn2"},
		{&NodeLeaves{"n2", Gone}, "3/1 n1 v left n2 v left: n1 n3 v\n4/2 everywhere n1 v n2 v left:\n"},
	}
	for _, s := range steps {
		frozen, old := l.Freeze(), shown(l.View())
		index := l.View().CatalogIndex()
		l.must(s.op)
		if got := shown(l.View()); got != s.want {
			t.Errorf("%s: got\n%s, want\n%s", s.op, got, s.want)
		}
		if shown(frozen) != old {
			t.Errorf("%s: a frozen copy has changed", s.op)
		}
		if l.View().CatalogIndex() <= index {
			t.Errorf("%s: the catalogue's index stands at %d", s.op, index)
		}
		if again := restored(t, l.Machine); shown(again.View()) != s.want || again.View().Digest() != l.View().Digest() {
			t.Errorf("%s: it is another one after a restart", s.op)
		}
	}
	if r := l.do(&SetGroupNode{3, 1, "n3", Learner}); !errors.Is(r.Err, ErrInvalid) {
		t.Errorf("the last voter went: %v", r.Err)
	}
	for i := range MaxGroupNodes {
		l.must(&NodeLeaves{fmt.Sprint("m", i), Leaves})
	}
	if r := l.do(&NodeLeaves{"one more", Leaves}); !errors.Is(r.Err, ErrInvalid) {
		t.Errorf("more nodes leave than there can be: %v", r.Err)
	}
}

func TestKeysAndTheCatalogueLeaveEachOtherAlone(t *testing.T) {
	l := newLab(t).must(set("k", "v"))
	index := l.View().CatalogIndex()
	l.must(addGroup(3, "n1"))
	if n := len(l.Events()); n != 0 || l.View().Nodes() != 1 {
		t.Errorf("a group is %d events and among %d nodes", n, l.View().Nodes())
	}
	if l.View().CatalogIndex() == index {
		t.Error("nobody hears of the group")
	}
	index = l.View().CatalogIndex()
	l.must(&Flush{}, set("k", "v"))
	if len(l.View().Groups()) != 1 || l.View().CatalogIndex() != index {
		t.Error("keys change the catalogue")
	}
	for _, op := range []Op{&Batch{Ops: []Op{addGroup(4, "n1")}}, &Txn{Ops: []Op{&NodeLeaves{"n1", Leaves}}}} {
		e := l.entry(op)
		if _, err := l.Apply(e, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func randomCatalogOp(rng *rand.Rand, now []GroupRecord) Op {
	node := func() string { return fmt.Sprint("n", rng.IntN(5)) }
	id, generation := rng.IntN(5), uint64(rng.IntN(20))
	if len(now) > 0 && rng.IntN(5) > 0 {
		r := now[rng.IntN(len(now))]
		id, generation = r.ID, r.Generation
	}
	switch rng.IntN(5) {
	case 0, 1:
		op := &AddGroup{ID: 1 + rng.IntN(5), Everywhere: rng.IntN(3) == 0}
		for range 1 + rng.IntN(3) {
			n := node()
			op.Founders = append(op.Founders, Founder{ID: n, Address: n, Voter: rng.IntN(3) > 0})
		}
		return op
	case 2:
		return &SetGroupNode{id, generation, node(), Role(rng.IntN(3))}
	case 3:
		return &NodeLeaves{node(), Departure(rng.IntN(3))}
	}
	if rng.IntN(3) > 0 {
		return &SetGroupNode{id, generation, node(), Voter}
	}
	return &RemoveGroup{id, generation}
}

// catalogModel is the catalogue as plainly as can be.
type catalogModel struct {
	groups  map[int]*modelGroup
	leaving map[string]bool
}

type modelGroup struct {
	generation uint64
	everywhere bool
	founders   []Founder
	nodes      map[string]bool // to vote
}

// apply reports whether the operation was carried out.
func (m *catalogModel) apply(op Op, index uint64) bool {
	switch o := op.(type) {
	case *AddGroup:
		g := &modelGroup{index, o.Everywhere, slices.Clone(o.Founders), map[string]bool{}}
		seen, voters := map[string]bool{}, 0
		for _, f := range o.Founders {
			if seen[f.ID] {
				return false
			}
			seen[f.ID] = true
			if f.Voter {
				voters++
			}
			if !o.Everywhere {
				g.nodes[f.ID] = f.Voter
			}
		}
		if m.groups[o.ID] != nil || voters == 0 {
			return false
		}
		m.groups[o.ID] = g
	case *RemoveGroup:
		if g := m.groups[o.ID]; g == nil || g.generation != o.Generation {
			return false
		}
		delete(m.groups, o.ID)
	case *SetGroupNode:
		g := m.groups[o.ID]
		if g == nil || g.generation != o.Generation || g.everywhere {
			return false
		}
		nodes := maps.Clone(g.nodes)
		if nodes[o.Node] = o.Role == Voter; o.Role == NoRole {
			delete(nodes, o.Node)
		}
		if !slices.Contains(slices.Collect(maps.Values(nodes)), true) {
			return false
		}
		if g.nodes = nodes; o.Role == NoRole {
			g.left(o.Node)
		}
	case *NodeLeaves:
		if delete(m.leaving, o.Node); o.Step == Leaves {
			m.leaving[o.Node] = true
		}
		if o.Step == Gone {
			for _, g := range m.groups {
				delete(g.nodes, o.Node)
				g.left(o.Node)
			}
		}
	}
	return true
}

func (g *modelGroup) left(node string) {
	for i := range g.founders {
		if g.founders[i].ID == node {
			g.founders[i].Left = true
		}
	}
}

// view is the state that a machine should be in.
func (m *catalogModel) view() View {
	c := &catalog{}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		r := GroupRecord{ID: id, Generation: g.generation, Everywhere: g.everywhere, Founders: g.founders}
		for _, n := range slices.Sorted(maps.Keys(g.nodes)) {
			r.Nodes = append(r.Nodes, GroupNode{n, g.nodes[n]})
		}
		c.groups = append(c.groups, r)
	}
	c.leaving = slices.Sorted(maps.Keys(m.leaving))
	return View{&state{catalog: c}}
}

func TestRandomChangesOfTheCatalogueGoAsInTheModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		l, m := newLab(t), &catalogModel{map[int]*modelGroup{}, map[string]bool{}}
		done := 0
		for range 200 {
			op := randomCatalogOp(rng, l.View().Groups())
			r := l.do(op)
			if want := m.apply(op, l.View().Index()); (r.Err == nil) != want {
				t.Fatalf("seed %d: %s: %v, want done: %v", seed, op, r.Err, want)
			}
			if r.Err == nil {
				done++
			}
			if got, want := shown(l.View()), shown(m.view()); got != want {
				t.Fatalf("seed %d: %s: got\n%s, want\n%s", seed, op, got, want)
			}
			if rng.IntN(10) == 0 {
				l.Machine = restored(t, l.Machine)
			}
		}
		if done < 50 {
			t.Errorf("seed %d: only %d operations did anything", seed, done)
		}
	}
}

// Right checksums over a catalogue that cannot be, as from a writer with a defect.
func TestACatalogueThatCannotBeIsRefused(t *testing.T) {
	group := func(id int, generation uint64) GroupRecord {
		return GroupRecord{ID: id, Generation: generation, Founders: founders("n1"), Nodes: []GroupNode{{"n1", true}}}
	}
	with := func(change func(*GroupRecord)) catalog {
		r := group(1, 1)
		change(&r)
		return catalog{groups: []GroupRecord{r}}
	}
	for _, tt := range []struct {
		name string
		c    catalog
		more int // records that the header claims beside those there are
		ok   bool
	}{
		{"one that can be", catalog{groups: []GroupRecord{group(1, 5), group(2, 1)}, leaving: []string{"a", "b"}}, 0, true},
		{"ids out of order", catalog{groups: []GroupRecord{group(2, 1), group(1, 1)}}, 0, false},
		{"an id twice", catalog{groups: []GroupRecord{group(1, 1), group(1, 2)}}, 0, false},
		{"group 0", catalog{groups: []GroupRecord{group(0, 1)}}, 0, false},
		{"an id that is too great", catalog{groups: []GroupRecord{group(256, 1)}}, 0, false},
		{"a generation to come", catalog{groups: []GroupRecord{group(1, 6)}}, 0, false},
		{"no generation", catalog{groups: []GroupRecord{group(1, 0)}}, 0, false},
		{"no founder", with(func(r *GroupRecord) { r.Founders = nil }), 0, false},
		{"nodes out of order", with(func(r *GroupRecord) { r.Nodes = []GroupNode{{"b", true}, {"a", true}} }), 0, false},
		{"everywhere, and on some", with(func(r *GroupRecord) { r.Everywhere = true }), 0, false},
		{"leaving nodes out of order", catalog{leaving: []string{"b", "a"}}, 0, false},
		{"a leaving node without a name", catalog{leaving: []string{""}}, 0, false},
		{"a record too few", catalog{groups: []GroupRecord{group(1, 1)}}, 1, false},
		{"a record too many", catalog{groups: []GroupRecord{group(1, 1)}}, -1, false},
	} {
		var s state
		s.init(xxhash)
		s.index, s.catalog = 5, &tt.c
		var file bytes.Buffer
		if err := WriteSnapshot(&file, View{&s}); err != nil {
			t.Fatal(err)
		}
		data := file.Bytes()
		binary.LittleEndian.PutUint64(data[72:], uint64(tt.c.records()+tt.more))
		mendSums(data)
		m, err := ReadSnapshot(bytes.NewReader(data))
		if tt.ok && (err != nil || shown(m.View()) != shown(View{&s})) || !tt.ok && (!errors.Is(err, ErrCorrupt) || m != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The bytes are in docs/format.md as an example.
func TestARecordOfTheCatalogueHasTheseBytes(t *testing.T) {
	l := newLab(t).must(set("a", "1"), &AddGroup{ID: 3, Founders: []Founder{{ID: "n1", Address: "h:7", Voter: true}, {ID: "n2", Address: "h:8"}}},
		&SetGroupNode{3, 2, "n2", NoRole})
	var got []byte
	l.View().s.catalog.each(func(record []byte) { got = append(got, record...) })
	if want := "01 03 02 00 02 026e31 03683a37 01 026e32 03683a38 02 01 026e31 01"; fmt.Sprintf("%x", got) != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %x, want %s", got, want)
	}
}
