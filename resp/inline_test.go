package resp

import (
	"slices"
	"strings"
	"testing"
)

func TestLinesAreSplitAsRedisDoes(t *testing.T) {
	tests := []struct {
		name string
		line string
		want []string
	}{
		{"words", "SET key value", []string{"SET", "key", "value"}},
		{"any white space between words", " \tSET\v\fkey \t value ", []string{"SET\v\fkey", "value"}},
		{"white space in front", "\v\f \tSET", []string{"SET"}},
		{"a carriage return ends a word", "a\rb", []string{"a", "b"}},
		{"nothing", "", nil},
		{"nothing but white space", " \t\v\f\r ", nil},
		{"quotes", `SET "a key" 'a value'`, []string{"SET", "a key", "a value"}},
		{"empty quotes", `SET "" ''`, []string{"SET", "", ""}},
		{"quotes inside the other quotes", `"it's" '"x"'`, []string{"it's", `"x"`}},
		{"quotes that begin within a word", `ab"c d"`, []string{"abc d"}},
		{"escapes", `"\n\r\t\b\a\\\"\q"`, []string{"\n\r\t\b\a\\\"q"}},
		{"escapes of bytes", `"\x00\xff\xAb"`, []string{"\x00\xff\xab"}},
		{"half an escape of a byte", `"\x4" "\xg1" "\x"`, []string{"x4", "xg1", "x"}},
		{"single quotes escape only themselves", `'\n\'\x41\\ '`, []string{`\n'\x41\\ `}},
		{"a backslash outside of quotes is itself", `a\nb \"c"`, []string{`a\nb`, `\c`}},
		{"a zero byte is a byte", "a\x00b", []string{"a\x00b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, balanced := splitLine(nil, []byte(test.line))
			if !balanced || !slices.Equal(texts(got), test.want) {
				t.Errorf("got %q, %v; want %q", got, balanced, test.want)
			}
		})
	}
}

func TestUnbalancedQuotesAreRefused(t *testing.T) {
	for _, line := range []string{
		`"`, `'`, `"a`, `'a`, `a "b`, `a"`, `"a\"`, `'a\'`, `"a"b`, `'a'b`, `"a""b"`, `""''`, `"\`, `"a\\\"`, `"\x4`,
	} {
		if got, balanced := splitLine(nil, []byte(line)); balanced {
			t.Errorf("%s gave %q", line, got)
		}
	}
}

func TestAnEmptyQuotedWordIsACommand(t *testing.T) {
	got, err := readAll(strings.NewReader("\"\"\r\n''\n"), DefaultLimits)
	if err != nil || len(got) != 2 || got[0][0] != "" || got[1][0] != "" {
		t.Errorf("got %q, %v", got, err)
	}
}
