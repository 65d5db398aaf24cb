package fsm

import (
	"fmt"
	"testing"
)

// deep is a lab with directories a, a.b, a.b.c, a value in each, and a second branch that no test writes to.
func deep(t testing.TB) *lab {
	return newLab(t).must(&MakeDir{Key: []byte("a.b.c"), Parents: true}, set("a.v", "1"), set("a.b.v", "2"), set("a.b.c.v", "3"), mkdir("z"), set("z.v", "4"))
}

func TestAChangeStampsEveryDirectoryUpToTheRoot(t *testing.T) {
	tests := []struct {
		name  string
		op    Op
		moved []string // and no other node
	}{
		{"create", set("a.b.c.new", "x"), []string{"", "a", "a.b", "a.b.c", "a.b.c.new"}},
		{"overwrite", set("a.b.c.v", "x"), []string{"", "a", "a.b", "a.b.c", "a.b.c.v"}},
		{"overwrite with the same", set("a.b.c.v", "3"), []string{"", "a", "a.b", "a.b.c", "a.b.c.v"}},
		{"remove", del("a.b.c.v"), []string{"", "a", "a.b", "a.b.c"}},
		{"make a directory", mkdir("a.b.c.d"), []string{"", "a", "a.b", "a.b.c", "a.b.c.d"}},
		{"remove a directory", &RemoveDir{Key: []byte("a.b.c"), Recursive: true}, []string{"", "a", "a.b"}},
		{"higher up", set("a.v", "x"), []string{"", "a", "a.v"}},
		{"at the top", set("top", "x"), []string{"", "top"}},
		{"move from one branch to another", rename("a.b.v", "z.w"), []string{"", "a", "z", "a.b", "z.w"}},
		{"compare and set", cas("a.b.v", "2", "2"), []string{"", "a", "a.b", "a.b.v"}},
		{"increment", &Increment{[]byte("a.b.v"), 0}, []string{"", "a", "a.b", "a.b.v"}},

		{"make a directory that is there", mkdir("a.b.c"), nil},
		{"a condition that fails", &Set{Key: []byte("a.b.v"), If: IfAbsent}, nil},
		{"a comparison that fails", cas("a.b.v", "x", "y"), nil},
		{"a refusal", del("a.b.v", "a"), nil},
		{"nothing to remove", del("a.b.nope"), nil},
		{"nothing to append with SETRANGE", &SetRange{Key: []byte("a.b.v")}, nil},
		{"a name renamed to itself", rename("a.b.v", "a.b.v"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := deep(t)
			l.do(tt.op)
			now := l.View().Index()
			want := fmt.Sprintf("%q", tt.moved)
			var moved []string
			if root := l.node(""); root.Updated.Index == now {
				moved = append(moved, "")
			}
			l.View().Ascend(func(n *Node) bool {
				if n.Updated.Index == now {
					if n.Updated.Millis != 1000*int64(now) {
						t.Errorf("%s was updated at %v", n.Key, n.Updated)
					}
					moved = append(moved, n.Key)
				}
				return true
			})
			if got := fmt.Sprintf("%q", moved); got != want {
				t.Errorf("moved %s, want %s", got, want)
			}
			audit(t, l.View())
		})
	}
}

func TestAnOverwriteKeepsTheCreationAndANewNodeHasANewOne(t *testing.T) {
	l := newLab(t).must(mkdir("d"), set("d.v", "1"))
	first := l.node("d.v").Created
	for _, op := range []Op{
		set("d.v", "2"), &Append{[]byte("d.v"), []byte("0")}, &Increment{[]byte("d.v"), 1}, cas("d.v", "21", "3"), &SetMany{Pairs: list("d.v", "4")},
		&IncrementFloat{[]byte("d.v"), "1"}, &SetRange{[]byte("d.v"), 0, []byte("6")},
	} {
		l.must(op)
		if n := l.node("d.v"); n.Created != first || n.Updated.Index != l.View().Index() {
			t.Errorf("%s: created %v, updated %v", op, n.Created, n.Updated)
		}
	}
	l.must(del("d.v"), set("d.v", "new"))
	if n := l.node("d.v"); n.Created.Index != l.View().Index() {
		t.Errorf("after remove and create: created %v", n.Created)
	}
	l.must(del("d.v"), mkdir("d.v"), del("d.v"), set("d.v", "a value again")) // the kind may change with a new node
}

// However many writes an entry has below a directory, the directory moves once, to the one index they share.
func TestADirectoryIsCopiedOncePerEntry(t *testing.T) {
	l := deep(t)
	before := l.node("a.b.c")
	ops := []Op{}
	for i := range 100 {
		ops = append(ops, set(fmt.Sprintf("a.b.c.k%d", i), "x"))
	}
	l.all(ops...)
	after := l.node("a.b.c")
	if before.Children() != 1 || after.Children() != 101 || before == after {
		t.Errorf("before: %d children, after: %d", before.Children(), after.Children())
	}
	for _, key := range []string{"", "a", "a.b", "a.b.c", "a.b.c.k0", "a.b.c.k99"} {
		if n := l.node(key); n.Updated.Index != l.View().Index() {
			t.Errorf("%q was updated at %v", key, n.Updated)
		}
	}
	// Inside an entry a fresh directory is changed in place, but never behind the back of a journal.
	r := l.all(set("a.b.c.in", "x"), &SetMany{Pairs: list("a.b.c.m1", "1", "a.b.c.m2", "2", "a", "refused")}, set("a.b.c.out", "x"))
	if r[1].Err == nil || l.node("a.b.c").Children() != 103 {
		t.Errorf("%v, %d children", r[1], l.node("a.b.c").Children())
	}
	audit(t, l.View())
}
