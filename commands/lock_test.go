package commands

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/resp"
)

func TestLocks(t *testing.T) {
	runTranscripts(t, []transcript{
		{"L6 no holder: granted, with a lease and a token", `
			> DTKV.LOCK l 1000
			< :1
			> TYPE l
			< +lock
			> PTTL l
			< :1000`},
		{"L6 the caller holds it: the lease begins anew, the token stays", `
			> DTKV.LOCK l 1000
			< :1
			@ pass 900
			> DTKV.LOCK l 5000
			< :1
			> PTTL l
			< :5000
			> DTKV.LOCK l 100 WAIT 1000
			< :1
			> PTTL l
			< :100`},
		{"L6 another holds it, no wait: null, nothing changes", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.LOCK l 1000 OWNER b
			< $-1
			> DTKV.LOCK l 1000 WAIT 0 OWNER b
			< $-1
			> DTKV.LOCKINFO l
			< *10
			< $4
			< held
			< :1
			< $5
			< token
			< :1
			< $12
			< remaining-ms
			< :1000
			< $7
			< waiters
			< :0
			< $5
			< owner
			< $8
			< 07a95474`},
		{"L6 another holds it, no wait, the caller is queued: his place stays", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 5000 OWNER b
			> DTKV.LOCK l 1000 OWNER b
			< $-1
			> DTKV.UNLOCK l OWNER a
			< :1
			> DTKV.LOCK l 1000 OWNER b
			< :2`},
		{"L6 another holds it, the caller waits: queued at the tail, refreshed in his place", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 5000 OWNER b
			> DTKV.LOCK l 1000 WAIT 5000 OWNER c
			> DTKV.LOCK l 2000 WAIT 5000 OWNER b
			> DTKV.UNLOCK l OWNER a
			< :1
			> DTKV.RENEW l 3000 OWNER c
			< -NOTOWNER 'l' does not belong to this owner
			> PTTL l
			< :2000
			> DTKV.RENEW l 3000 OWNER b
			< :2`},
		{"L2 three waiters are served in the order of their arrival", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 9000 OWNER b
			> DTKV.LOCK l 1000 WAIT 9000 OWNER c
			> DTKV.LOCK l 1000 WAIT 9000 OWNER d
			> DTKV.UNLOCK l OWNER a
			< :1
			> DTKV.RENEW l 1000 OWNER b
			< :2
			> DTKV.UNLOCK l OWNER b
			< :1
			> DTKV.RENEW l 1000 OWNER c
			< :3
			> DTKV.UNLOCK l OWNER c
			< :1
			> DTKV.RENEW l 1000 OWNER d
			< :4
			> DTKV.UNLOCK l OWNER d
			< :1
			> EXISTS l
			< :0`},
		{"L7 UNLOCK of what one does not have changes nothing", `
			> DTKV.UNLOCK none
			< :0
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.UNLOCK l OWNER b
			< :0
			> DTKV.LOCKINFO none
			< *-1
			> SET v 1
			< +OK
			> DTKV.UNLOCK v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.LOCKINFO v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.LOCK v 1000
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.RENEW v 1000
			< -WRONGTYPE Operation against a key holding the wrong kind of value`},
		{"L7 a waiter's UNLOCK takes him out of the queue", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 9000 OWNER b
			> DTKV.LOCK l 1000 WAIT 9000 OWNER c
			> DTKV.UNLOCK l OWNER b
			< :1
			> DTKV.UNLOCK l OWNER a
			< :1
			> DTKV.RENEW l 1000 OWNER c
			< :2`},
		{"L8 RENEW is the holder's, and restarts the lease under the same token", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DTKV.RENEW l 7000 OWNER a
			< :1
			> PTTL l
			< :7000
			> DTKV.RENEW l 7000 OWNER b
			< -NOTOWNER 'l' does not belong to this owner
			> DTKV.RENEW none 7000 OWNER a
			< -NOTOWNER 'none' does not belong to this owner`},
		{"L9 a waiter whose time is over just leaves", `
			> DTKV.LOCK l 5000 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 100 OWNER b
			@ pass 101
			> DTKV.UNLOCK l OWNER b
			< :0`},
		{"L9 L10 a holder's lease ends: the next has the lock, with his own lease from then on", `
			> DTKV.LOCK l 100 OWNER a
			< :1
			> DTKV.LOCK l 3000 WAIT 9000 OWNER b
			@ pass 101
			> PTTL l
			< :3000
			> DTKV.LOCK l 50 OWNER a
			< $-1
			> DTKV.RENEW l 500 OWNER b
			< :2`},
		{"L10 who gave up in time is passed over", `
			> DTKV.LOCK l 100 OWNER a
			< :1
			> DTKV.LOCK l 1000 WAIT 100 OWNER b
			> DTKV.LOCK l 1000 WAIT 9000 OWNER c
			@ pass 101
			> DTKV.RENEW l 500 OWNER c
			< :2`},
		{"L3 the last one's leaving removes the node, and the name is free for anything", `
			> DTKV.LOCK l 100
			< :1
			> DTKV.UNLOCK l
			< :1
			> TYPE l
			< +none
			> SET l v
			< +OK
			> DEL l
			< :1
			> DTKV.MKDIR l
			< :1
			> DEL l
			< :1
			> DTKV.LOCK l 100
			< :2
			@ pass 101
			> TYPE l
			< +none`},
		{"tokens grow over all locks, whatever becomes of them", `
			> DTKV.LOCK a 100
			< :1
			> DTKV.LOCK b 100
			< :2
			> FLUSHALL
			< +OK
			> DTKV.LOCK a 100
			< :3`},
		{"a lock is no value and no directory", `
			> DTKV.LOCK l 1000
			< :1
			> GET l
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> SET l v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> SET l.x v
			< -NOTDIR 'l' is not a directory
			> DTKV.MKDIR l
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> EXPIRE l 10
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.UPDATETTL l 10
			< -NOTTEMP 'l' is not temporary
			> RENAME l m
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> COPY l m
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.CAS l a b
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.LIST l
			< -NOTDIR 'l' is not a directory
			> OBJECT ENCODING l
			< $4
			< lock
			> MGET l
			< *1
			< $-1
			> EXISTS l
			< :1
			> KEYS *
			< *0
			> SCAN 0 TYPE lock
			< *2
			< $1
			< 0
			< *1
			< $1
			< l
			> DBSIZE
			< :0`},
		{"a directory that holds a lock is not empty, and does not move", `
			> DTKV.MKDIR d
			< :1
			> DTKV.LOCK d.l 1000 OWNER me
			< :1
			> DEL d
			< -NOTEMPTY 'd' has children
			> DTKV.RMDIR d RECURSIVE
			< -NOTOWNER 'd.l' does not belong to this owner
			> RENAME d e
			< -TEMPNODE 'd.l' is temporary: this command is not for it
			> DTKV.LOCK no.l 1000
			< -NOPARENT parent directory 'no' does not exist`},
		{"in a transaction nobody waits", `
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> MULTI
			< +OK
			> DTKV.LOCK l 1000 WAIT 5000 OWNER b
			< +QUEUED
			> DTKV.LOCK m 1000 WAIT 5000 OWNER b
			< +QUEUED
			> EXEC
			< *2
			< $-1
			< :2
			> DTKV.UNLOCK l OWNER b
			< :0`},
		{"mistakes", `
			> DTKV.LOCK l
			< -ERR wrong number of arguments for 'dtkv.lock' command
			> DTKV.LOCK l 0
			< -ERR invalid expire time in 'dtkv.lock' command
			> DTKV.LOCK l x
			< -ERR value is not an integer or out of range
			> DTKV.LOCK l 9223372036854775807
			< -ERR invalid expire time in 'dtkv.lock' command
			> DTKV.LOCK l 10 WAIT
			< -ERR syntax error
			> DTKV.LOCK l 10 WAIT long
			< -ERR timeout is not an integer or out of range
			> DTKV.LOCK l 10 WAIT -1
			< -ERR timeout is negative
			> DTKV.LOCK l 10 WAIT 9223372036854775807
			< -ERR timeout is not an integer or out of range
			> DTKV.LOCK l 10 OWNER ""
			< -ERR an owner id has at least one byte
			> DTKV.LOCK l 10 FOR 10
			< -ERR syntax error
			> DTKV.RENEW l 0
			< -ERR invalid expire time in 'dtkv.renew' command
			> DTKV.UNLOCK l NOW
			< -ERR syntax error
			> DTKV.LOCK "" 10
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots
			> EXISTS l
			< :0`},
	})
}

// WAIT is the server's to carry out, so the plan says all there is to know.
func TestPlansOfLocksSayWhetherToWait(t *testing.T) {
	s := Settings{MaxValue: 1 << 10, Owner: OwnerOf([]byte("me"))}
	for _, test := range []struct {
		line string
		kind Kind
		wait int64
	}{{"DTKV.LOCK l 10", Write, 0}, {"DTKV.LOCK l 10 WAIT 0", Write, 0}, {"DTKV.LOCK l 10 WAIT 25", Await, 25}} {
		_, plan, err := Prepare(argvOf(test.line), s)
		if err != nil || plan.Kind != test.kind || plan.Op == nil {
			t.Errorf("%s: kind %d, op %v, error %v", test.line, plan.Kind, plan.Op, err)
			continue
		}
		if plan.Kind == Await {
			if op := plan.Await.Lock; op.Wait != test.wait || op.Lease != 10 || op.Owner != s.Owner || string(op.Key) != "l" {
				t.Errorf("%s: waits for %+v", test.line, op)
			}
		}
		w := resp.Writer{Proto: 2}
		r := newRig(t, 2)
		plan.Answer(&w, r.apply(plan.Op, nil)) // as in MULTI
		if string(w.Buf) != ":1\r\n" {
			t.Errorf("%s without waiting: %q", test.line, w.Buf)
		}
		if got := r.do(strings.Fields("DTKV.LOCK l 10 OWNER other")...); got != "$-1\r\n" {
			t.Errorf("%s does not hold the lock: %q", test.line, got)
		}
	}
}
