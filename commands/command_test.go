package commands

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCommandDescribesTheTable(t *testing.T) {
	runTranscripts(t, []transcript{
		{"INFO has ten fields, with sets and maps in RESP3, to the byte as Redis 7", `
			@ resp3
			> COMMAND INFO get nosuch
			< *2
			< *10
			< $3
			< get
			< :2
			< ~2
			< +readonly
			< +fast
			< :1
			< :1
			< :1
			< ~3
			< +@read
			< +@string
			< +@fast
			< ~0
			< ~1
			< %3
			< $5
			< flags
			< ~2
			< +RO
			< +access
			< $12
			< begin_search
			< %2
			< $4
			< type
			< $5
			< index
			< $4
			< spec
			< %1
			< $5
			< index
			< :1
			< $9
			< find_keys
			< %2
			< $4
			< type
			< $5
			< range
			< $4
			< spec
			< %3
			< $7
			< lastkey
			< :0
			< $7
			< keystep
			< :1
			< $5
			< limit
			< :0
			< ~0
			< _`},
		{"DOCS is a map of maps", `
			@ resp3
			> COMMAND DOCS strlen nosuch
			< %1
			< $6
			< strlen
			< %5
			< $7
			< summary
			< $59
			< Answers the length of a value in bytes, 0 for a missing key
			< $5
			< since
			< $5
			< 2.2.0
			< $5
			< group
			< $6
			< string
			< $10
			< complexity
			< $30
			< O(log N) in the number of keys
			< $9
			< arguments
			< *1
			< %4
			< $4
			< name
			< $3
			< key
			< $4
			< type
			< $3
			< key
			< $12
			< display_text
			< $3
			< key
			< $14
			< key_spec_index
			< :0`},
		{"GETKEYS finds the keys of a command", `
			> COMMAND GETKEYS mset a 1 b 2
			< *2
			< $1
			< a
			< $1
			< b
			> COMMAND GETKEYS object encoding k
			< *1
			< $1
			< k
			> COMMAND GETKEYS rename a b
			< *2
			< $1
			< a
			< $1
			< b
			> COMMAND GETKEYS dtkv.batchput a 1
			< *1
			< $1
			< a
			> COMMAND GETKEYS ping x
			< -ERR The command has no key arguments
			> COMMAND GETKEYS nosuch x
			< -ERR Invalid command specified
			> COMMAND GETKEYS get a b
			< -ERR Invalid number of arguments specified for command
			> COMMAND GETKEYS get
			< -ERR wrong number of arguments for 'command|getkeys' command`},
		{"LIST filters", `
			> COMMAND LIST FILTERBY PATTERN client|i*
			< *2
			< $9
			< client|id
			< $11
			< client|info
			> COMMAND LIST FILTERBY ACLCAT foo
			< *0
			> COMMAND LIST FILTERBY MODULE foo
			< *0
			> COMMAND LIST FOO
			< -ERR syntax error
			> COMMAND LIST FILTERBY FOO x
			< -ERR syntax error
			> COMMAND LIST FILTERBY PATTERN
			< -ERR syntax error
			> COMMAND COUNT x
			< -ERR wrong number of arguments for 'command|count' command
			> COMMAND FOO
			< -ERR unknown subcommand 'FOO'. Try COMMAND HELP.`},
	})
}

func TestEveryDescriptionIsOneReplyInBothProtocols(t *testing.T) {
	for _, proto := range []int{2, 3} {
		r := newRig(t, proto)
		for _, line := range []string{
			"COMMAND", "COMMAND INFO", "COMMAND DOCS", "COMMAND LIST", "COMMAND HELP", "CLIENT HELP", "OBJECT HELP",
			"MEMORY HELP", "MODULE HELP", "COMMAND LIST FILTERBY ACLCAT write",
		} {
			reply := r.do(strings.Fields(line)...)
			if rest, err := skipReply([]byte(reply)); err != nil || len(rest) > 0 {
				t.Errorf("RESP%d: %s is not one reply: %v, %d bytes behind it", proto, line, err, len(rest))
			}
		}
	}
	r := newRig(t, 2)
	names := listing(t, r.do("COMMAND", "LIST"))
	every(func(c, _ *Command) {
		if !slices.Contains(names, c.Name) {
			t.Errorf("COMMAND LIST does not have %s", c.Name)
		}
	})
}

func TestCommandListByCategory(t *testing.T) {
	r := newRig(t, 2)
	got := listing(t, r.do("COMMAND", "LIST", "FILTERBY", "ACLCAT", "TRANSACTION"))
	if want := []string{"discard", "exec", "multi", "unwatch", "watch"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

var update = flag.Bool("update", false, "rewrite docs/commands.md")

// The page is for readers without a server. It is printed, so that it cannot lie.
func TestWriteDocsIsInStepWithThePage(t *testing.T) {
	const page = "../docs/commands.md"
	var want bytes.Buffer
	if err := WriteDocs(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want.Bytes()) {
		return
	}
	have, need := strings.Split(string(got), "\n"), strings.Split(want.String(), "\n")
	line := 0
	for line < min(len(have), len(need)) && have[line] == need[line] {
		line++
	}
	t.Errorf("docs/commands.md is not what the table says, from line %d on; run: go test ./commands -run WriteDocs -update", line+1)
}
