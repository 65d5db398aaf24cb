package fsm

import (
	"math"
	"testing"
)

func TestPutTemp(t *testing.T) {
	runTimed(t, []timedStep{
		{"creates", 0, putTemp("new", "y", 100, bob), "1", "set new, expire new", "new", `"y"` + at(1100) + " of bob"},
		{"creates in a directory", 0, putTemp("d.new", "y", 100, bob), "1", "set d.new, expire d.new", "d.new", `"y"` + at(1100) + " of bob"},
		{"overwrites its own and begins anew", 5, putTemp("t", "y", 100, alice), "1", "set t, expire t", "t", `"y"` + at(1105) + " of alice"},
		{"another's value", 0, putTemp("t", "y", 100, bob), notOwner("t"), "", "t", `"mine"` + at(2000) + " of alice"},
		{"another's directory", 0, putTemp("td", "y", 100, bob), notOwner("td"), "", "", ""},
		{"its own directory", 0, putTemp("td", "y", 100, alice), wrongType, "", "", ""},
		{"a permanent value", 0, putTemp("v", "y", 100, alice), notTemp("v"), "", "v", `"old"`},
		{"an expiring value", 0, putTemp("x", "y", 100, alice), notTemp("x"), "", "x", `"7"` + at(1500)},
		{"a permanent directory", 0, putTemp("d", "y", 100, alice), notTemp("d"), "", "", ""},
		{"a lock", 0, putTemp("l", "y", 100, alice), wrongType, "", "", ""},
		{"without a parent", 0, putTemp("no.x", "y", 100, alice), noParent("no"), "", "", ""},
		{"below a value", 0, putTemp("v.x", "y", 100, alice), notDir("v"), "", "", ""},
		{"below a lock", 0, putTemp("l.x", "y", 100, alice), notDir("l"), "", "", ""},
		{"below a temporary value", 0, putTemp("t.x", "y", 100, alice), notDir("t"), "", "", ""},
		{"in its own temporary directory", 0, putTemp("td.x", "y", 100, alice), underTemp("td"), "", "", ""},
		{"over a permanent value in a temporary directory", 0, putTemp("td.v", "y", 100, alice), underTemp("td"), "", "", ""},
		{"by nobody", 0, putTemp("new", "y", 100, Owner{}), notOwner("new"), "", "", ""},
		{"for no time is for the shortest", 0, putTemp("new", "y", 0, bob), "1", "set new, expire new", "new", `"y"` + at(1001) + " of bob"},
		{"for longer than time itself", 0, putTemp("new", "y", math.MaxInt64, bob), "1", "set new, expire new", "new", `"y"` + at(math.MaxInt64) + " of bob"},
		{"a value that is too long", 0, &PutTemp{[]byte("new"), make([]byte, 1<<20+1), 100, bob}, tooLong, "", "new", "none"},
		{"an empty value", 0, putTemp("new", "", 100, bob), "1", "set new, expire new", "new", `""` + at(1100) + " of bob"},
	})
}

func TestMakeTemporaryDirectory(t *testing.T) {
	own := "dir" + at(1107) + " of alice"
	chain := func(key string, o Owner) *MakeDir {
		return &MakeDir{Key: []byte(key), Parents: true, Millis: 100, Owner: o}
	}
	runTimed(t, []timedStep{
		{"creates", 0, tempDir("new", 100, bob), "1", "mkdir new, expire new", "new", "dir" + at(1100) + " of bob"},
		{"one that is there begins anew", 7, tempDir("td", 100, alice), "0", "expire td", "td", own},
		{"one that is there keeps its children", 7, tempDir("td", 100, alice), "0", "expire td", "td.v", `"open"`},
		{"another's", 0, tempDir("td", 100, bob), notOwner("td"), "", "", ""},
		{"its own temporary value", 0, tempDir("t", 100, alice), wrongType, "", "", ""},
		{"another's temporary value", 0, tempDir("t", 100, bob), wrongType, "", "", ""},
		{"a permanent directory", 0, tempDir("d", 100, alice), notTemp("d"), "", "d", "dir"},
		{"a value", 0, tempDir("v", 100, alice), wrongType, "", "", ""},
		{"a lock", 0, tempDir("l", 100, alice), wrongType, "", "", ""},
		{"below another", 0, tempDir("td.x", 100, alice), underTemp("td"), "", "", ""},
		{"a chain below another", 0, chain("td.x.y.z", alice), underTemp("td"), "", "td.x", "none"},
		{"a chain, of which the last alone is temporary", 0, chain("p.q", bob), "1", "mkdir p, mkdir p.q, expire p.q", "p", "dir"},
		{"by nobody", 0, tempDir("new", 100, Owner{}), notOwner("new"), "", "", ""},
		{"for less than no time is for the shortest", 0, tempDir("new", -5, bob), "1", "mkdir new, expire new", "new", "dir" + at(1001) + " of bob"},

		{"MKDIR of a temporary directory, since it would not stay", 0, mkdir("td"), tempNode("td"), "", "", ""},
		{"MKDIR below a temporary directory", 0, mkdir("td.sub"), "1", "mkdir td.sub", "td.sub", "dir"},
		{"MKDIR of a chain below a temporary directory", 0, &MakeDir{Key: []byte("td.a.b"), Parents: true}, "1", "mkdir td.a, mkdir td.a.b", "td.a.b", "dir"},
		{"MKDIR of a lock", 0, mkdir("l"), wrongType, "", "", ""},
		{"MKDIR below a lock", 0, mkdir("l.x"), notDir("l"), "", "", ""},
	})
}

func TestUpdateTTL(t *testing.T) {
	update := func(key string, o Owner) *UpdateTTL { return &UpdateTTL{[]byte(key), 100, o} }
	runTimed(t, []timedStep{
		{"of a value", 5, update("t", alice), "1", "expire t", "t", `"mine"` + at(1105) + " of alice"},
		{"of a directory", 5, update("td", alice), "1", "expire td", "td", "dir" + at(1105) + " of alice"},
		{"of another's", 0, update("t", bob), notOwner("t"), "", "", ""},
		{"by nobody", 0, update("t", Owner{}), notOwner("t"), "", "", ""},
		{"of a permanent value", 0, update("v", alice), notTemp("v"), "", "", ""},
		{"of an expiring value", 0, update("x", alice), notTemp("x"), "", "", ""},
		{"of a permanent directory", 0, update("d", alice), notTemp("d"), "", "", ""},
		{"of a lock", 0, update("l", alice), notTemp("l"), "", "", ""},
		{"of a missing key", 0, update("nope", alice), "0", "", "", ""},
		{"to nothing is to the shortest", 0, &UpdateTTL{[]byte("t"), 0, alice}, "1", "expire t", "t", `"mine"` + at(1001) + " of alice"},
	})
}

func TestATemporaryNodeIsRemovedByItsOwnerAlone(t *testing.T) {
	owned := func(key string, o Owner) *RemoveOwned { return &RemoveOwned{[]byte(key), o} }
	many := func(o Owner, keys ...string) *Remove { return &Remove{Keys: list(keys...), Owner: o} }
	when := func(key string, c Condition, match string, o Owner) *RemoveIf {
		return &RemoveIf{[]byte(key), c, []byte(match), o}
	}
	dir := func(key string, all bool, o Owner) *RemoveDir { return &RemoveDir{[]byte(key), all, o} }
	runTimed(t, []timedStep{
		{"REMOVE by its owner", 0, owned("t", alice), "1", "del t", "t", "none"},
		{"REMOVE by another", 0, owned("t", bob), notOwner("t"), "", "", ""},
		{"REMOVE by nobody", 0, owned("t", Owner{}), notOwner("t"), "", "", ""},
		{"REMOVE of a permanent value by anyone", 0, owned("v", bob), "1", "del v", "v", "none"},
		{"REMOVE of a permanent value in a temporary directory by anyone", 0, owned("td.v", carol), "1", "del td.v", "td.v", "none"},
		{"REMOVE of a missing key", 0, owned("nope", alice), "0", "", "", ""},
		{"REMOVE of an empty directory", 0, owned("empty", alice), "1", "del empty", "empty", "none"},
		{"REMOVE of a temporary directory with children", 0, owned("td", alice), notEmpty("td"), "", "", ""},
		{"REMOVE of another's directory says whose before it says what", 0, owned("td", bob), notOwner("td"), "", "", ""},
		{"REMOVE of a lock", 0, owned("l", alice), wrongType, "", "", ""},

		{"DEL by its owner", 0, many(alice, "v", "t"), "2", "del v, del t", "t", "none"},
		{"DEL by another removes nothing", 0, many(bob, "v", "t"), notOwner("t"), "", "v", `"old"`},
		{"DEL of a lock removes nothing", 0, many(alice, "v", "l"), wrongType, "", "v", `"old"`},
		{"DEL of a temporary directory after its children", 0, many(alice, "td.v", "td"), "2", "del td.v, del td", "td", "none"},
		{"GETDEL by its owner", 0, &GetDel{[]byte("t"), alice}, `0 found "mine"`, "del t", "t", "none"},
		{"GETDEL by another", 0, &GetDel{[]byte("t"), bob}, notOwner("t"), "", "", ""},
		{"GETDEL of a lock", 0, &GetDel{[]byte("l"), alice}, wrongType, "", "", ""},
		{"DELEX by its owner", 0, when("t", Always, "", alice), "1", "del t", "t", "none"},
		{"DELEX by another", 0, when("t", Always, "", bob), notOwner("t"), "", "", ""},
		{"DELEX IFEQ by its owner", 0, when("t", IfEqual, "mine", alice), "1", "del t", "t", "none"},
		{"DELEX IFEQ that does not hold", 0, when("t", IfEqual, "?", alice), "0", "", "", ""},
		{"DELEX IFEQ by another, hold or not", 0, when("t", IfEqual, "?", bob), notOwner("t"), "", "", ""},

		{"RMDIR by its owner", 0, dir("td", true, alice), "2", "del td.v, del td", "td", "none"},
		{"RMDIR by another", 0, dir("td", true, bob), notOwner("td"), "", "", ""},
		{"RMDIR of a directory that holds another's", 0, dir("g", true, alice), notOwner("g.t"), "", "", ""},
		{"RMDIR of a directory that holds one's own", 0, dir("g", true, bob), "2", "del g.t, del g", "g", "none"},
		{"RMDIR of a directory that holds another's lock", 0, dir("h", true, bob), notOwner("h.l"), "", "", ""},
		{"RMDIR of a directory that holds one's own lock", 0, dir("h", true, alice), "2", "unlock h.l alice-4 #2, del h", "h.l", "none"},
		{"RMDIR of a lock", 0, dir("l", true, alice), wrongType, "", "", ""},
		{"FLUSH asks nobody", 0, &Flush{}, "16", "flushdb", "t", "none"},
	})
}

func TestPlainWritesLeaveTemporaryNodesAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   Op
	}{
		{"SET", set("t", "y")},
		{"SET PX", setFor("t", "y", 10)},
		{"SET with a time that has passed", setFor("t", "y", -1)},
		{"SET NX, whatever its condition", &Set{Key: []byte("t"), If: IfAbsent}},
		{"SET XX", &Set{Key: []byte("t"), If: IfPresent}},
		{"SET GET", &Set{Key: []byte("t"), Get: true}},
		{"MSET", &SetMany{Pairs: list("v", "1", "t", "2")}},
		{"MSETNX", &SetMany{Pairs: list("new", "1", "t", "2"), If: IfAbsent}},
		{"APPEND", &Append{[]byte("t"), []byte("y")}},
		{"SETRANGE", &SetRange{[]byte("t"), 0, []byte("y")}},
		{"COPY onto it", &Copy{[]byte("v"), []byte("t"), true}},
		{"RENAME onto it", rename("v", "t")},
		{"RENAME of it", rename("t", "new")},
		{"RENAME of it to itself", rename("t", "t")},
		{"CAS", cas("t", "mine", "y")},
		{"CAS that would remove it", cas("t", "mine", "")},
		{"CAS that would not hold", cas("t", "other", "y")},
	} {
		runTimed(t, []timedStep{{tt.name, 0, tt.op, tempNode("t"), "", "v", `"old"`}})
	}
	runTimed(t, []timedStep{
		{"INCR", 0, &Increment{[]byte("g.t"), 1}, outcome(refused(ErrNotInteger)), "", "", ""},
		{"RENAME of a temporary directory", 0, rename("td", "new"), tempNode("td"), "", "", ""},
		{"RENAME of a directory that holds a temporary node", 0, rename("g", "new"), tempNode("g.t"), "", "", ""},
		{"RENAME of a directory that holds a lock", 0, rename("h", "new"), tempNode("h.l"), "", "", ""},
		{"RENAME of a lock", 0, rename("l", "new"), wrongType, "", "", ""},
		{"RENAME onto a lock", 0, rename("v", "l"), wrongType, "", "", ""},
		{"RENAME into a temporary directory", 0, rename("x", "td.x"), "1", "rename_from x, rename_to td.x", "td.x", `"7"` + at(1500)},
		{
			"RENAME of a directory into a temporary one", 0, rename("d", "td.d"), "1",
			"rename_from d.sub.v, rename_from d.v, rename_from d.sub, rename_from d, rename_to td.d, rename_to td.d.sub, rename_to td.d.v, rename_to td.d.sub.v", "td.d.v", `"deep"`,
		},
		{"COPY of a temporary value has its deadline and no owner", 0, &Copy{From: []byte("t"), To: []byte("new")}, "1", "copy_to new", "new", `"mine"` + at(2000)},
		{"COPY of a lock", 0, &Copy{From: []byte("l"), To: []byte("new")}, wrongType, "", "", ""},
		{"COPY onto a lock", 0, &Copy{[]byte("v"), []byte("l"), true}, wrongType, "", "", ""},
		{"CAS on a temporary directory", 0, cas("td", "", "y"), tempNode("td"), "", "", ""},
		{"CAS on a lock", 0, cas("l", "", "y"), wrongType, "", "", ""},
		{"SET on a temporary directory", 0, set("td", "y"), wrongType, "", "", ""},
		{"SET on a lock", 0, set("l", "y"), wrongType, "", "", ""},
		{"SET below a lock", 0, set("l.x", "y"), notDir("l"), "", "", ""},
		{"a permanent value in a temporary directory is open to all", 0, set("td.v", "y"), "1", "set td.v", "td.v", `"y"`},
		{"CAS in a temporary directory", 0, cas("td.v", "open", "y"), "1", "set td.v", "td.v", `"y"`},
	})
}

// A batch is one entry: its elements see one another, and each has an answer of its own.
func TestElementsOfABatchHaveTheirOwners(t *testing.T) {
	batch := &Batch{Ops: []Op{
		&Remove{Keys: list("t"), Owner: bob}, &Remove{Keys: list("t"), Owner: alice}, putTemp("t", "his", 10, bob), &Remove{Keys: list("t"), Owner: alice},
	}}
	runTimed(t, []timedStep{
		{"as a batch", 0, batch, "0, " + notOwner("t") + ", 1, 1, " + notOwner("t"), "del t, set t, expire t", "t", `"his"` + at(1010) + " of bob"},
	})
}
