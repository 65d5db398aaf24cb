package fsm

import (
	"bytes"
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	with := func(key, value string, c Condition, match string) *Set {
		return &Set{Key: []byte(key), Value: []byte(value), If: c, Match: []byte(match)}
	}
	get := func(s *Set) *Set { s.Get = true; return s }
	digest := ValueDigest("old")
	other := ValueDigest("other")
	run(t, []step{
		{"creates", set("new", "x"), "1", "new", `"x"`},
		{"overwrites", set("v", "x"), "1", "v", `"x"`},
		{"stores an empty value", set("v", ""), "1", "v", `""`},
		{"never overwrites a directory", set("d", "x"), wrongType, "d", "dir"},
		{"never overwrites an empty directory", set("empty", "x"), wrongType, "empty", "dir"},

		{"NX creates", with("new", "x", IfAbsent, ""), "1", "new", `"x"`},
		{"NX leaves a present key", with("v", "x", IfAbsent, ""), "0", "v", `"old"`},
		{"NX on a directory is refused", with("d", "x", IfAbsent, ""), wrongType, "d", "dir"},
		{"XX overwrites", with("v", "x", IfPresent, ""), "1", "v", `"x"`},
		{"XX leaves a missing key", with("new", "x", IfPresent, ""), "0", "new", "none"},
		{"IFEQ overwrites what is equal", with("v", "x", IfEqual, "old"), "1", "v", `"x"`},
		{"IFEQ leaves what is not", with("v", "x", IfEqual, "other"), "0", "v", `"old"`},
		{"IFEQ leaves a missing key", with("new", "x", IfEqual, ""), "0", "new", "none"},
		{"IFNE overwrites what is not equal", with("v", "x", IfNotEqual, "other"), "1", "v", `"x"`},
		{"IFNE leaves what is", with("v", "x", IfNotEqual, "old"), "0", "v", `"old"`},
		{"IFNE creates", with("new", "x", IfNotEqual, "old"), "1", "new", `"x"`},
		{"IFDEQ overwrites", with("v", "x", IfDigestEqual, digest), "1", "v", `"x"`},
		{"IFDEQ takes capitals", with("v", "x", IfDigestEqual, strings.ToUpper(digest)), "1", "v", `"x"`},
		{"IFDEQ leaves another", with("v", "x", IfDigestEqual, other), "0", "v", `"old"`},
		{"IFDEQ leaves a missing key", with("new", "x", IfDigestEqual, digest), "0", "new", "none"},
		{"IFDNE overwrites", with("v", "x", IfDigestNotEqual, other), "1", "v", `"x"`},
		{"IFDNE leaves the same", with("v", "x", IfDigestNotEqual, digest), "0", "v", `"old"`},
		{"IFDNE creates", with("new", "x", IfDigestNotEqual, digest), "1", "new", `"x"`},
		{"a short digest is refused", with("v", "x", IfDigestEqual, digest[1:]), outcome(refused(ErrBadDigest)), "v", `"old"`},
		{"a digest of other letters is refused, key or not", with("new", "x", IfDigestNotEqual, "g123456789abcdef"), outcome(refused(ErrBadDigest)), "", ""},

		{"GET shows the value before", get(with("v", "x", Always, "")), `1 found "old"`, "v", `"x"`},
		{"GET shows that there was none", get(with("new", "x", Always, "")), "1", "new", `"x"`},
		{"GET shows it when NX leaves it", get(with("v", "x", IfAbsent, "")), `0 found "old"`, "v", `"old"`},
		{"GET on a directory is refused", get(with("d", "x", Always, "")), wrongType, "d", "dir"},
	})
}

func TestSetMany(t *testing.T) {
	many := func(c Condition, pairs ...string) *SetMany { return &SetMany{Pairs: list(pairs...), If: c} }
	run(t, []step{
		{"sets all", many(Always, "v", "1", "new", "2", "d.v", "3"), "1", "new", `"2"`},
		{"the last value of a doubled key stays", many(Always, "x", "1", "x", "2"), "1", "x", `"2"`},
		{"none when one is a directory", many(Always, "v", "1", "new", "2", "d", "3"), wrongType, "new", "none"},
		{"none when one has no parent", many(Always, "v", "1", "new", "2", "no.x", "3"), noParent("no"), "v", `"old"`},
		{"a value is in the way of its own child", many(Always, "x", "1", "x.y", "2"), notDir("x"), "x", "none"},
		{"nothing is fine", many(Always), "1", "", ""},
		{"NX sets all when none is there", many(IfAbsent, "x", "1", "y", "2"), "1", "y", `"2"`},
		{"NX sets none when one is there", many(IfAbsent, "x", "1", "v", "2"), "0", "x", "none"},
		{"NX lets a key come twice", many(IfAbsent, "x", "1", "x", "2"), "1", "x", `"2"`},
		{"NX is refused by a directory", many(IfAbsent, "x", "1", "d", "2"), wrongType, "x", "none"},
		{"XX sets all when all are there", many(IfPresent, "v", "1", "n", "2"), "1", "n", `"2"`},
		{"XX sets none when one is missing", many(IfPresent, "v", "1", "x", "2"), "0", "v", `"old"`},
	})
}

func TestAppendAndSetRange(t *testing.T) {
	add := func(key, value string) *Append { return &Append{[]byte(key), []byte(value)} }
	put := func(key string, offset int64, value string) *SetRange {
		return &SetRange{[]byte(key), offset, []byte(value)}
	}
	run(t, []step{
		{"APPEND appends", add("v", "er"), "5", "v", `"older"`},
		{"APPEND creates", add("new", "x"), "1", "new", `"x"`},
		{"APPEND of nothing creates an empty value", add("new", ""), "0", "new", `""`},
		{"APPEND to a directory", add("d", "x"), wrongType, "d", "dir"},
		{"SETRANGE overwrites the middle", put("v", 1, "x"), "3", "v", `"oxd"`},
		{"SETRANGE overwrites the end and more", put("v", 2, "xyz"), "5", "v", `"olxyz"`},
		{"SETRANGE fills a gap with zeros", put("v", 5, "x"), "6", "v", `"old\x00\x00x"`},
		{"SETRANGE creates", put("new", 2, "x"), "3", "new", `"\x00\x00x"`},
		{"SETRANGE of nothing creates nothing", put("new", 2, ""), "0", "new", "none"},
		{"SETRANGE of nothing below a missing directory is no matter", put("no.x", 2, ""), "0", "", ""},
		{"SETRANGE of nothing leaves a value", put("v", 100, ""), "3", "v", `"old"`},
		{"SETRANGE in a directory", put("d", 0, "x"), wrongType, "d", "dir"},
		{"SETRANGE before the beginning", put("v", -1, "x"), outcome(refused(ErrBadOffset)), "v", `"old"`},
		{"SETRANGE at the end of the world", put("v", 1<<63-1, "x"), tooLong, "v", `"old"`},
		{"SETRANGE to the limit", put("new", 1<<20-1, "x"), "1048576", "", ""},
		{"SETRANGE beyond the limit", put("new", 1<<20, "x"), tooLong, "new", "none"},
	})
}

func TestNoOperationStoresAValueBeyondTheLimit(t *testing.T) {
	const limit = 100
	fits, long := strings.Repeat("x", limit), strings.Repeat("x", limit+1)
	for _, op := range []struct{ fits, long Op }{
		{set("new", fits), set("new", long)},
		{&Set{Key: []byte("new"), Value: []byte(fits), If: IfAbsent}, &Set{Key: []byte("new"), Value: []byte(long), If: IfAbsent}},
		{&SetMany{Pairs: list("a", "1", "new", fits)}, &SetMany{Pairs: list("a", "1", "new", long)}},
		{&Append{[]byte("v"), []byte(fits[3:])}, &Append{[]byte("v"), []byte(fits[2:])}},
		{&Append{[]byte("new"), []byte(fits)}, &Append{[]byte("new"), []byte(long)}},
		{&SetRange{[]byte("v"), 90, []byte(fits[90:])}, &SetRange{[]byte("v"), 90, []byte(fits[89:])}},
		{cas("new", "", fits), cas("new", "", long)},
		{cas("v", "old", fits), cas("v", "old", long)},
		{&IncrementFloat{[]byte("n"), "1e98"}, &IncrementFloat{[]byte("n"), "1e101"}},
	} {
		l := world(t)
		l.header.MaxValue = limit
		before := l.View().Digest()
		if got := outcome(l.do(op.long)); got != tooLong {
			t.Errorf("%s: %s", op.long, got)
		}
		if l.View().Digest() != before {
			t.Errorf("%s changed the state", op.long)
		}
		if r := l.do(op.fits); r.Err != nil {
			t.Errorf("%s: %v", op.fits, r.Err)
		}
	}
	l := newLab(t)
	l.header.MaxValue = 0
	if got := outcome(l.do(&Set{Key: []byte("k"), Value: make([]byte, DefaultMaxValue+1)})); got != tooLong {
		t.Errorf("without a limit in the header: %s", got)
	}
	l.must(&Set{Key: []byte("k"), Value: make([]byte, DefaultMaxValue)})
}

func TestIncrement(t *testing.T) {
	by := func(key string, n int64) *Increment { return &Increment{[]byte(key), n} }
	run(t, []step{
		{"adds", by("n", 5), "15", "n", `"15"`},
		{"subtracts", by("n", -11), "-1", "n", `"-1"`},
		{"adds nothing", by("n", 0), "10", "n", `"10"`},
		{"starts at zero", by("new", 3), "3", "new", `"3"`},
		{"to the greatest number", by("n", 1<<63-11), "9223372036854775807", "", ""},
		{"not beyond it", by("n", 1<<63-10), outcome(refused(ErrOverflow)), "n", `"10"`},
		{"to the least number from zero", by("new", -1<<63), "-9223372036854775808", "", ""},
		{"what is no number", by("v", 1), outcome(refused(ErrNotInteger)), "v", `"old"`},
		{"a directory", by("d", 1), wrongType, "d", "dir"},
	})
	l := newLab(t).must(set("n", "-2"))
	if got := outcome(l.do(by("n", -1<<63))); got != outcome(refused(ErrOverflow)) {
		t.Errorf("below the least number: %s", got)
	}
}

func TestAnIntegerIsWrittenAsRedisWritesIt(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "9223372036854775807", "-9223372036854775808", "10"} {
		if _, ok := parseInteger(text); !ok {
			t.Errorf("%q was refused", text)
		}
	}
	for _, text := range []string{
		"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1.0", "1e3", "0x1", "1_0", "9223372036854775808", "-9223372036854775809",
		"99999999999999999999999", "٣", "1\x00",
	} {
		if _, ok := parseInteger(text); ok {
			t.Errorf("%q was taken for an integer", text)
		}
	}
}

func TestRemove(t *testing.T) {
	l := world(t).must(mkdir("empty.sub"))
	before := l.View().Digest()
	if got := outcome(l.do(del("n", "empty.sub", "v", "d"))); got != notEmpty("d") {
		t.Errorf("got %s", got)
	}
	if l.View().Digest() != before {
		t.Error("a refused DEL left something undone")
	}
	run(t, []step{
		{"a value", del("v"), "1", "v", "none"},
		{"an empty directory", del("empty"), "1", "empty", "none"},
		{"what is missing counts nothing", del("nope", "v"), "1", "v", "none"},
		{"a doubled key counts once", del("v", "v"), "1", "v", "none"},
		{"a directory with children is refused", del("d"), notEmpty("d"), "d", "dir"},
		{"and then nothing is removed", del("v", "d"), notEmpty("d"), "v", `"old"`},
		{"a directory after its children", del("d.sub.v", "d.sub", "d.v", "d"), "4", "d", "none"},
		{"a directory before its children is refused", del("d", "d.sub.v", "d.sub", "d.v"), notEmpty("d"), "d.v", `"deep"`},
		{"a directory before the last of its children", del("d.v", "d.sub.v", "d", "d.sub"), notEmpty("d"), "d.sub.v", `"deeper"`},
	})
}

func TestRemoveIf(t *testing.T) {
	rm := func(key string, c Condition, match string) *RemoveIf {
		return &RemoveIf{Key: []byte(key), If: c, Match: []byte(match)}
	}
	digest, other := ValueDigest("old"), ValueDigest("other")
	run(t, []step{
		{"without condition a value", rm("v", Always, ""), "1", "v", "none"},
		{"without condition an empty directory", rm("empty", Always, ""), "1", "empty", "none"},
		{"without condition a full directory", rm("d", Always, ""), notEmpty("d"), "d", "dir"},
		{"without condition nothing", rm("nope", Always, ""), "0", "", ""},
		{"IFEQ", rm("v", IfEqual, "old"), "1", "v", "none"},
		{"IFEQ of another", rm("v", IfEqual, "other"), "0", "v", `"old"`},
		{"IFEQ of a missing key", rm("nope", IfEqual, ""), "0", "", ""},
		{"IFNE", rm("v", IfNotEqual, "other"), "1", "v", "none"},
		{"IFNE of the same", rm("v", IfNotEqual, "old"), "0", "v", `"old"`},
		{"IFNE of a missing key", rm("nope", IfNotEqual, "x"), "0", "", ""},
		{"IFDEQ", rm("v", IfDigestEqual, strings.ToUpper(digest)), "1", "v", "none"},
		{"IFDEQ of another", rm("v", IfDigestEqual, other), "0", "v", `"old"`},
		{"IFDNE", rm("v", IfDigestNotEqual, other), "1", "v", "none"},
		{"IFDNE of the same", rm("v", IfDigestNotEqual, digest), "0", "v", `"old"`},
		{"a digest that is none", rm("v", IfDigestEqual, "old"), outcome(refused(ErrBadDigest)), "v", `"old"`},
		{"a directory with a condition", rm("empty", IfEqual, ""), wrongType, "empty", "dir"},
	})
}

func TestGetDel(t *testing.T) {
	run(t, []step{
		{"a value", &GetDel{Key: []byte("v")}, `0 found "old"`, "v", "none"},
		{"a missing key", &GetDel{Key: []byte("nope")}, "0", "", ""},
		{"a directory", &GetDel{Key: []byte("empty")}, wrongType, "empty", "dir"},
	})
}

func TestRename(t *testing.T) {
	nx := func(from, to string) *Rename { return &Rename{[]byte(from), []byte(to), true} }
	exists := func(path string) string { return outcome(refused(&Refusal{Code: Exists, Path: path})) }
	into := func(path string) string { return outcome(refused(&Refusal{Code: IntoItself, Path: path})) }
	gone := outcome(refused(ErrNoSuchKey))
	run(t, []step{
		{"a value", rename("v", "w"), "1", "w", `"old"`},
		{"a value leaves its place", rename("v", "w"), "1", "v", "none"},
		{"a value over a value", rename("v", "n"), "1", "n", `"old"`},
		{"a value into a directory", rename("v", "d.w"), "1", "d.w", `"old"`},
		{"a value over a directory", rename("v", "d"), wrongType, "v", `"old"`},
		{"a value over an empty directory", rename("v", "empty"), wrongType, "v", `"old"`},
		{"a missing key", rename("nope", "w"), gone, "w", "none"},
		{"a missing key to itself", rename("nope", "nope"), gone, "", ""},
		{"a value to itself", rename("v", "v"), "1", "v", `"old"`},
		{"a directory to itself", rename("d", "d"), "1", "d.v", `"deep"`},
		{"NX to a free place", nx("v", "w"), "1", "w", `"old"`},
		{"NX over a value", nx("v", "n"), "0", "n", `"10"`},
		{"NX over a directory", nx("v", "d"), "0", "d", "dir"},
		{"NX to itself", nx("v", "v"), "0", "v", `"old"`},
		{"NX of a missing key", nx("nope", "v"), gone, "", ""},
		{"a directory with all below it", rename("d", "e"), "1", "e.sub.v", `"deeper"`},
		{"a directory leaves nothing behind", rename("d", "e"), "1", "d.sub.v", "none"},
		{"a directory deeper", rename("d", "empty.d"), "1", "empty.d.sub.v", `"deeper"`},
		{"a directory higher", rename("d.sub", "sub"), "1", "sub.v", `"deeper"`},
		{"a directory over a value", rename("d", "v"), exists("v"), "d.v", `"deep"`},
		{"a directory over a directory", rename("d", "empty"), exists("empty"), "d.v", `"deep"`},
		{"a directory over its own child", rename("d", "d.v"), into("d"), "d.v", `"deep"`},
		{"a directory into itself", rename("d", "d.x"), into("d"), "d.v", `"deep"`},
		{"a directory into its own child", rename("d", "d.sub.d"), into("d"), "d.v", `"deep"`},
		{"a directory whose name only begins like its own", rename("d", "dd"), "1", "dd.v", `"deep"`},
		{"a directory over its parent", rename("d.sub", "d"), exists("d"), "d.sub.v", `"deeper"`},
		{"NX of a directory over a directory", nx("d", "empty"), "0", "d.v", `"deep"`},
		{"a directory to where there is no parent", rename("d", "no.d"), noParent("no"), "d.v", `"deep"`},
		{"a directory below a value", rename("d", "v.d"), notDir("v"), "d.v", `"deep"`},
	})

	l := world(t)
	was := l.node("d.sub.v").Created
	l.must(rename("d", "empty.d"))
	now := l.node("empty.d.sub.v")
	if now.Created == was || now.Created != now.Updated || now.Created.Index != l.View().Index() {
		t.Errorf("what moved was created at %v before and %v now, updated %v", was, now.Created, now.Updated)
	}
	if root := l.node(""); root.Updated.Index != l.View().Index() {
		t.Errorf("the root was updated at %v", root.Updated)
	}
}

func TestCopy(t *testing.T) {
	cp := func(from, to string, replace bool) *Copy { return &Copy{[]byte(from), []byte(to), replace} }
	run(t, []step{
		{"to a free place", cp("v", "w", false), "1", "w", `"old"`},
		{"the source stays", cp("v", "w", false), "1", "v", `"old"`},
		{"a missing source", cp("nope", "w", true), "0", "w", "none"},
		{"not over a value", cp("v", "n", false), "0", "n", `"10"`},
		{"over a value", cp("v", "n", true), "1", "n", `"old"`},
		{"a directory", cp("d", "w", true), wrongType, "w", "none"},
		{"not over a directory", cp("v", "d", false), "0", "d", "dir"},
		{"not even with REPLACE", cp("v", "d", true), wrongType, "d", "dir"},
		{"to itself", cp("v", "v", true), "0", "v", `"old"`},
	})
}

func TestMakeDir(t *testing.T) {
	chain := func(key string) *MakeDir { return &MakeDir{Key: []byte(key), Parents: true} }
	run(t, []step{
		{"where nothing is", mkdir("new"), "1", "new", "dir"},
		{"where a directory is", mkdir("d"), "0", "d", "dir"},
		{"where a value is", mkdir("v"), wrongType, "v", `"old"`},
		{"in a directory", mkdir("d.new"), "1", "d.new", "dir"},
		{"a chain", chain("a.b.c"), "1", "a.b.c", "dir"},
		{"the rest of a chain", chain("d.sub.a.b"), "1", "d.sub.a.b", "dir"},
		{"a chain that is there", chain("d.sub"), "0", "d.sub", "dir"},
		{"a chain through a value", chain("d.v.x"), notDir("d.v"), "d.v", `"deep"`},
		{"a chain onto a value", chain("d.v"), wrongType, "d.v", `"deep"`},
	})
}

func TestRemoveDir(t *testing.T) {
	rm := func(key string, all bool) *RemoveDir { return &RemoveDir{Key: []byte(key), Recursive: all} }
	run(t, []step{
		{"an empty one", rm("empty", false), "1", "empty", "none"},
		{"a missing one", rm("nope", false), "0", "", ""},
		{"a value", rm("v", false), wrongType, "v", `"old"`},
		{"a value, recursively", rm("v", true), wrongType, "v", `"old"`},
		{"one with children", rm("d", false), notEmpty("d"), "d", "dir"},
		{"one with children, recursively", rm("d", true), "4", "d.sub.v", "none"},
		{"one inside another, recursively", rm("d.sub", true), "2", "d.v", `"deep"`},
		{"an empty one, recursively", rm("empty", true), "1", "empty", "none"},
	})
}

func TestCompareAndSet(t *testing.T) {
	run(t, []step{
		{"nothing expected, nothing there", cas("new", "", "x"), "1", "new", `"x"`},
		{"nothing expected, a value there", cas("v", "", "x"), "0", "v", `"old"`},
		{"nothing expected, a directory there", cas("d", "", "x"), "0", "d", "dir"},
		{"the value expected", cas("v", "old", "x"), "1", "v", `"x"`},
		{"the value expected, to be removed", cas("v", "old", ""), "1", "v", "none"},
		{"another value expected", cas("v", "other", "x"), "0", "v", `"old"`},
		{"another value expected, to be removed", cas("v", "other", ""), "0", "v", `"old"`},
		{"a value expected, nothing there", cas("nope", "old", "x"), "0", "nope", "none"},
		{"a value expected, a directory there", cas("d", "old", "x"), "0", "d", "dir"},
		{"nothing to nothing", cas("v", "", ""), outcome(refused(ErrInvalid)), "v", `"old"`},
		{"nothing to nothing comes before the parent", cas("no.x", "", ""), outcome(refused(ErrInvalid)), "", ""},
		{"the parent comes before comparing", cas("no.x", "old", "x"), noParent("no"), "", ""},
		{"the parent comes before removing", cas("no.x", "old", ""), noParent("no"), "", ""},
		{"below a value", cas("v.x", "old", "x"), notDir("v"), "", ""},
	})
	l := world(t)
	before := l.node("v")
	l.must(cas("v", "old", "old"))
	if now := l.node("v"); now.Updated.Index != l.View().Index() || now.Created != before.Created {
		t.Errorf("to the same value: created %v, updated %v", now.Created, now.Updated)
	}
}

func TestFlush(t *testing.T) {
	l := world(t)
	if got := outcome(l.do(&Flush{})); got != "7" {
		t.Errorf("got %s", got)
	}
	root := l.node("")
	if root.Children() != 0 || root.Updated.Index != l.View().Index() || l.View().Nodes() != 0 {
		t.Errorf("the root has %d children, updated %v; %d nodes", root.Children(), root.Updated, l.View().Nodes())
	}
	if got := outcome(l.do(&Flush{})); got != "0" {
		t.Errorf("again: %s", got)
	}
	if now := l.node(""); now.Updated != root.Updated {
		t.Error("flushing nothing moved the root")
	}
	l.must(set("v", "x"))
	audit(t, l.View())
}

func TestABatchGoesOnAfterARefusal(t *testing.T) {
	l := world(t)
	r := l.do(&Batch{Ops: []Op{
		set("v", "1"), set("no.x", "2"), mkdir("no"), set("no.x", "3"), set("d", "4"), del("v"), del("v"), del("d"), set("v", "5"), set("v", "6"),
	}})
	want := strings.Join([]string{"0", "1", noParent("no"), "1", "1", wrongType, "1", "0", notEmpty("d"), "1", "1"}, ", ")
	if got := outcome(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v, x := l.node("v"), l.node("no.x")
	if v.Value != "6" || v.Updated != x.Updated || v.Created.Index != l.View().Index() {
		t.Errorf("v is %q, created %v, updated %v; no.x updated %v", v.Value, v.Created, v.Updated, x.Updated)
	}
	audit(t, l.View())
	if got := outcome(l.do(&Batch{})); got != "0" {
		t.Errorf("an empty batch: %s", got)
	}
}

func TestATransactionLooksAtItsWatchesFirst(t *testing.T) {
	version := func(l *lab, key string) uint64 {
		if n, ok := l.View().Lookup([]byte(key)); ok {
			return n.Updated.Index
		}
		return 0
	}
	tests := []struct {
		name    string
		watch   string
		between Op // in an entry between the watch and the transaction
		done    bool
	}{
		{"nothing happened", "v", set("n", "1"), true},
		{"the key changed", "v", set("v", "old"), false},
		{"the key was removed", "v", del("v"), false},
		{"a missing key is still missing", "new", set("n", "1"), true},
		{"a missing key came", "new", set("new", "1"), false},
		{"something below the directory changed", "d", set("d.sub.v", "x"), false},
		{"something beside the directory changed", "d", set("v", "x"), true},
		{"a refused write is no change", "v", del("v", "d"), true},
		{"anything changes the root", "", set("v", "x"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := world(t)
			txn := &Txn{Watches: []Watch{{[]byte(tt.watch), version(l, tt.watch)}}, Ops: []Op{set("new", "txn"), set("no.x", ""), &Increment{[]byte("n"), 1}}}
			l.do(tt.between)
			r := l.do(txn)
			if r.Found != tt.done {
				t.Fatalf("carried out: %v", r.Found)
			}
			if !r.Found && (r.List != nil || l.get("new") == `"txn"`) {
				t.Errorf("aborted, and %v", r.List)
			}
			if r.Found && (len(r.List) != 3 || r.List[1].Err == nil || l.get("new") != `"txn"`) {
				t.Errorf("done, with %v", r.List)
			}
			audit(t, l.View())
		})
	}
}

func TestATransactionSeesAnOperationOfItsOwnEntryAsAChange(t *testing.T) {
	l := world(t)
	r := l.all(set("v", "x"), &Txn{Watches: []Watch{{[]byte("v"), l.node("v").Updated.Index}}, Ops: []Op{set("v", "y")}})
	if r[1].Found || l.get("v") != `"x"` {
		t.Errorf("it was carried out, v is %s", l.get("v"))
	}
}

func TestReadsInsideATransactionSeeTheStateBetweenItsOperations(t *testing.T) {
	l := world(t)
	e := l.entry(
		set("v", "before"),
		&Txn{Ops: []Op{set("v", "1"), &Batch{Ops: []Op{set("v", "2"), set("v", "3")}}, del("v")}},
		&Txn{Watches: []Watch{{[]byte("v"), 77}}, Ops: []Op{set("v", "never")}},
		&Txn{Ops: []Op{}},
	)
	var got []string
	_, err := l.Apply(e, func(op, pos int, v View) {
		value := "none"
		if n, ok := v.Lookup([]byte("v")); ok {
			value = n.Value
		}
		got = append(got, strings.Join([]string{string('0' + rune(op)), string('0' + rune(pos)), value}, " "))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "1 0 before, 1 1 1, 1 2 3, 1 3 none, 3 0 none"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestValueDigestIsWhatRedisPrints(t *testing.T) {
	if got := ValueDigest("Hello world"); got != "b6acb9d84a38ff74" {
		t.Errorf("got %s", got)
	}
	for i := range 2000 { // leading zeros are kept
		if got := ValueDigest(strings.Repeat("x", i)); len(got) != 16 || CheckDigest([]byte(got)) != nil || !sameDigest(strings.Repeat("x", i), []byte(got)) {
			t.Fatalf("of %d bytes: %s", i, got)
		}
	}
}

func TestResultsKeepNothingOfTheLog(t *testing.T) {
	l := newLab(t)
	r := l.all(set("a.b.c", "x"), set("key", "value"), &Set{Key: []byte("key"), Value: []byte("next"), Get: true})
	if got := r[0].Err.(*Refusal).Path; got != "a" { // the entry's bytes are zeros by now
		t.Errorf("the refusal names %q", got)
	}
	if r[2].Value != "value" || l.get("key") != `"next"` || !bytes.Equal([]byte(l.node("key").Key), []byte("key")) {
		t.Errorf("got %q, holds %s", r[2].Value, l.get("key"))
	}
}
