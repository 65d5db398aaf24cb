package commands

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		name, pattern, text string
		fold, want          bool
	}{
		{"nothing matches nothing", "", "", false, true},
		{"nothing does not match something", "", "a", false, false},
		{"a star matches nothing", "*", "", false, true},
		{"stars match anything", "**", "abc", false, true},
		{"a star in the middle", "a*c", "abbbc", false, true},
		{"a star takes no more than it may", "a*bc", "abcabc", false, true},
		{"a star and a missing end", "a*d", "abc", false, false},
		{"a question mark is one byte", "a?c", "abc", false, true},
		{"and not none", "a?c", "ac", false, false},
		{"a set", "[abc]", "b", false, true},
		{"a set without the byte", "[abc]", "d", false, false},
		{"a range", "[a-c]x", "bx", false, true},
		{"a range the wrong way round", "[c-a]", "b", false, true},
		{"a set of what must not be", "[^a-c]", "d", false, true},
		{"and is", "[^a-c]", "b", false, false},
		{"an escaped star", `a\*`, "a*", false, true},
		{"is not a star", `a\*`, "ab", false, false},
		{"an escaped bracket in a set", `[\]]`, "]", false, true},
		{"a backslash at the end is itself", `a\`, `a\`, false, true},
		{"a set without an end goes to the end", "[ab", "b", false, true},
		{"an empty set matches nothing", "[]", "a", false, false},
		{"an empty set of exceptions matches any byte", "[^]", "a", false, true},
		{"a range takes even the closing bracket, as in Redis", "[a-]", "^", false, true},
		{"bytes beyond ASCII", "[\xf0-\xff]", "\xfe", false, true},
		{"letters count", "A", "a", false, false},
		{"unless they do not", "A?[X]*", "abxC", true, true},
		{"a long tail of stars", "a*b*c*", "a1b2c", false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, err := compileGlob([]byte(test.pattern), test.fold)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.matches(test.text); got != test.want {
				t.Errorf("%q against %q: %v, want %v", test.pattern, test.text, got, test.want)
			}
		})
	}
}

// A pattern that sends a backtracking matcher through 2^100 ways costs this one a few thousand steps.
func TestGlobHasOnePlaceToGoBackTo(t *testing.T) {
	g, err := compileGlob([]byte(strings.Repeat("a*", 100)+"b"), false)
	if err != nil {
		t.Fatal(err)
	}
	if g.matches(strings.Repeat("a", 1000)) {
		t.Error("matched without a b")
	}
}

// slowGlob says in the fewest words what a pattern of literals, ? and * means.
func slowGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	switch pattern[0] {
	case '*':
		return slowGlob(pattern[1:], s) || s != "" && slowGlob(pattern, s[1:])
	case '?':
		return s != "" && slowGlob(pattern[1:], s[1:])
	}
	return s != "" && s[0] == pattern[0] && slowGlob(pattern[1:], s[1:])
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add("[a-", "a")
	f.Add(`[^\`, "x")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		g, err := compileGlob([]byte(pattern), false)
		if err != nil {
			if len(pattern) <= maxPattern {
				t.Fatal(err)
			}
			return
		}
		got := g.matches(text)
		if strings.ContainsAny(pattern, `[\`) || len(pattern) > 12 || len(text) > 12 {
			return // the slow one does not know sets, and takes for ever on long ones
		}
		if want := slowGlob(pattern, text); got != want {
			t.Errorf("%q against %q: %v, want %v", pattern, text, got, want)
		}
	})
}
