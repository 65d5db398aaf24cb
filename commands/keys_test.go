package commands

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestKeysOfAnyKind(t *testing.T) {
	runTranscripts(t, []transcript{
		{"DEL removes values and empty directories, all or none", `
			> DTKV.MKDIR d
			< :1
			> MSET a 1 d.b 2
			< +OK
			> DEL a missing d
			< -NOTEMPTY 'd' has children
			> EXISTS a
			< :1
			> UNLINK a d.b d missing
			< :3`},
		{"EXISTS and TOUCH count keys as often as they are given", `
			> SET a 1
			< +OK
			> DTKV.MKDIR d
			< :1
			> EXISTS a a d missing
			< :3
			> TOUCH a missing
			< :1`},
		{"TYPE names what a key is", `
			> SET a 1
			< +OK
			> DTKV.MKDIR d
			< :1
			> TYPE a
			< +string
			> TYPE d
			< +dir
			> TYPE missing
			< +none`},
		{"RENAME moves values over values and directories with what is in them", `
			> MSET a 1 b 2
			< +OK
			> RENAME a b
			< +OK
			> GET b
			< $1
			< 1
			> RENAME missing x
			< -ERR no such key
			> DTKV.MKDIR d.e PARENTS
			< :1
			> SET d.e.k v
			< +OK
			> RENAME d f
			< +OK
			> GET f.e.k
			< $1
			< v
			> RENAME f b
			< -ERR target key 'b' exists
			> RENAME f f.e.g
			< -ERR directory 'f' cannot move into itself
			> RENAME b f
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> RENAME b no.where
			< -NOPARENT parent directory 'no' does not exist`},
		{"RENAMENX leaves what is there", `
			> MSET a 1 b 2
			< +OK
			> RENAMENX a b
			< :0
			> RENAMENX a c
			< :1
			> RENAMENX a c
			< -ERR no such key`},
		{"COPY copies values within the database", `
			> SET a 1
			< +OK
			> COPY a b
			< :1
			> COPY a b
			< :0
			> COPY a b REPLACE
			< :1
			> COPY missing c
			< :0
			> COPY a c DB 0 replace
			< :1
			> COPY a c DB 1
			< -ERR COPY to another database is not supported: no log entry spans two databases
			> COPY a c DB -1
			< -ERR DB index is out of range
			> COPY a c DB 99999999999
			< -ERR value is out of range, value must between -2147483648 and 2147483647
			> COPY a c DB x
			< -ERR value is not an integer or out of range
			> COPY a c FOO
			< -ERR syntax error
			> COPY a a
			< -ERR source and destination objects are the same
			> DTKV.MKDIR d
			< :1
			> COPY d e
			< -WRONGTYPE Operation against a key holding the wrong kind of value`},
		{"FLUSHDB and FLUSHALL empty the database, directories too", `
			> DTKV.MKDIR d
			< :1
			> SET d.k v
			< +OK
			> FLUSHDB FOO
			< -ERR syntax error
			> FLUSHDB ASYNC SYNC
			< -ERR syntax error
			> FLUSHDB async
			< +OK
			> EXISTS d
			< :0
			> FLUSHALL
			< +OK`},
		{"OBJECT and MEMORY tell what tools ask for", `
			> DTKV.MKDIR d
			< :1
			> MSET n -12 s text l "01234567890123456789012345678901234567890123456789"
			< +OK
			> OBJECT ENCODING n
			< $3
			< int
			> OBJECT ENCODING s
			< $6
			< embstr
			> OBJECT ENCODING l
			< $3
			< raw
			> OBJECT ENCODING d
			< $3
			< dir
			> OBJECT ENCODING missing
			< $-1
			> OBJECT REFCOUNT n
			< :1
			> OBJECT IDLETIME n
			< :0
			> OBJECT FOO n
			< -ERR unknown subcommand 'FOO'. Try OBJECT HELP.
			> MEMORY USAGE n SAMPLES 0
			< :196
			> MEMORY USAGE missing
			< $-1
			> MEMORY USAGE n SAMPLES x
			< -ERR value is not an integer or out of range
			> MEMORY USAGE n SAMPLES -1
			< -ERR syntax error
			> MEMORY USAGE n FOO 1
			< -ERR syntax error`},
	})
}

func TestABadKeyIsRefusedInReadsAsInWrites(t *testing.T) {
	const refusal = "-BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots\r\n"
	const tooDeep = "-BADKEY a key has at most 128 segments, parted by dots\r\n"
	r := newRig(t, 2)
	long, deep := strings.Repeat("k", 8193), strings.Repeat("k.", 128)+"k"
	for _, key := range []string{"", ".a", "a.", "a..b", ".", long, deep} {
		want := refusal
		if key == deep {
			want = tooDeep
		}
		for _, argv := range [][]string{
			{"GET", key},
			{"SET", key, "v"},
			{"MGET", "a", key},
			{"MSET", "a", "1", key, "2"},
			{"DEL", "a", key},
			{"EXISTS", key},
			{"TYPE", key},
			{"RENAME", "a", key},
			{"COPY", key, "a"},
			{"INCR", key},
			{"OBJECT", "ENCODING", key},
			{"MEMORY", "USAGE", key},
			{"WATCH", key},
			{"DTKV.MKDIR", key},
			{"DTKV.RMDIR", key},
			{"DTKV.CAS", key, "", "x"},
			{"DTKV.LIST", key},
			{"DTKV.STAT", key},
		} {
			root := key == "" && (argv[0] == "DTKV.LIST" || argv[0] == "DTKV.STAT")
			if got := r.do(argv...); (got == want) == root {
				t.Errorf("%.40q replied %q", argv, got)
			}
		}
	}
	if got := r.do("SET", long[:8192], "v"); got != "+OK\r\n" {
		t.Errorf("a key of the longest length: %q", got)
	}
	if got := r.do("DTKV.MKDIR", deep[2:], "PARENTS"); got != ":1\r\n" {
		t.Errorf("a key of the greatest depth: %q", got)
	}
	if got := r.do("DTKV.BATCHPUT", deep, "v"); got != "*1\r\n"+tooDeep {
		t.Errorf("a deeper key in a batch: %q", got)
	}
	if got := r.do("SET", "sp ace\x00\xff", "v"); got != "+OK\r\n" {
		t.Errorf("a key of any bytes: %q", got)
	}
}

func TestWritesBelowWhatIsNoDirectory(t *testing.T) {
	runTranscripts(t, []transcript{
		{"a missing parent is named", `
			> SET a.b.c v
			< -NOPARENT parent directory 'a' does not exist
			> DTKV.MKDIR a
			< :1
			> INCR a.b.c
			< -NOPARENT parent directory 'a.b' does not exist
			> GET a.b.c
			< $-1`},
		{"a value in the way is named", `
			> SET a v
			< +OK
			> SET a.b v
			< -NOTDIR 'a' is not a directory
			> GET a.b
			< $-1
			> DTKV.LIST a
			< -NOTDIR 'a' is not a directory`},
		{"with auto-mkdir directories appear", `
			@ auto-mkdir
			> SET a.b.c v
			< +OK
			> TYPE a.b
			< +dir`},
		{"a name with a line end cannot break the reply", `
			> SET "a\r\n+OK.b" v
			< -NOPARENT parent directory 'a  +OK' does not exist`},
	})
}

// listing returns the strings of an array reply, sorted.
func listing(t *testing.T, reply string) []string {
	t.Helper()
	var out []string
	for _, line := range strings.Split(reply, "\r\n") {
		if line != "" && !strings.ContainsAny(line[:1], "*$~") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func TestKeysShowsValuesThatMatch(t *testing.T) {
	r := newRig(t, 2)
	r.mkdir = true
	for _, key := range []string{"a", "b", "d.a", "d.b", "d.e.a", "dd.a", "d1", "[x]"} {
		r.do("SET", key, "v")
	}
	r.do("DTKV.MKDIR", "empty")
	tests := []struct {
		name, pattern string
		want          []string
	}{
		{"everything", "*", []string{"[x]", "a", "b", "d.a", "d.b", "d.e.a", "d1", "dd.a"}},
		{"one byte", "?", []string{"a", "b"}},
		{"a directory's subtree", "d.*", []string{"d.a", "d.b", "d.e.a"}},
		{"a deeper one", "d.e.*", []string{"d.e.a"}},
		{"a beginning within a segment", "d*", []string{"d.a", "d.b", "d.e.a", "d1", "dd.a"}},
		{"a name in any directory", "*.a", []string{"d.a", "d.e.a", "dd.a"}},
		{"a set", "[ab]", []string{"a", "b"}},
		{"a literal key", "d.a", []string{"d.a"}},
		{"a literal with escapes", `\[x\]`, []string{"[x]"}},
		{"a literal directory is not a value", "d", nil},
		{"a missing directory", "no.*", nil},
		{"a pattern that begins with a dot", ".*", nil},
		{"a pattern with an impossible directory", "d..*", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := listing(t, r.do("KEYS", test.pattern)); !slices.Equal(got, test.want) {
				t.Errorf("KEYS %s: got %q, want %q", test.pattern, got, test.want)
			}
			var scanned []string
			cursor := "0"
			for {
				reply := r.do("SCAN", cursor, "MATCH", test.pattern, "COUNT", "2")
				lines := strings.SplitN(reply, "\r\n", 4) // *2, length of the cursor, cursor, keys
				cursor = lines[2]
				scanned = append(scanned, listing(t, lines[3])...)
				if cursor == "0" {
					break
				}
			}
			slices.Sort(scanned)
			if !slices.Equal(scanned, test.want) {
				t.Errorf("SCAN MATCH %s: got %q, want %q", test.pattern, scanned, test.want)
			}
		})
	}
}

func TestKeysVisitsOnlyTheLiteralDirectory(t *testing.T) {
	r := newRig(t, 2)
	r.mkdir = true
	for i := range 100 {
		r.do("SET", fmt.Sprintf("other.k%d", i), "v")
		r.do("SET", fmt.Sprintf("d.k%d", i%10), "v")
	}
	g, err := compileGlob([]byte("d.k*"), false)
	if err != nil {
		t.Fatal(err)
	}
	visited := 0
	walkMatches(r.machine.View(), g, func(string) { visited++ })
	if visited != 10 {
		t.Errorf("found %d keys, want 10", visited)
	}
	if allocs := testing.AllocsPerRun(10, func() { walkMatches(r.machine.View(), g, func(string) {}) }); allocs > 20 {
		t.Errorf("%v allocations for 10 keys", allocs)
	}
}

func TestScanAndOtherLooksAtAll(t *testing.T) {
	runTranscripts(t, []transcript{
		{"an empty database", `
			> SCAN 0
			< *2
			< $1
			< 0
			< *0
			> RANDOMKEY
			< $-1
			> DBSIZE
			< :0
			> KEYS *
			< *0`},
		{"TYPE chooses values or directories", `
			> DTKV.MKDIR d
			< :1
			> SET k v
			< +OK
			> DBSIZE
			< :1
			> RANDOMKEY
			< $1
			< k
			> SCAN 0 COUNT 100
			< *2
			< $1
			< 0
			< *1
			< $1
			< k
			> SCAN 0 TYPE DIR
			< *2
			< $1
			< 0
			< *1
			< $1
			< d
			> SCAN 0 TYPE string MATCH x*
			< *2
			< $1
			< 0
			< *0
			> SCAN 0 TYPE hash
			< *2
			< $1
			< 0
			< *0`},
		{"wrong arguments", `
			> SCAN x
			< -ERR invalid cursor
			> SCAN -1
			< -ERR invalid cursor
			> SCAN 0 COUNT 0
			< -ERR syntax error
			> SCAN 0 COUNT x
			< -ERR value is not an integer or out of range
			> SCAN 0 MATCH
			< -ERR syntax error
			> SCAN 0 FOO
			< -ERR syntax error`},
	})
	r := newRig(t, 2)
	pattern := strings.Repeat("*a", 513)
	for _, argv := range [][]string{{"KEYS", pattern}, {"SCAN", "0", "MATCH", pattern}, {"CONFIG", "GET", pattern}} {
		if got := r.do(argv...); got != "-ERR pattern is longer than 1024 bytes\r\n" {
			t.Errorf("%s with a long pattern: %q", argv[0], got)
		}
	}
}

func TestLongReadsSaySo(t *testing.T) {
	tests := []struct {
		line string
		long bool
	}{
		{"KEYS *", true},
		{"SCAN 0", false},
		{"SCAN 0 COUNT 1000", false},
		{"SCAN 0 COUNT 1001", true},
		{"DTKV.LIST d", true},
		{"DTKV.LIST d LIMIT 1000", false},
		{"DTKV.LIST d LIMIT 1001", true},
		{"GET k", false},
	}
	for _, test := range tests {
		var argv [][]byte
		for _, word := range strings.Fields(test.line) {
			argv = append(argv, []byte(word))
		}
		_, plan, err := Prepare(argv, Settings{MaxValue: 1})
		if err != nil || plan.Long != test.long {
			t.Errorf("%s: Long %v, error %v; want %v", test.line, plan.Long, err, test.long)
		}
	}
}
