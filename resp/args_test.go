package resp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func argv(words ...string) [][]byte {
	b := make([][]byte, len(words))
	for i, w := range words {
		b[i] = []byte(w)
	}
	return b
}

func TestIntegersAreStrict(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0", 0, true},
		{"1", 1, true},
		{"-1", -1, true},
		{"1234567890", 1234567890, true},
		{"9223372036854775807", 9223372036854775807, true},
		{"-9223372036854775808", -9223372036854775808, true},
		{"9223372036854775808", 0, false},
		{"-9223372036854775809", 0, false},
		{"18446744073709551615", 0, false},
		{"18446744073709551617", 0, false},
		{"99999999999999999999999", 0, false},
		{"", 0, false},
		{"-", 0, false},
		{"+1", 0, false},
		{"-0", 0, false},
		{"00", 0, false},
		{"01", 0, false},
		{"-01", 0, false},
		{" 1", 0, false},
		{"1 ", 0, false},
		{"1.0", 0, false},
		{"1e3", 0, false},
		{"0x1", 0, false},
		{"1\x00", 0, false},
		{"--1", 0, false},
		{"１", 0, false},
		{"9999999999999999999", 0, false},
	}
	for _, test := range tests {
		a := NewArgs(argv(test.in, "next"))
		got := a.Int()
		if got != test.want || (a.Err() == nil) != test.ok {
			t.Errorf("%q: got %d, %v; want %d", test.in, got, a.Err(), test.want)
		}
		if !test.ok && a.Err() != ErrNotInteger {
			t.Errorf("%q: got %v", test.in, a.Err())
		}
	}
}

func TestArgumentsAreWalkedInOrder(t *testing.T) {
	a := NewArgs(argv("key", "-7", "nX", "left", "over"))
	if got := string(a.Peek()); got != "key" {
		t.Errorf("Peek: got %q", got)
	}
	if got := a.Text(); got != "key" {
		t.Errorf("Text: got %q", got)
	}
	if got := a.Int(); got != -7 {
		t.Errorf("Int: got %d", got)
	}
	if got := a.Keyword(); got != "NX" {
		t.Errorf("Keyword: got %q", got)
	}
	if a.Len() != 2 || !a.More() {
		t.Errorf("Len: got %d", a.Len())
	}
	if got := texts(a.Rest()); !slices.Equal(got, []string{"left", "over"}) {
		t.Errorf("Rest: got %q", got)
	}
	if a.More() || a.Len() != 0 || a.Peek() != nil || a.Rest() != nil || a.Err() != nil {
		t.Errorf("something is left: %v", a)
	}
}

func TestRunningOutOfArgumentsIsASyntaxError(t *testing.T) {
	reads := map[string]func(a *Args){
		"Bytes":   func(a *Args) { a.Bytes() },
		"Text":    func(a *Args) { a.Text() },
		"Int":     func(a *Args) { a.Int() },
		"Keyword": func(a *Args) { a.Keyword() },
	}
	for name, read := range reads {
		a := NewArgs(nil)
		if read(a); a.Err() != ErrSyntax {
			t.Errorf("%s: got %v", name, a.Err())
		}
	}
}

func TestTheFirstFailureSticks(t *testing.T) {
	first := errors.New("first")
	a := NewArgs(argv("x", "1", "2"))
	a.Fail(nil)
	if a.Err() != nil || !a.More() {
		t.Fatal("nil is no failure")
	}
	a.Fail(first)
	a.Fail(ErrSyntax)
	if a.Bytes() != nil || a.Int() != 0 || a.Text() != "" || a.Keyword() != "" || a.More() || a.Rest() != nil {
		t.Error("a failed walk goes on")
	}
	if a.Err() != first {
		t.Errorf("got %v", a.Err())
	}
	a.Reset(argv("y"))
	if a.Err() != nil || a.Text() != "y" {
		t.Error("Reset begins anew")
	}
}

func TestKeywordsOfAnyLengthAreUpperCased(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "keepttl": "KEEPTTL", "aZ09_-é": "AZ09_-é",
		strings.Repeat("x", 100): strings.Repeat("X", 100),
	} {
		if got := NewArgs(argv(in)).Keyword(); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestWalkingAllocatesNothing(t *testing.T) {
	args := argv("key", "keepttl", "12345")
	var a Args
	n := testing.AllocsPerRun(100, func() {
		a.Reset(args)
		a.Bytes()
		switch a.Keyword() {
		case "KEEPTTL":
		default:
			a.Fail(ErrSyntax)
		}
		a.Int()
	})
	if n != 0 || a.Err() != nil {
		t.Errorf("%v allocations, %v", n, a.Err())
	}
}

// A parser reads straight through and checks once.
func ExampleArgs() {
	parse := func(words ...string) {
		a := NewArgs(argv(words...))
		key, count, force := a.Text(), a.Int(), false
		for a.More() {
			switch a.Keyword() {
			case "FORCE":
				force = true
			default:
				a.Fail(ErrSyntax)
			}
		}
		fmt.Println(key, count, force, a.Err())
	}
	parse("key", "3", "force")
	parse("key", "three", "force")
	parse("key")
	// Output:
	// key 3 true <nil>
	// key 0 false ERR value is not an integer or out of range
	// key 0 false ERR syntax error
}
