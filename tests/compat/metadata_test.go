package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// stat is what DTKV.STAT tells about a node, in the rules of the DtKV description that speak of indexes.
type stat struct {
	kind            string
	created, update int
	createdMs       int64
	updateMs        int64
}

func statOf(t *testing.T, c *harness.Conn, key string) stat {
	t.Helper()
	reply := c.Must(t, "DTKV.STAT", key)
	f := strings.Split(reply, "\r\n")
	var s stat
	for i, word := range f {
		scan := func(into any) {
			t.Helper()
			if _, err := fmt.Sscanf(f[i+1], ":%d", into); err != nil {
				t.Fatalf("DTKV.STAT %s: %s: %v", key, word, err)
			}
		}
		switch word {
		case "kind":
			s.kind = f[i+2]
		case "create-index":
			scan(&s.created)
		case "update-index":
			scan(&s.update)
		case "create-ms":
			scan(&s.createdMs)
		case "update-ms":
			scan(&s.updateMs)
		}
	}
	return s
}

func TestMetadataOfNodes(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "a.b.c", "PARENTS")
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "z")
	chain := []string{"", "a", "a.b", "a.b.c"}

	// moves runs a command and checks N1: it moves the update pair of all ancestors, to one index, and of nothing else.
	moves := func(name string, ancestors bool, args ...string) {
		t.Helper()
		before, aside := statOf(t, c, "a.b.c"), statOf(t, c, "z")
		c.Must(t, args...)
		at := statOf(t, c, "a.b.c").update
		if ancestors != (at > before.update) {
			t.Errorf("%s: update index of the parent was %d, is %d", name, before.update, at)
		}
		for _, k := range chain {
			if got := statOf(t, c, k); ancestors && got.update != at {
				t.Errorf("%s: update index of %q is %d, of the parent %d", name, k, got.update, at)
			}
		}
		if got := statOf(t, c, "z"); got != aside {
			t.Errorf("%s: a directory aside was %+v, is %+v", name, aside, got)
		}
	}
	moves("N1 create", true, "SET", "a.b.c.v", "1")
	moves("N1 overwrite", true, "SET", "a.b.c.v", "2")
	moves("N1 overwrite with the same value", true, "SET", "a.b.c.v", "2")
	moves("N1 counter", true, "INCR", "a.b.c.v")
	moves("2.8 compare and set to the same value", true, "DTKV.CAS", "a.b.c.v", "3", "3")
	moves("2.3 mkdir of a directory that is there", false, "DTKV.MKDIR", "a.b.c")
	moves("a condition that fails", false, "SET", "a.b.c.v", "4", "NX")
	moves("a compare that fails", false, "DTKV.CAS", "a.b.c.v", "x", "y")
	moves("a remove of nothing", false, "DEL", "a.b.c.none")
	moves("a refused write", false, "SET", "a.b.c.v.w", "1")
	moves("a read", false, "GET", "a.b.c.v")
	moves("T9 a time to live for a value", false, "EXPIRE", "a.b.c.v", "1000")
	moves("T9 none any more", false, "PERSIST", "a.b.c.v")
	moves("T9 both while reading", false, "GETEX", "a.b.c.v", "EX", "1000")
	moves("N1 a write with a time to live", true, "SET", "a.b.c.v", "3", "EX", "1000")
	moves("N1 a write that keeps it", true, "SET", "a.b.c.v", "3", "KEEPTTL")
	moves("N1 a temporary value", true, "DTKV.PUTTEMP", "a.b.c.t", "1000000", "1", "OWNER", "me")
	moves("N1 over a temporary value", true, "DTKV.PUTTEMP", "a.b.c.t", "1000000", "2", "OWNER", "me")
	moves("T9 a new life for it", false, "DTKV.UPDATETTL", "a.b.c.t", "2000000", "OWNER", "me")
	moves("N1 a temporary directory", true, "DTKV.MKDIR", "a.b.c.d", "PX", "1000000", "OWNER", "me")
	moves("2.4 a new life for it", false, "DTKV.MKDIR", "a.b.c.d", "PX", "2000000", "OWNER", "me")
	moves("a removal that is not the owner's", false, "DTKV.REMOVE", "a.b.c.t", "OWNER", "you")
	moves("N1 the owner's removal", true, "DTKV.REMOVE", "a.b.c.t", "OWNER", "me")
	moves("N1 a lock", true, "DTKV.LOCK", "a.b.c.l", "1000000", "OWNER", "me")
	moves("L6 a lock that is held", false, "DTKV.LOCK", "a.b.c.l", "1000000", "OWNER", "you")
	moves("L8 a longer lease", false, "DTKV.RENEW", "a.b.c.l", "2000000", "OWNER", "me")
	moves("N1 the end of a lock", true, "DTKV.UNLOCK", "a.b.c.l", "OWNER", "me")
	c.Want(t, "+OK\r\n", "SET", "a.b.c.v", "3")

	// An overwrite keeps the create pair; remove and create makes a new one; the kind may change in between.
	first := statOf(t, c, "a.b.c.v")
	c.Want(t, "+OK\r\n", "SET", "a.b.c.v", "5")
	over := statOf(t, c, "a.b.c.v")
	if over.created != first.created || over.createdMs != first.createdMs || over.update <= first.update {
		t.Errorf("overwrite: %+v, then %+v", first, over)
	}
	moves("N1 remove", true, "DEL", "a.b.c.v")
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "a.b.c.v")
	again := statOf(t, c, "a.b.c.v")
	if again.created <= over.update || again.created != again.update || again.kind != "dir" || first.kind != "value" {
		t.Errorf("remove and create: %+v, then %+v", over, again)
	}

	// N2: several changes by one entry share one index.
	c.Want(t, "*3\r\n+OK\r\n+OK\r\n+OK\r\n", "DTKV.BATCHPUT", "a.p", "1", "a.q", "2", "z.r", "3")
	p, q, r := statOf(t, c, "a.p"), statOf(t, c, "a.q"), statOf(t, c, "z.r")
	if p.created != q.created || p.created != r.created || statOf(t, c, "a").update != p.created || statOf(t, c, "").update != p.created {
		t.Errorf("one batch: %+v %+v %+v", p, q, r)
	}
	// K9: the root was never created.
	if root := statOf(t, c, ""); root.created != 0 || root.createdMs != 0 || root.kind != "dir" {
		t.Errorf("root: %+v", root)
	}

	// All of it survives a restart.
	keys := []string{"", "a", "a.b", "a.b.c", "a.b.c.v", "a.p", "a.q", "z", "z.r"}
	var before []stat
	for _, k := range keys {
		before = append(before, statOf(t, c, k))
	}
	s.Stop(t)
	s = s.Restart(t)
	c = harness.Dial(t, s.Addr)
	for i, k := range keys {
		if got := statOf(t, c, k); got != before[i] {
			t.Errorf("restart: %q was %+v, is %+v", k, before[i], got)
		}
	}
}
