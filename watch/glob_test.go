package watch

import (
	"strings"
	"testing"
)

// naive follows stringmatchlen of Redis step by step, exponential as it is.
func naive(p, s string) bool {
	for p != "" && s != "" {
		switch {
		case p[0] == '*':
			for len(p) > 1 && p[1] == '*' {
				p = p[1:]
			}
			if len(p) == 1 {
				return true
			}
			for ; s != ""; s = s[1:] {
				if naive(p[1:], s) {
					return true
				}
			}
			return false
		case p[0] == '[':
			p = p[1:]
			not := p != "" && p[0] == '^'
			if not {
				p = p[1:]
			}
			in := false
			for p != "" && p[0] != ']' {
				switch {
				case p[0] == '\\' && len(p) >= 2:
					p = p[1:]
					in = in || p[0] == s[0]
				case len(p) >= 3 && p[1] == '-':
					in = in || min(p[0], p[2]) <= s[0] && s[0] <= max(p[0], p[2])
					p = p[2:]
				default:
					in = in || p[0] == s[0]
				}
				p = p[1:]
			}
			if in == not {
				return false
			}
			if p != "" {
				p = p[1:]
			}
			s = s[1:]
		case p[0] == '?':
			p, s = p[1:], s[1:]
		default:
			if p[0] == '\\' && len(p) >= 2 {
				p = p[1:]
			}
			if p[0] != s[0] {
				return false
			}
			p, s = p[1:], s[1:]
		}
		if s == "" {
			p = strings.TrimLeft(p, "*")
			break
		}
	}
	return p == "" && s == ""
}

func TestPatternsMatchAsInRedis(t *testing.T) {
	tests := []struct {
		name, pattern, s string
		want             bool
	}{
		{"a star fits any name", "*", "a.b", true},
		{"a star does not fit the empty name", "*", "", false},
		{"the empty pattern fits the empty name", "", "", true},
		{"the empty pattern fits no other name", "", "a", false},
		{"a star may stand for nothing", "a*b", "ab", true},
		{"head and tail do not overlap", "aba*ba", "aba", false},
		{"stars in a row are one", "a**b***c", "aXbXc", true},
		{"middle parts come in order", "*b*a*", "ab", false},
		{"a question mark is one byte", "h?llo", "hello", true},
		{"a question mark is not nothing", "h?llo", "hllo", false},
		{"case matters", "A*", "ab", false},
		{"one of a set", "h[ae]llo", "hallo", true},
		{"none of a set", "h[^e]llo", "hello", false},
		{"a range", "k[a-c]", "kb", true},
		{"a range the wrong way round", "k[c-a]", "kb", true},
		{"bytes beyond ASCII are unsigned", "k[\x7f-\x80]", "ka", false},
		{"a set without an end", "k[ab", "kb", true},
		{"a set without an end takes one byte", "k[ab", "kbb", false},
		{"an opening bracket at the end fits nothing", "k[", "k[", false},
		{"a negated set of nothing fits any byte", "k[^", "kx", true},
		{"an empty set fits nothing", "k[]", "k]", false},
		{"a star in a set is a star", "k[*]", "k*", true},
		{"a backslash takes the special meaning", `k\*`, "k*", true},
		{"a backslash takes the special meaning, and only so", `k\*`, "kx", false},
		{"a backslash at the end is one", `k\`, `k\`, true},
		{"a backslash in a set", `k[\]]`, "k]", true},
		{"a range that swallows the bracket", "k[a-]", "k_", true},
		{"all keyspace channels", "__key*__:*", "__keyspace@0__:a.b", true},
		{"a wildcard part between stars", "*a?c*", "xxabcxx", true},
		{"a wildcard part that is not there", "*a?c*", "xxabxxac", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := newGlob(test.pattern).matches(test.s); got != test.want {
				t.Errorf("%q on %q: %v, want %v", test.pattern, test.s, got, test.want)
			}
			if got := naive(test.pattern, test.s); got != test.want {
				t.Errorf("naive: %q on %q: %v, want %v", test.pattern, test.s, got, test.want)
			}
		})
	}
}

func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"h?llo*", "hello"},
		{"*[a-c]?*\\**", "xxb.*"},
		{"[^", "a"},
		{"*a*b*c", "aabbc"},
		{"[]-a]*[\\", "a\\"},
		{strings.Repeat("?", 70) + "*" + strings.Repeat("[ab]", 66) + "*x", strings.Repeat("ab", 90) + "x"},
		{"*" + strings.Repeat("?a", 40) + "*", strings.Repeat("a", 100)},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > MaxPattern || strings.Count(pattern, "*") > 4 || len(s) > 256 {
			t.Skip("the naive matcher would take for ever")
		}
		g := newGlob(pattern)
		if got, want := g.matches(s), naive(pattern, s); got != want {
			t.Errorf("%q on %q: %v, want %v", pattern, s, got, want)
		}
		if g.matches(s) && !strings.HasPrefix(s, g.prefix()) {
			t.Errorf("%q fits %q, but not its prefix %q", pattern, s, g.prefix())
		}
	})
}

// An exponential matcher would not come back from this within the life of the machine.
func TestPatternsOfManyStarsAreLinear(t *testing.T) {
	s := strings.Repeat("a", 8192)
	for _, pattern := range []string{
		strings.Repeat("a*", 500) + "b",
		strings.Repeat("*?a", 300) + "b*",
		"*" + strings.Repeat("[ab]", 255) + "b*",
	} {
		if newGlob(pattern).matches(s) {
			t.Errorf("%.20q... fits a name without b", pattern)
		}
	}
}
