package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/fsm"
)

// every calls fn for each entry of the table and each of their subcommands.
func every(fn func(c *Command, container *Command)) {
	for i := range Table {
		fn(&Table[i], nil)
		for j := range Table[i].Sub {
			fn(&Table[i].Sub[j], &Table[i])
		}
	}
}

func TestEveryEntryIsWhole(t *testing.T) {
	seen := make(map[string]bool)
	every(func(c, container *Command) {
		problem := func(text string) { t.Errorf("%s: %s", c.Name, text) }
		if c.Name != strings.ToLower(c.Name) || c.Name == "" {
			problem("the name is not in lower case")
		}
		if container != nil && !strings.HasPrefix(c.Name, container.Name+"|") {
			problem("the name does not begin with its container's")
		}
		if seen[c.Name] {
			problem("is there twice")
		}
		seen[c.Name] = true
		if c.Arity == 0 || container != nil && c.Arity > -2 && c.Arity < 2 {
			problem("the arity does not count the name")
		}
		if c.Plan == nil && len(c.Sub) == 0 {
			problem("has no plan")
		}
		if c.Summary == "" || strings.HasSuffix(c.Summary, ".") || c.Summary[0] < 'A' || c.Summary[0] > 'Z' {
			problem("the summary is not a sentence without a full stop")
		}
		if c.Differs != "" && !strings.HasSuffix(c.Differs, ".") {
			problem("the differences are not sentences")
		}
		if strings.Count(c.Since, ".") != 2 || c.Complexity == "" {
			problem("says not since when, or at what cost")
		}
		if !slices.ContainsFunc(groups, func(g struct{ name, title string }) bool { return g.name == c.Group }) {
			problem("the group is not a chapter of docs/commands.md")
		}
		for _, category := range c.Categories {
			if !slices.Contains(categoryOrder, category) {
				problem("no such ACL category: " + category + "; there are " + strings.Join(categoryOrder, ", "))
			}
		}
		if c.Flags.Has(Writes | ReadOnly) {
			problem("reads only, and writes")
		}
	})
}

func TestSyntaxAgreesWithArityAndKeys(t *testing.T) {
	every(func(c, container *Command) {
		args, err := parseSyntax(c.Syntax)
		if err != nil {
			t.Errorf("%s: syntax %q: %v", c.Name, c.Syntax, err)
			return
		}
		if got := render(args); got != c.Syntax {
			t.Errorf("%s: syntax %q prints as %q", c.Name, c.Syntax, got)
		}
		names := 1 + strings.Count(c.Name, "|")
		least, most := words0(args)
		switch {
		case c.Arity > 0 && (least != most || names+least != c.Arity):
			t.Errorf("%s: arity %d, but the syntax has %d to %d arguments", c.Name, c.Arity, least, most)
		case c.Arity < 0 && len(c.Sub) == 0 && names+least < -c.Arity && c.Name != "quit":
			// The arity may ask for less than the syntax (then the plan refuses), never for more. Redis counts -3 for
			// CLIENT KILL and -4 for COMMAND GETKEYS, whose syntax leaves more out.
			if !slices.Contains([]string{"client|kill", "command|getkeys"}, c.Name) {
				t.Errorf("%s: arity %d, but the syntax has at least %d arguments", c.Name, c.Arity, least)
			}
		}
		keys := countKeys(args)
		if (c.First > 0) != (keys > 0) || (c.First > 0) != (c.Access != "") {
			t.Errorf("%s: %d keys in the syntax, first key %d, access %q", c.Name, keys, c.First, c.Access)
		}
		if c.Count > 0 && (c.First <= c.Count || c.Last != -1 || !c.Flags.Has(MovableKeys)) {
			t.Errorf("%s: keys from %d to %d, counted by argument %d", c.Name, c.First, c.Last, c.Count)
		}
		if c.First > 0 && (c.Step < 1 || c.First < names || c.Last >= 0 && c.Last < c.First || c.Last > 0 && c.Arity > 0 && c.Last >= c.Arity) {
			t.Errorf("%s: key positions %d %d %d", c.Name, c.First, c.Last, c.Step)
		}
		if specs := strings.Count(c.Access, "/") + 1; specs > 1 && specs != (c.Last-c.First)/c.Step+1 {
			t.Errorf("%s: %d accesses for positions %d to %d", c.Name, specs, c.First, c.Last)
		}
	})
}

// words0 counts the fewest and the most words that arguments may be typed with; many for a repetition.
func words0(args []argument) (least, most int) {
	for _, a := range args {
		low, high := 1, 1
		switch a.kind {
		case "block":
			low, high = words0(a.inner)
		case "oneof":
			low, high = 1<<20, 0
			for _, choice := range a.inner {
				l, h := words0([]argument{choice})
				low, high = min(low, l), max(high, h)
			}
		}
		if a.token != "" && a.kind != "pure-token" {
			low, high = low+1, high+1
		}
		if a.multiple {
			high = 1 << 20
		}
		if a.optional {
			low = 0
		}
		least, most = least+low, most+high
	}
	return least, most
}

func countKeys(args []argument) (n int) {
	for _, a := range args {
		if a.kind == "key" {
			n++
		}
		n += countKeys(a.inner)
	}
	return n
}

// Every write has its keys where the table says: a cluster client or an ACL that looks there must not miss one.
func TestWritesThatTakeKeysDeclareThem(t *testing.T) {
	every(func(c, _ *Command) {
		if (c.Flags.Has(Writes) || c.Flags.Has(ReadOnly)) && c.First == 0 &&
			!slices.Contains([]string{"flushdb", "flushall", "keys", "scan", "randomkey", "dbsize", "dtkv.index", "xread"}, c.Name) {
			t.Errorf("%s works on keys but names no position", c.Name)
		}
	})
}

func TestLookupFindsEveryNameInAnyCase(t *testing.T) {
	for i := range Table {
		c := &Table[i]
		for _, name := range []string{c.Name, strings.ToUpper(c.Name), strings.ToUpper(c.Name[:1]) + c.Name[1:]} {
			if got, ok := Lookup([]byte(name)); !ok || got != c {
				t.Errorf("Lookup(%q) finds %v", name, got)
			}
		}
	}
	for _, name := range []string{"", "nosuch", "client|id", "get ", "get\x00", strings.Repeat("g", 100)} {
		if c, ok := Lookup([]byte(name)); ok {
			t.Errorf("Lookup(%q) finds %s", name, c.Name)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	name := []byte("INCRBYFLOAT")
	if n := testing.AllocsPerRun(100, func() { Lookup(name) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRefusalsOfTheStateMachineHaveTheirWords(t *testing.T) {
	tests := []struct {
		refusal *fsm.Refusal
		want    string
	}{
		{&fsm.Refusal{Code: fsm.WrongType}, "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{&fsm.Refusal{Code: fsm.NoParent, Path: "a.b"}, "NOPARENT parent directory 'a.b' does not exist"},
		{&fsm.Refusal{Code: fsm.NotDir, Path: "a.b"}, "NOTDIR 'a.b' is not a directory"},
		{&fsm.Refusal{Code: fsm.NotEmpty, Path: "a.b"}, "NOTEMPTY 'a.b' has children"},
		{&fsm.Refusal{Code: fsm.BadKey}, "BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots"},
		{&fsm.Refusal{Code: fsm.TooDeep}, "BADKEY a key has at most 128 segments, parted by dots"},
		{&fsm.Refusal{Code: fsm.NotInteger}, "ERR value is not an integer or out of range"},
		{&fsm.Refusal{Code: fsm.NotFloat}, "ERR value is not a valid float"},
		{&fsm.Refusal{Code: fsm.Overflow}, "ERR increment or decrement would overflow"},
		{&fsm.Refusal{Code: fsm.NaNOrInf}, "ERR increment would produce NaN or Infinity"},
		{&fsm.Refusal{Code: fsm.TooLong}, "ERR string exceeds maximum allowed size (max-value-size)"},
		{&fsm.Refusal{Code: fsm.NoSuchKey}, "ERR no such key"},
		{&fsm.Refusal{Code: fsm.Exists, Path: "a"}, "ERR target key 'a' exists"},
		{&fsm.Refusal{Code: fsm.IntoItself, Path: "a"}, "ERR directory 'a' cannot move into itself"},
		{&fsm.Refusal{Code: fsm.BadDigest}, "ERR Digest must be exactly 16 hexadecimal characters"},
		{&fsm.Refusal{Code: fsm.BadOffset}, "ERR offset is out of range"},
		{&fsm.Refusal{Code: fsm.TempNode, Path: "a"}, "TEMPNODE 'a' is temporary: this command is not for it"},
		{&fsm.Refusal{Code: fsm.NotOwner, Path: "a"}, "NOTOWNER 'a' does not belong to this owner"},
		{&fsm.Refusal{Code: fsm.NotTemp, Path: "a"}, "NOTTEMP 'a' is not temporary"},
		{&fsm.Refusal{Code: fsm.UnderTemp, Path: "a"}, "UNDERTEMP 'a' is temporary: it can hold neither temporary nodes nor locks"},
		{&fsm.Refusal{Code: fsm.Invalid}, "ERR expected and new value cannot both be empty"},
	}
	for _, test := range tests {
		if got := RefusalError(test.refusal).Error(); got != test.want {
			t.Errorf("code %d: got %q, want %q", test.refusal.Code, got, test.want)
		}
	}
}
