package commands

import (
	"strconv"
	"testing"
)

func TestTimesToLive(t *testing.T) {
	runTranscripts(t, []transcript{
		{"what is left is told in both units, seconds rounded", `
			> SET k v PX 1500
			< +OK
			> PTTL k
			< :1500
			> TTL k
			< :2
			@ pass 1001
			> PTTL k
			< :499
			> TTL k
			< :0
			@ pass 498
			> PTTL k
			< :1
			> GET k
			< $1
			< v
			@ pass 2
			> PTTL k
			< :-2
			> GET k
			< $-1`},
		{"a node that is due is there, with nothing left, until its removal is in the log", `
			> SET k v PX 100
			< +OK
			> PEXPIRE k 1
			< :1
			> PTTL k
			< :1`},
		{"seconds and milliseconds, from now and absolute", `
			> SET a v EX 10
			< +OK
			> SET b v PX 10
			< +OK
			> SET c v EXAT 1700000010
			< +OK
			> SET d v PXAT 1700000000010
			< +OK
			> PTTL a
			< :10000
			> PTTL b
			< :10
			> PTTL c
			< :10000
			> PTTL d
			< :10
			> EXPIRETIME a
			< :1700000010
			> PEXPIRETIME a
			< :1700000010000
			@ pass 11
			> EXISTS a b c d
			< :2`},
		{"absolute times are measured by the entry", `
			@ pass 4000
			> SETEX k 10 v
			< +OK
			> EXPIRETIME k
			< :1700000014
			> PEXPIREAT k 1700000006000
			< :1
			> PTTL k
			< :2000
			> GETEX k EXAT 1700000005
			< $1
			< v
			> PTTL k
			< :1000`},
		{"the longest time to live is as good as for ever", `
			> SET k v PX 9223370336854775807
			< +OK
			> PTTL k
			< :9223370336854775807
			> PEXPIRETIME k
			< :9223372036854775806
			> EXPIRETIME k
			< :9223372036854775
			> PEXPIREAT k 9223372036854775807
			< :1
			> TTL k
			< :9223370336854776
			> SET k v PX 9223370336854775808
			< -ERR invalid expire time in 'set' command`},
		{"nothing has a time to live unless it was given one", `
			> DTKV.MKDIR d
			< :1
			> TTL d
			< :-1
			> PEXPIRETIME d
			< :-1
			> PTTL d.none
			< :-2
			> TTL .bad
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots`},
		{"EXPIRE is for values", `
			> DTKV.MKDIR d
			< :1
			> EXPIRE d 10
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> PERSIST d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> GETEX d EX 10
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> GETEX d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> EXPIRE d.none 10
			< :0`},
		{"compare and set is not for what expires, and comparing alone may", `
			> SET k v PX 1000
			< +OK
			> DTKV.CAS k v w
			< -TEMPNODE 'k' is temporary: this command is not for it
			> SET k w IFEQ v KEEPTTL
			< +OK
			> PTTL k
			< :1000`},
		{"an expiring value goes from its directory, whose stamps move", `
			> DTKV.MKDIR d
			< :1
			> SET d.k v PX 10
			< +OK
			> DEL d
			< -NOTEMPTY 'd' has children
			@ pass 11
			> DTKV.LIST d
			< *0
			> DEL d
			< :1`},
		{"LIST and STAT tell what is left", `
			> SET a 1 PX 700
			< +OK
			> SET b 2
			< +OK
			> DTKV.LIST ""
			< *2
			< *8
			< $1
			< a
			< $5
			< value
			< $1
			< 1
			< :1
			< :1
			< :1000
			< :1000
			< :700
			< *8
			< $1
			< b
			< $5
			< value
			< $1
			< 2
			< :2
			< :2
			< :1001
			< :1001
			< :-1`},
	})
}

// A state that no ExpireDue was applied to shows what a read between deadline and removal sees.
func TestWhatIsDueIsThereUntilItsRemovalIsInTheLog(t *testing.T) {
	r := newRig(t, 2)
	r.pass(1)
	r.do("SET", "k", "v", "PX", "50")
	r.clock += 80
	r.do("SET", "other", "v")
	for _, test := range []struct{ want, command string }{{":0\r\n", "PTTL"}, {":0\r\n", "TTL"}, {"$1\r\nv\r\n", "GET"}, {":1\r\n", "EXISTS"}} {
		if got := r.do(test.command, "k"); got != test.want {
			t.Errorf("%s 30 ms after the deadline: got %q, want %q", test.command, got, test.want)
		}
	}
	if got := r.do("PEXPIRE", "k", "1000"); got != ":1\r\n" { // a renewal that comes before the removal wins
		t.Errorf("PEXPIRE after the deadline: %q", got)
	}
	r.pass(900)
	if got := r.do("PTTL", "k"); got != ":100\r\n" {
		t.Errorf("after the renewal: %q", got)
	}
}

// One that comes between the deadline and the removal is the edge where a server might lose a renewal: it does not.
func TestExpireDoesNotOverflow(t *testing.T) {
	r := newRig(t, 2)
	for _, unit := range []string{"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"} {
		for _, n := range []int64{-1 << 63, -1<<63 + 1, -9223372036854776, -9223372036854775, -1, 0, 1, 9223372036854775, 9223372036854776, 1<<63 - 1} {
			for _, option := range []string{"GT", "LT", "NX"} {
				r.do("SET", "k", "v", "PX", "1000000")
				switch reply := r.do(unit, "k", strconv.FormatInt(n, 10), option); {
				case reply[0] == '-': // refused: nothing changes
					if left := r.do("PTTL", "k"); left != ":1000000\r\n" {
						t.Errorf("%s %d %s is refused, and leaves %q", unit, n, option, left)
					}
				case n > 1 && option == "LT" && reply != ":0\r\n" && unit[len(unit)-1] != 'T':
					t.Errorf("%s %d LT shortens a longer life: %q", unit, n, reply)
				case n < 1 && option == "GT" && reply != ":0\r\n":
					t.Errorf("%s %d GT ends a life: %q", unit, n, reply)
				}
			}
		}
	}
}
