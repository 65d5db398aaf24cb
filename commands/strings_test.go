package commands

import (
	"strings"
	"testing"
)

func TestSetAndItsConditions(t *testing.T) {
	runTranscripts(t, []transcript{
		{"a value is stored and read back", `
			> GET k
			< $-1
			> SET k one
			< +OK
			> GET k
			< $3
			< one`},
		{"an empty value is a value", `
			> SET k ""
			< +OK
			> GET k
			< $0
			<
			> EXISTS k
			< :1`},
		{"NX refuses a key that is there, and says so with a null", `
			> SET k one NX
			< +OK
			> SET k two NX
			< $-1
			> GET k
			< $3
			< one`},
		{"XX refuses a key that is missing", `
			> SET k one XX
			< $-1
			> SET k one
			< +OK
			> SET k two xx
			< +OK`},
		{"IFEQ stores over the value given and creates nothing", `
			> SET k two IFEQ one
			< $-1
			> SET k one
			< +OK
			> SET k two IFEQ other
			< $-1
			> SET k two IFEQ one
			< +OK`},
		{"IFNE stores over any other value and creates a missing key", `
			> SET k one IFNE one
			< +OK
			> SET k two IFNE one
			< $-1
			> SET k two IFNE other
			< +OK`},
		{"digests compare in either case and must have 16 characters", `
			> SET k "Hello world"
			< +OK
			> DIGEST k
			< $16
			< b6acb9d84a38ff74
			> SET k two IFDEQ B6ACB9D84A38FF74
			< +OK
			> SET k three IFDNE b6acb9d84a38ff74
			< +OK
			> SET k four IFDEQ b6acb9d84a38ff7
			< -ERR Digest must be exactly 16 hexadecimal characters
			> SET k four IFDNE ""
			< -ERR Digest must be exactly 16 hexadecimal characters
			> DIGEST missing
			< $-1`},
		{"GET answers the value before, whether or not the new one was stored", `
			> SET k one GET
			< $-1
			> SET k two GET NX
			< $3
			< one
			> SET k two IFEQ one GET
			< $3
			< one
			> SET k three GET KEEPTTL
			< $3
			< two
			@ resp3
			> SET missing x XX GET
			< _`},
		{"the six conditions exclude one another", `
			> SET k v NX XX
			< -ERR syntax error
			> SET k v IFEQ a IFNE b
			< -ERR syntax error
			> SET k v IFEQ a IFEQ a
			< -ERR syntax error
			> SET k v XX IFDEQ b6acb9d84a38ff74
			< -ERR syntax error
			> SET k v NX NX
			< +OK
			> SET k v IFEQ
			< -ERR syntax error
			> SET k v FOO
			< -ERR syntax error`},
		{"a wrong time to live is refused as Redis refuses it", `
			> SET k v EX 0
			< -ERR invalid expire time in 'set' command
			> SET k v PX -1
			< -ERR invalid expire time in 'set' command
			> SET k v EX 9223372036854775807
			< -ERR invalid expire time in 'set' command
			> SET k v PX 9223372036854775807
			< -ERR invalid expire time in 'set' command
			> SET k v EX ten
			< -ERR value is not an integer or out of range
			> SET k v EX ten FOO
			< -ERR syntax error
			> SET k v EX
			< -ERR syntax error
			> SET k v EX 1 PX 1
			< -ERR syntax error
			> SET k v EX 1 ex x
			< -ERR value is not an integer or out of range
			> SET k v EX 1 KEEPTTL
			< -ERR syntax error
			> SET k v KEEPTTL EX 1
			< -ERR syntax error
			> EXISTS k
			< :0`},
		{"SETNX and GETSET are the old forms", `
			> SETNX k one
			< :1
			> SETNX k two
			< :0
			> GETSET k three
			< $3
			< one
			> GETSET new x
			< $-1
			> DTKV.MKDIR d
			< :1
			> SETNX d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> MSETNX d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> GETSET d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value`},
	})
}

func TestReadingValues(t *testing.T) {
	runTranscripts(t, []transcript{
		{"MGET answers null for what is missing or a directory", `
			> DTKV.MKDIR d
			< :1
			> MSET a 1 d.b 2
			< +OK
			> MGET a d d.b missing
			< *4
			< $1
			< 1
			< $-1
			< $1
			< 2
			< $-1
			@ resp3
			> MGET missing
			< *1
			< _`},
		{"STRLEN counts bytes", `
			> SET k "\xffé"
			< +OK
			> STRLEN k
			< :3
			> STRLEN missing
			< :0`},
		{"GETRANGE cuts with both ends included", `
			> SET k "This is a string"
			< +OK
			> GETRANGE k 0 3
			< $4
			< This
			> GETRANGE k -3 -1
			< $3
			< ing
			> SUBSTR k 10 100
			< $6
			< string
			> GETRANGE k 5 3
			< $0
			<
			> GETRANGE k 0 -9223372036854775808
			< $1
			< T
			> GETRANGE k -1 -5
			< $0
			<
			> GETRANGE missing 0 -1
			< $0
			<
			> GETRANGE k a 1
			< -ERR value is not an integer or out of range`},
		{"a directory is the wrong type for all of them", `
			> DTKV.MKDIR d
			< :1
			> GET d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> STRLEN d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> GETRANGE d 0 1
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DIGEST d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> SET d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> SET d x IFEQ y GET
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> APPEND d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> SETRANGE d 0 x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> INCR d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> INCRBYFLOAT d 1
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> GETDEL d
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DELIFEQ d x
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> MSET a 1 d 2
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> EXISTS a
			< :0`},
	})
}

func TestChangingValues(t *testing.T) {
	runTranscripts(t, []transcript{
		{"APPEND creates and appends", `
			> APPEND k ab
			< :2
			> APPEND k c
			< :3
			> GET k
			< $3
			< abc`},
		{"SETRANGE fills a gap with zero bytes", `
			> SETRANGE k 2 x
			< :3
			> GET k
			< $3
			< \x00\x00x
			> SETRANGE k 1 ""
			< :3
			> SETRANGE missing 9 ""
			< :0
			> EXISTS missing
			< :0
			> SETRANGE k -1 x
			< -ERR offset is out of range
			> SETRANGE k x x
			< -ERR value is not an integer or out of range`},
		{"counters count", `
			> INCR n
			< :1
			> INCRBY n 41
			< :42
			> DECR n
			< :41
			> DECRBY n 2
			< :39
			> INCRBY n x
			< -ERR value is not an integer or out of range
			> SET s text
			< +OK
			> INCR s
			< -ERR value is not an integer or out of range
			> SET n 9223372036854775807
			< +OK
			> INCR n
			< -ERR increment or decrement would overflow
			> DECRBY n -9223372036854775808
			< -ERR decrement would overflow`},
		{"decimal counters print as in Redis", `
			> INCRBYFLOAT n 10.50
			< $4
			< 10.5
			> INCRBYFLOAT n 5e3
			< $6
			< 5010.5
			> INCRBYFLOAT n x
			< -ERR value is not a valid float
			> SET s text
			< +OK
			> INCRBYFLOAT s 1
			< -ERR value is not a valid float
			> SET big 1e4932
			< +OK
			> INCRBYFLOAT big 1e4932
			< -ERR increment would produce NaN or Infinity`},
		{"MSET is all or nothing and wants pairs", `
			> MSET a 1 b.c 2
			< -NOPARENT parent directory 'b' does not exist
			> EXISTS a
			< :0
			> MSET a 1 b
			< -ERR wrong number of arguments for 'mset' command
			> MSETNX a 1 b 2
			< :1
			> MSETNX b 3 c 4
			< :0
			> EXISTS c
			< :0
			> MSETNX a 1 b
			< -ERR wrong number of arguments for 'msetnx' command`},
		{"GETDEL takes a value away", `
			> SET k v
			< +OK
			> GETDEL k
			< $1
			< v
			> GETDEL k
			< $-1`},
		{"DELEX and DELIFEQ remove on a condition", `
			> SET k v
			< +OK
			> DELEX k IFEQ x
			< :0
			> DELEX k IFNE v
			< :0
			> DELEX k IFDEQ 0000000000000000
			< :0
			> DELEX k IFDEQ 0
			< -ERR Digest must be exactly 16 hexadecimal characters
			> DELEX k IFDNE 0000000000000000
			< :1
			> DELEX k IFNE v
			< :0
			> DELEX k
			< :0
			> DELEX k IFEQ
			< -ERR wrong number of arguments for 'delex' command
			> DELEX k FOO v
			< -ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE
			> SET k v
			< +OK
			> DELIFEQ k x
			< :0
			> DELIFEQ k v
			< :1`},
	})
}

func TestAValueThatIsTooLongIsRefusedInEveryCommand(t *testing.T) {
	r := newRig(t, 2)
	long := strings.Repeat("x", r.settings.MaxValue+1)
	refusal := "-ERR string exceeds maximum allowed size (1025 > 1024 bytes, max-value-size)\r\n"
	for _, argv := range [][]string{
		{"SET", "k", long},
		{"SET", "k", long, "NX"},
		{"SETNX", "k", long},
		{"GETSET", "k", long},
		{"MSET", "a", "1", "k", long},
		{"MSETNX", "k", long},
		{"APPEND", "k", long},
		{"SETRANGE", "k", "0", long},
		{"SETRANGE", "k", "1024", "x"},
		{"DTKV.CAS", "k", "", long},
		{"DTKV.BATCHPUT", "a", "1", "k", long},
	} {
		if got := r.do(argv...); got != refusal {
			t.Errorf("%s %s replied %q, want %q", argv[0], argv[1], got, refusal)
		}
	}
	if got := r.do("SETRANGE", "k", "9223372036854775807", "x"); !strings.HasPrefix(got, "-ERR string exceeds maximum allowed size (9223372036854775807 >") {
		t.Errorf("an offset at the end of the integers: %q", got)
	}
	if got := r.do("SET", "k", long[:1024]); got != "+OK\r\n" {
		t.Errorf("a value of the longest length: %q", got)
	}
	if got, want := r.do("APPEND", "k", "y"), "-ERR string exceeds maximum allowed size (max-value-size)\r\n"; got != want {
		t.Errorf("a value that would grow too long: %q, want %q", got, want)
	}
	if got := r.do("DBSIZE"); got != ":1\r\n" {
		t.Errorf("the refused commands left something: DBSIZE is %q", got)
	}
}
