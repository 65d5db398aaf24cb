package docs

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// guarantees.md says when a watched key has changed. Most of it is Redis's, and a transcript shows it; this is the rest.
func TestWhatCountsAsAChangeOfAWatchedKey(t *testing.T) {
	const aborted, ran = "*-1\r\n", "*1\r\n+PONG\r\n"
	tests := []struct {
		name   string
		before [][]string
		watch  string
		change [][]string
		want   string
	}{
		{"the same value again is a change", [][]string{{"SET", "k", "1"}}, "k", [][]string{{"SET", "k", "1"}}, aborted},
		{"a change and a change back is a change", [][]string{{"SET", "k", "1"}}, "k", [][]string{{"SET", "k", "2"}, {"SET", "k", "1"}}, aborted},
		{"removed and made again is a change", [][]string{{"SET", "k", "1"}}, "k", [][]string{{"DEL", "k"}, {"SET", "k", "1"}}, aborted},
		{"missing, made, and removed again is none", nil, "k", [][]string{{"SET", "k", "1"}, {"DEL", "k"}}, ran},
		{"a refused write is none", [][]string{{"SET", "k", "text"}}, "k", [][]string{{"INCR", "k"}}, ran},
		{"a directory changes with what is far below it", [][]string{{"DTKV.MKDIR", "d.e", "PARENTS"}}, "d", [][]string{{"SET", "d.e.k", "1"}}, aborted},
		{"a value does not change with its neighbours", [][]string{{"MSET", "k", "1", "l", "1"}}, "k", [][]string{{"SET", "l", "2"}}, ran},
	}
	s := harness.Start(t, harness.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			us, other := harness.Dial(t, s.Addr), harness.Dial(t, s.Addr)
			us.Want(t, "+OK\r\n", "FLUSHALL")
			for _, command := range tt.before {
				us.Must(t, command...)
			}
			us.Want(t, "+OK\r\n", "WATCH", tt.watch)
			for _, command := range tt.change {
				other.Must(t, command...)
			}
			us.Want(t, "+OK\r\n", "MULTI")
			us.Want(t, "+QUEUED\r\n", "PING")
			us.Want(t, tt.want, "EXEC")
		})
	}
}

// guarantees.md says that a command of several keys takes effect for all of them or for none, and a batch for each by itself.
func TestSeveralKeysAreAllOrNothing(t *testing.T) {
	const noParent = "-NOPARENT parent directory 'none' does not exist\r\n"
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, noParent, "MSET", "a", "1", "none.k", "2")
	c.Want(t, noParent, "MSETNX", "a", "1", "none.k", "2")
	c.Want(t, "$-1\r\n", "GET", "a")
	c.Want(t, "*2\r\n+OK\r\n"+noParent, "DTKV.BATCHPUT", "a", "1", "none.k", "2")
	c.Want(t, ":1\r\n", "DTKV.MKDIR", "d.e", "PARENTS")
	c.Want(t, "-NOTEMPTY 'd' has children\r\n", "DEL", "a", "d")
	c.Want(t, "$1\r\n1\r\n", "GET", "a")
	c.Want(t, "*2\r\n:1\r\n-NOTEMPTY 'd' has children\r\n", "DTKV.BATCHREMOVE", "a", "d")
	c.Want(t, "$-1\r\n", "GET", "a")
}

// guarantees.md lists what Redis answers otherwise; these have no other place.
func TestDifferencesFromRedis(t *testing.T) {
	const (
		badKey    = "-BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots\r\n"
		wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	)
	s := harness.Start(t, harness.Options{})
	c := harness.Dial(t, s.Addr)
	c.Want(t, badKey, "GET", "a..b")
	c.Want(t, "-BADKEY a key has at most 128 segments, parted by dots\r\n", "GET", strings.Repeat("k.", 128)+"k")

	c.Want(t, ":1\r\n", "DTKV.MKDIR", "d")
	c.Want(t, wrongType, "SETNX", "d", "v")
	c.Want(t, wrongType, "SET", "d", "v", "NX")
	c.Want(t, wrongType, "MSETNX", "d", "v")

	c.Want(t, "-ERR value is not a valid float\r\n", "INCRBYFLOAT", "n", "0x10")
	c.Want(t, `-ERR unknown command '\xff\x00', with args beginning with: `+"\r\n", "\xff\x00")
	for _, command := range []string{"READONLY", "READWRITE", "ASKING"} {
		c.Want(t, "+OK\r\n", command)
	}
}
