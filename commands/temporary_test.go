package commands

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/fsm"
)

func TestTemporaryNodes(t *testing.T) {
	runTranscripts(t, []transcript{
		{"PUTTEMP makes, overwrites one's own and begins its life anew", `
			> DTKV.PUTTEMP t 1000 one
			< +OK
			> GET t
			< $3
			< one
			@ pass 400
			> PTTL t
			< :600
			> DTKV.PUTTEMP t 700 two
			< +OK
			> PTTL t
			< :700
			> GET t
			< $3
			< two
			@ pass 701
			> EXISTS t
			< :0`},
		{"PUTTEMP refuses others' nodes, and those that are not temporary", `
			> DTKV.PUTTEMP t 1000 v OWNER other
			< +OK
			> DTKV.PUTTEMP t 1000 v
			< -NOTOWNER 't' does not belong to this owner
			> SET p v
			< +OK
			> DTKV.PUTTEMP p 1000 v
			< -NOTTEMP 'p' is not temporary
			> SET e v EX 10
			< +OK
			> DTKV.PUTTEMP e 1000 v
			< -NOTTEMP 'e' is not temporary
			> DTKV.MKDIR d
			< :1
			> DTKV.PUTTEMP d 1000 v
			< -NOTTEMP 'd' is not temporary
			> DTKV.MKDIR td PX 1000
			< :1
			> DTKV.PUTTEMP td 1000 v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.LOCK l 1000
			< :1
			> DTKV.PUTTEMP l 1000 v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.PUTTEMP no.t 1000 v
			< -NOPARENT parent directory 'no' does not exist`},
		{"plain writes refuse a temporary value, from its owner too", `
			> DTKV.PUTTEMP t 1000 7
			< +OK
			> SET t w
			< -TEMPNODE 't' is temporary: this command is not for it
			> SET t w KEEPTTL
			< -TEMPNODE 't' is temporary: this command is not for it
			> MSET a 1 t w
			< -TEMPNODE 't' is temporary: this command is not for it
			> EXISTS a
			< :0
			> APPEND t w
			< -TEMPNODE 't' is temporary: this command is not for it
			> INCR t
			< -TEMPNODE 't' is temporary: this command is not for it
			> EXPIRE t 10
			< -TEMPNODE 't' is temporary: this command is not for it
			> PERSIST t
			< -TEMPNODE 't' is temporary: this command is not for it
			> GETEX t EX 10
			< -TEMPNODE 't' is temporary: this command is not for it
			> DTKV.CAS t v w
			< -TEMPNODE 't' is temporary: this command is not for it
			> RENAME t u
			< -TEMPNODE 't' is temporary: this command is not for it
			> SET p v
			< +OK
			> RENAME p t
			< -TEMPNODE 't' is temporary: this command is not for it
			> COPY p t REPLACE
			< -TEMPNODE 't' is temporary: this command is not for it
			> SETNX t w
			< -TEMPNODE 't' is temporary: this command is not for it
			> GETEX t
			< $1
			< 7
			> PTTL t
			< :1000`},
		{"removal is the owner's", `
			> DTKV.PUTTEMP t 1000 v OWNER me
			< +OK
			> DEL t
			< -NOTOWNER 't' does not belong to this owner
			> UNLINK t
			< -NOTOWNER 't' does not belong to this owner
			> GETDEL t
			< -NOTOWNER 't' does not belong to this owner
			> DELEX t
			< -NOTOWNER 't' does not belong to this owner
			> DELEX t IFEQ v
			< -NOTOWNER 't' does not belong to this owner
			> DELIFEQ t v
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.REMOVE t
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.REMOVE t OWNER Me
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.BATCHREMOVE none t
			< *2
			< :0
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.REMOVE t OWNER me
			< :1
			> DTKV.REMOVE t OWNER me
			< :0`},
		{"every way to remove works for the owner", `
			> DTKV.OWNER me
			< +OK
			> DTKV.PUTTEMP a 1000 v OWNER me
			< +OK
			> DTKV.PUTTEMP b 1000 v
			< +OK
			> DTKV.PUTTEMP c 1000 v
			< +OK
			> DTKV.PUTTEMP d 1000 v
			< +OK
			> DTKV.PUTTEMP e 1000 v
			< +OK
			> DTKV.PUTTEMP f 1000 v
			< +OK
			> DEL a
			< :1
			> GETDEL b
			< $1
			< v
			> DELEX c
			< :1
			> DELIFEQ d v
			< :1
			> DTKV.BATCHREMOVE e
			< *1
			< :1
			> DTKV.REMOVE f
			< :1
			> DTKV.MKDIR g PX 1000
			< :1
			> DTKV.RMDIR g
			< :1`},
		{"permanent nodes are removed by DTKV.REMOVE as by DEL", `
			> SET p v
			< +OK
			> DTKV.REMOVE p OWNER anybody
			< :1
			> DTKV.MKDIR d.e PARENTS
			< :1
			> DTKV.REMOVE d
			< -NOTEMPTY 'd' has children
			> DTKV.REMOVE d.e
			< :1`},
		{"UPDATETTL is for the owner of what is temporary", `
			> DTKV.PUTTEMP t 1000 v OWNER me
			< +OK
			> DTKV.UPDATETTL t 5000 OWNER me
			< :1
			> PTTL t
			< :5000
			> DTKV.UPDATETTL t 200 OWNER me
			< :1
			> PTTL t
			< :200
			> DTKV.UPDATETTL t 5000
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.UPDATETTL none 5000
			< :0
			> SET p v EX 10
			< +OK
			> DTKV.UPDATETTL p 5000
			< -NOTTEMP 'p' is not temporary
			> DTKV.UPDATETTL t 0
			< -ERR invalid expire time in 'dtkv.updatettl' command
			> DTKV.UPDATETTL t soon
			< -ERR value is not an integer or out of range
			> DTKV.UPDATETTL t 5 WHO me
			< -ERR syntax error`},
		{"a temporary directory goes with all that is in it", `
			> DTKV.MKDIR d PX 1000 OWNER me
			< :1
			> DTKV.MKDIR d.e.f PARENTS
			< :1
			> SET d.e.f.v 1
			< +OK
			> SET d.v 1 EX 100
			< +OK
			@ pass 999
			> DBSIZE
			< :2
			@ pass 2
			> DTKV.LIST ""
			< *0
			> DBSIZE
			< :0`},
		{"MKDIR PX again begins its life anew, for its owner", `
			> DTKV.MKDIR d PX 1000
			< :1
			@ pass 500
			> DTKV.MKDIR d PX 2000
			< :0
			> PTTL d
			< :2000
			> DTKV.MKDIR d PX 2000 OWNER other
			< -NOTOWNER 'd' does not belong to this owner
			> DTKV.MKDIR p
			< :1
			> DTKV.MKDIR p PX 1000
			< -NOTTEMP 'p' is not temporary
			> DTKV.PUTTEMP t 1000 v
			< +OK
			> DTKV.MKDIR t PX 1000
			< -WRONGTYPE Operation against a key holding the wrong kind of value`},
		{"a temporary directory is open to all, but not for what is temporary itself", `
			> DTKV.MKDIR d PX 1000 OWNER me
			< :1
			> SET d.v 1
			< +OK
			> DTKV.MKDIR d.p
			< :1
			> DTKV.PUTTEMP d.t 1000 v OWNER me
			< -UNDERTEMP 'd' is temporary: it can hold neither temporary nodes nor locks
			> DTKV.MKDIR d.p.t PX 1000 OWNER me
			< -UNDERTEMP 'd' is temporary: it can hold neither temporary nodes nor locks
			> DTKV.LOCK d.p.l 1000
			< -UNDERTEMP 'd' is temporary: it can hold neither temporary nodes nor locks
			> DEL d.v d.p
			< :2
			> DEL d
			< -NOTOWNER 'd' does not belong to this owner
			> RENAME d e
			< -TEMPNODE 'd' is temporary: this command is not for it`},
		{"RMDIR RECURSIVE takes nobody else's, and then nothing", `
			> DTKV.MKDIR d
			< :1
			> DTKV.PUTTEMP d.mine 1000 v
			< +OK
			> DTKV.PUTTEMP d.yours 1000 v OWNER you
			< +OK
			> DTKV.RMDIR d RECURSIVE
			< -NOTOWNER 'd.yours' does not belong to this owner
			> EXISTS d.mine d.yours
			< :2
			> DTKV.REMOVE d.yours OWNER you
			< :1
			> DTKV.RMDIR d RECURSIVE
			< :2`},
		{"mistakes in PUTTEMP and MKDIR", `
			> DTKV.PUTTEMP t 0 v
			< -ERR invalid expire time in 'dtkv.puttemp' command
			> DTKV.PUTTEMP t x v
			< -ERR value is not an integer or out of range
			> DTKV.PUTTEMP t 5 v OWNER
			< -ERR syntax error
			> DTKV.PUTTEMP t 5 v OWNER ""
			< -ERR an owner id has at least one byte
			> DTKV.PUTTEMP t 5 v PX
			< -ERR syntax error
			> DTKV.MKDIR t OWNER me PX 5
			< -ERR syntax error
			> DTKV.MKDIR t PX 5 OWNER ""
			< -ERR an owner id has at least one byte
			> EXISTS t
			< :0`},
	})
}

func TestOwners(t *testing.T) {
	runTranscripts(t, []transcript{
		{"a connection is an owner of its own until it says otherwise, and again after RESET", `
			> DTKV.OWNER
			< $8
			< 0cbe6b1d
			> DTKV.OWNER me
			< +OK
			> DTKV.OWNER
			< $8
			< d283dd69
			> DTKV.PUTTEMP t 1000 v
			< +OK
			> RESET
			< +RESET
			> DEL t
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.OWNER me
			< +OK
			> DEL t
			< :1`},
		{"the argument goes before the connection's", `
			> DTKV.OWNER me
			< +OK
			> DTKV.PUTTEMP t 1000 v OWNER you
			< +OK
			> DTKV.REMOVE t
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.REMOVE t OWNER you OWNER me
			< -NOTOWNER 't' does not belong to this owner
			> DTKV.REMOVE t OWNER me OWNER you
			< :1`},
		{"whoever changes owner leaves behind what it had", `
			> DTKV.OWNER one
			< +OK
			> DTKV.PUTTEMP t 1000 v
			< +OK
			> DTKV.OWNER two
			< +OK
			> DEL t
			< -NOTOWNER 't' does not belong to this owner`},
		{"mistakes", `
			> DTKV.OWNER ""
			< -ERR an owner id has at least one byte
			> DTKV.OWNER a b
			< -ERR syntax error`},
	})
}

// An owner id is a secret: whoever learns it may remove what is its owner's. Here is every reply in which it could show.
func TestNoReplyShowsAnOwner(t *testing.T) {
	const secret = "the-secret-id"
	for _, proto := range []int{2, 3} {
		r := newRig(t, proto)
		var all strings.Builder
		for _, line := range []string{
			"DTKV.OWNER " + secret, "DTKV.OWNER", "DTKV.PUTTEMP t 1000 v", "DTKV.LOCK l 1000", "DTKV.STAT t", "DTKV.STAT l", "DTKV.LIST r",
			"DTKV.LOCKINFO l", "DTKV.OWNER other", "DEL t", "DTKV.PUTTEMP t 5 v", "DTKV.RENEW l 5", "DTKV.LOCK l 5", "DTKV.RMDIR r RECURSIVE",
			"OBJECT ENCODING t", "CLIENT INFO", "CLIENT LIST", "SET t v", "DTKV.REMOVE t OWNER " + secret + " nonsense",
		} {
			all.WriteString(r.do(strings.Fields(line)...))
		}
		owner := OwnerOf([]byte(secret))
		if text := all.String(); strings.Contains(text, secret) || strings.Contains(text, string(owner[:4])) {
			t.Errorf("RESP%d: an owner shows in %q", proto, text)
		}
	}
}

func TestOwnersOfDifferentIDsDiffer(t *testing.T) {
	ids := []string{"a", "b", "aa", "a\x00", strings.Repeat("a", 1<<16)}
	for i, a := range ids {
		for _, b := range ids[i+1:] {
			if OwnerOf([]byte(a)) == OwnerOf([]byte(b)) {
				t.Errorf("%.20q and %.20q are one owner", a, b)
			}
		}
		if OwnerOf([]byte(a)) == (fsm.Owner{}) {
			t.Errorf("%.20q is nobody", a)
		}
	}
}
