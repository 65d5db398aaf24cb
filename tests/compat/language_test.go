package compat

import (
	"slices"
	"strings"
	"testing"
)

func TestWordsAreSplitAsRedisCliSplitsThem(t *testing.T) {
	tests := []struct {
		line string
		want []string
	}{
		{`SET k  v`, []string{"SET", "k", "v"}},
		{`SET "a b" ""`, []string{"SET", "a b", ""}},
		{`SET 'a "b"' "\x00\r\n"`, []string{"SET", `a "b"`, "\x00\r\n"}},
		{`SET {rep:3:ab}c v`, []string{"SET", "abababc", "v"}},
	}
	for _, tt := range tests {
		got, err := words(tt.line)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, %v; want %q", tt.line, got, err, tt.want)
		}
	}
	for _, bad := range []string{`SET "a`, `SET 'a`, `SET "a"b`} {
		if got, err := words(bad); err == nil {
			t.Errorf("%s: taken for %q", bad, got)
		}
	}
}

func TestRepliesBelongToTheirCommands(t *testing.T) {
	type part struct {
		conn    string
		replies int
		want    int // lines
		closed  bool
	}
	tests := []struct {
		name, text string
		want       []part
	}{
		{"a pipeline", "> A|> B|< 1|< 2", []part{{"", 2, 2, false}}},
		{"two connections", "> A|< 1|b> B|b< 2|> C|< 3", []part{{"", 1, 1, false}, {"b", 1, 1, false}, {"", 1, 1, false}}},
		{"a reply that came late", "b~> A|> B|< 1|b< 2", []part{{"b", 0, 0, false}, {"", 1, 1, false}, {"b", 1, 1, false}}},
		{"a late reply on the only connection", "~> A|< 1|< 2", []part{{"", 0, 0, false}, {"", 1, 2, false}}},
		{"two late replies at once", "~> A|~> B|@ replies 2|< 1|< 2", []part{{"", 0, 0, false}, {"", 2, 2, false}}},
		{"an end without a reply", "~> A|< (closed)", []part{{"", 0, 0, true}}},
	}
	for _, tt := range tests {
		tr := transcript{lines: strings.Split(tt.text, "|")}
		if err := tr.parse(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []part
		for _, x := range tr.exchanges {
			got = append(got, part{x.conn, x.replies, len(x.want), x.closed})
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWildcardsMatchWhatTheySayAndNoMore(t *testing.T) {
	tests := []struct {
		name      string
		want, got string
		same      bool
	}{
		{"equal lines", "$1|a", "$1|a", true},
		{"a missing line", "$1|a", "$1", false},
		{"an extra line", "$1", "$1|a", false},
		{"an integer", ":{int}", ":-12", true},
		{"not an integer", ":{int}", ":x", false},
		{"any text", "# {any}!|b", "# anything!|b", true},
		{"any text ends with its line", "{any}", "a|b", false},
		{"no lines", "a|{lines}|b", "a|b", true},
		{"many lines", "a|{lines}|b", "a|1|2|b", true},
		{"dots are dots", "a.b", "axb", false},
		{"the role that this run has", "{role}|:1", strings.ReplaceAll(roles[place("dtkv")], "\n", "|") + ":1", true},
		{"no such role", "{role}", "$5|guest", false},
		{"repeated text", "$4|{rep:2:ab}", "$4|abab", true},
	}
	for _, tt := range tests {
		if got := same(strings.Split(tt.want, "|"), strings.Split(tt.got, "|")); got != tt.same {
			t.Errorf("%s: %q and %q: %v", tt.name, tt.want, tt.got, got)
		}
	}
}

func TestSortingReachesTheInnermostArraysOnly(t *testing.T) {
	raw := "*2\r\n$1\r\n0\r\n*3\r\n$1\r\nc\r\n$1\r\na\r\n$-1\r\n:7\r\n"
	want := "*2\r\n$1\r\n0\r\n*3\r\n$-1\r\n$1\r\na\r\n$1\r\nc\r\n:7\r\n"
	if got := sortArrays(raw); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRepliesAreShownWithoutLoss(t *testing.T) {
	got := show("$5\r\na\\\x00\xff\r\n\r\n+OK\r\n")
	want := []string{"$5", `a\\\x00\xff`, "", "+OK"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
