package fsm

import (
	"errors"
	"strings"
	"testing"
)

func TestEveryChangeOfANodeIsAnEvent(t *testing.T) {
	many := func(o Owner, keys ...string) *Remove { return &Remove{Keys: list(keys...), Owner: o} }
	runTimed(t, []timedStep{
		{"SET", 0, set("v", "y"), "1", "set v", "", ""},
		{"SET of the same value", 0, set("v", "old"), "1", "set v", "", ""},
		{"SETRANGE", 0, &SetRange{[]byte("v"), 1, []byte("y")}, "3", "setrange v", "", ""},
		{"SETRANGE of nothing", 0, &SetRange{[]byte("v"), 1, nil}, "3", "", "", ""},
		{"APPEND", 0, &Append{[]byte("v"), []byte("y")}, "4", "append v", "", ""},
		{"INCR", 0, &Increment{[]byte("n"), 1}, "11", "incrby n", "", ""},
		{"INCR of a missing key", 0, &Increment{[]byte("new"), 1}, "1", "incrby new", "", ""},
		{"INCRBYFLOAT", 0, &IncrementFloat{[]byte("n"), "1"}, `0 found "11"`, "incrbyfloat n", "", ""},
		{"MSET, one for each key", 0, &SetMany{Pairs: list("v", "1", "new", "2", "v", "3")}, "1", "set v, set new, set v", "v", `"3"`},
		{"MSET that is refused", 0, &SetMany{Pairs: list("v", "1", "d", "2")}, wrongType, "", "", ""},
		{"DEL, one for each key that was there", 0, many(Owner{}, "v", "nope", "n"), "2", "del v, del n", "", ""},
		{"DEL that is refused", 0, many(Owner{}, "v", "d"), notEmpty("d"), "", "", ""},
		{"GETDEL", 0, &GetDel{Key: []byte("v")}, `0 found "old"`, "del v", "", ""},
		{"DELEX", 0, &RemoveIf{Key: []byte("v"), If: IfEqual, Match: []byte("old")}, "1", "del v", "", ""},
		{"RMDIR, children before their directory", 0, &RemoveDir{Key: []byte("d"), Recursive: true}, "4", "del d.sub.v, del d.v, del d.sub, del d", "", ""},
		{"RENAME", 0, rename("v", "w"), "1", "rename_from v, rename_to w", "", ""},
		{"RENAME to itself", 0, rename("v", "v"), "1", "", "", ""},
		{"RENAME of a directory, each of its nodes", 0, rename("d.sub", "e"), "1", "rename_from d.sub.v, rename_from d.sub, rename_to e, rename_to e.v", "", ""},
		{"COPY", 0, &Copy{From: []byte("v"), To: []byte("w")}, "1", "copy_to w", "", ""},
		{"CAS", 0, cas("v", "old", "new"), "1", "set v", "", ""},
		{"CAS that creates", 0, cas("w", "", "new"), "1", "set w", "", ""},
		{"CAS that removes", 0, cas("v", "old", ""), "1", "del v", "", ""},
		{"CAS that does not match", 0, cas("v", "x", "y"), "0", "", "", ""},
		{"MKDIR", 0, mkdir("e"), "1", "mkdir e", "", ""},
		{"MKDIR PARENTS, each directory", 0, &MakeDir{Key: []byte("d.e.f"), Parents: true}, "1", "mkdir d.e, mkdir d.e.f", "", ""},
		{"MKDIR of a directory that is there", 0, mkdir("d"), "0", "", "", ""},
		{"FLUSHDB, one for all", 0, &Flush{}, "16", "flushdb", "", ""},
		{
			"a batch, in order, without those refused", 0, &Batch{Ops: []Op{set("v", "1"), set("d", "2"), many(Owner{}, "n", "d"), many(Owner{}, "v")}},
			"0, 1, " + wrongType + ", " + notEmpty("d") + ", 1", "set v, del v", "", "",
		},
		{"a transaction that is not carried out", 0, &Txn{Watches: []Watch{{Key: []byte("v"), Version: 99}}, Ops: []Op{set("v", "1")}}, "0", "", "", ""},
	})
}

func TestEventsAreThoseOfTheLastEntry(t *testing.T) {
	l := timed(t)
	e := l.entry(set("v", "1"), set("n", "2"))
	if _, err := l.Apply(e, nil); err != nil {
		t.Fatal(err)
	}
	if got := told(l.Events()); got != "set v, set n" {
		t.Errorf("told %s", got)
	}
	if _, err := l.Apply(e, nil); err != nil || len(l.Events()) > 0 {
		t.Errorf("an entry that is skipped: %v, told %s", err, told(l.Events()))
	}
	l.must(set("v", "3"))
	bad := l.entry(set("v", "4"))
	bad.ops = bad.ops[:3]
	if _, err := l.Apply(bad, nil); !errors.Is(err, ErrCorrupt) || len(l.Events()) > 0 {
		t.Errorf("an entry that cannot be read: %v, told %s", err, told(l.Events()))
	}
	l.must(&Flush{})
	if l.all(set("v", "1"), &Flush{}, set("n", "2")); told(l.Events()) != "set v, flushdb, set n" {
		t.Errorf("around a flush: %s", told(l.Events()))
	}
}

// What an event shows of a value stays, whatever the entry does to the key next. lab.all clears the log's buffer.
func TestEventsKeepKeysAndValuesOfTheirMoment(t *testing.T) {
	l := newLab(t)
	l.all(set("k", "1"), set("k", "2"), del("k"), set("k", "3"))
	var got []string
	for _, e := range l.Events() {
		value := "gone"
		if e.Node != nil {
			value = e.Node.Value
		}
		got = append(got, e.Key+" "+value)
	}
	if s := strings.Join(got, ", "); s != "k 1, k 2, k gone, k 3" {
		t.Errorf("got %s", s)
	}
}

func TestEveryEventHasAName(t *testing.T) {
	names := map[string]bool{}
	for w := EventSet; w <= EventWaitEnd; w++ {
		if s := w.String(); s == "event?" || names[s] {
			t.Errorf("%d is %q", w, s)
		}
		names[w.String()] = true
	}
	if (EventWaitEnd + 1).String() != "event?" {
		t.Error("there is one more")
	}
}
