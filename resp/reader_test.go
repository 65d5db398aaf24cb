package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// tight are limits small enough for a test to reach them.
var tight = Limits{Bulk: 32, Command: 128, Args: 4, Inline: 48}

// readAll returns all commands of src, copied, and the error that ended them; nil at the end of src.
func readAll(src io.Reader, l Limits) (commands [][]string, err error) {
	r := NewReader(src, l)
	for {
		args, ok, err := r.Next()
		switch {
		case err != nil:
			return commands, err
		case ok:
			commands = append(commands, texts(args))
			continue
		}
		if err := r.Fill(); err == io.EOF {
			return commands, nil
		} else if err != nil {
			return commands, err
		}
	}
}

func texts(args [][]byte) []string {
	t := make([]string, len(args))
	for i, a := range args {
		t[i] = string(a)
	}
	return t
}

func words(lines ...string) [][]string {
	var commands [][]string
	for _, line := range lines {
		commands = append(commands, strings.Fields(line))
	}
	return commands
}

func TestCommandsAreRead(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want [][]string
	}{
		{"one command", "*1\r\n$4\r\nPING\r\n", words("PING")},
		{"a pipeline", "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", words("PING", "GET k")},
		{"an empty argument", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [][]string{{"ECHO", ""}}},
		{"an argument of line ends", "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", [][]string{{"ECHO", "\r\n\r\n"}}},
		{"an argument of two digits", "*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\n", words("ECHO 0123456789")},
		{"no arguments are passed over", "*0\r\n*1\r\n$4\r\nPING\r\n", words("PING")},
		{"fewer than no arguments are passed over", "*-1\r\n*-2\r\n*-9223372036854775808\r\n*1\r\n$4\r\nPING\r\n", words("PING")},
		{"blank lines are passed over", "\r\n\n  \t \r\n*1\r\n$4\r\nPING\r\n\r\n", words("PING")},
		{"inline and multibulk take turns", "PING\r\n*1\r\n$4\r\nPING\r\nPING\n", words("PING", "PING", "PING")},
		{"what is incomplete waits", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPIN", words("PING")},
		{"a lone star waits", "*", nil},
		{"a person types HTTP's favourite command", "GET key\r\nGET /\r\n", words("GET key", "GET /")},
		{"a binary line that is no TLS", "\x16\x04\r\n", [][]string{{"\x16\x04"}}},
		{"the bytes of TLS later on", "PING\r\n\x16\x03\r\n", [][]string{{"PING"}, {"\x16\x03"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				got, err := readAll(src, DefaultLimits)
				if err != nil || !slices.EqualFunc(got, test.want, slices.Equal) {
					t.Errorf("%q: got %q, %v; want %q", test.in, got, err, test.want)
				}
			}
		})
	}
}

func TestBadInputIsRefusedForGood(t *testing.T) {
	const ping = "*1\r\n$4\r\nPING\r\n"
	long := strings.Repeat("1", 100)
	tests := []struct {
		name string
		in   string
		want string // the text of the ProtocolError
	}{
		{"the 31 bytes that kill redcon", "*1\r\n$9223372036854775807\r\nabc\r\n", "invalid bulk length"},
		{"a length that overflows to 3", "*1\r\n$18446744073709551619\r\nabc\r\n", "invalid bulk length"},
		{"a negative length", "*1\r\n$-1\r\n", "invalid bulk length"},
		{"a length of letters", "*1\r\n$abc\r\n", "invalid bulk length"},
		{"no length", "*1\r\n$\r\n", "invalid bulk length"},
		{"a length with a plus sign", "*1\r\n$+3\r\nabc\r\n", "invalid bulk length"},
		{"a length with a leading zero", "*1\r\n$03\r\nabc\r\n", "invalid bulk length"},
		{"a length with a space", "*1\r\n$ 3\r\nabc\r\n", "invalid bulk length"},
		{"a length of minus zero", "*1\r\n$-0\r\n\r\n", "invalid bulk length"},
		{"a length over the limit", "*1\r\n$33\r\n", "invalid bulk length"},
		{"a length without newline", "*1\r\n$3\rXabc\r\n", "invalid bulk length"},
		{"an argument longer than it says", "*1\r\n$3\r\nabcd\r\n", "invalid bulk length"},
		{"an argument without newline", "*1\r\n$3\r\nabc\rX", "invalid bulk length"},
		{"the largest count", "*9223372036854775807\r\n", "invalid multibulk length"},
		{"a count that overflows to 1", "*18446744073709551617\r\n", "invalid multibulk length"},
		{"a count below the smallest", "*-9223372036854775809\r\n", "invalid multibulk length"},
		{"a count over the limit", "*5\r\n", "invalid multibulk length"},
		{"a count of letters", "*abc\r\n", "invalid multibulk length"},
		{"no count", "*\r\n", "invalid multibulk length"},
		{"a count with a leading zero", "*01\r\n", "invalid multibulk length"},
		{"a count without newline", "*1\rX", "invalid multibulk length"},
		{"no dollar", "*1\r\nfoo\r\n", "expected '$', got 'f'"},
		{"no dollar but a control", "*1\r\n\x00", `expected '$', got '\x00'`},
		{"no dollar but half a letter", "*1\r\n\xc3", `expected '$', got '\xc3'`},
		{"too many arguments behind a number that is right", "*2\r\n$1\r\na\r\n*1\r\n", "expected '$', got '*'"},
		{"a count without end", "*" + long, "too big mbulk count string"},
		{"a length without end", "*1\r\n$" + long, "too big bulk count string"},
		{"a line without end", "GET " + long, "too big inline request"},
		{"a line over the limit", "GET " + long + "\r\n", "too big inline request"},
		{"a line of too many words", "a b c d e\r\n", "too big inline request"},
		{"open quotes", "SET k \"v\r\n", "unbalanced quotes in request"},
		{"arguments that together are too long", "*4\r\n$32\r\n" + long[:32] + "\r\n$32\r\n" + long[:32] + "\r\n$32\r\n" + long[:32] + "\r\n$32\r\n", "command too large"},
		{"a length that begins within the limit", "*4\r\n" + strings.Repeat("$32\r\n"+long[:32]+"\r\n", 3) + "$0000000", "command too large"},
		{"a length that ends with the limit", "*4\r\n" + strings.Repeat("$32\r\n"+long[:32]+"\r\n", 3) + "$00000\r", "command too large"},
		{"a length one byte before the limit", "*4\r\n" + strings.Repeat("$32\r\n"+long[:32]+"\r\n", 3) + "$0000\r\n", "invalid bulk length"},
		{"framing that is too long", "*4\r\n$32\r\n" + long[:32] + "\r\n$32\r\n" + long[:32] + "\r\n$31\r\n" + long[:31] + "\r\n$3\r\nabc\r\n", "command too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, before := range []string{"", ping + ping} {
				in := before + test.in
				for _, src := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
					checkRefused(t, NewReader(src, tight), len(before)/len(ping), test.want)
				}
			}
		})
	}
}

func TestNothingIsReadBeyondTheLongestCommand(t *testing.T) {
	limits := Limits{Command: 4 + 2*(5+32+2), Inline: 16}
	in := "*3\r\n" + strings.Repeat("$32\r\n"+strings.Repeat("a", 32)+"\r\n", 2)
	for _, more := range []string{"X", "$1\r\na\r\n"} {
		checkRefused(t, NewReader(strings.NewReader(in+more), limits), 0, "command too large")
	}
}

// checkRefused takes some commands, then expects an error of the client's, three times over.
func checkRefused(t *testing.T, r *Reader, commands int, want string) {
	t.Helper()
	var refused *ProtocolError
	for {
		_, ok, err := r.Next()
		if ok {
			commands--
			continue
		}
		if errors.As(err, &refused) {
			break
		}
		if err = r.Fill(); err != nil {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	if refused.Text != want || commands != 0 {
		t.Errorf("got %q with %d commands to come, want %q", refused.Text, commands, want)
	}
	if err := r.Fill(); err != refused {
		t.Errorf("Fill afterwards: %v", err)
	}
	if _, ok, err := r.Next(); ok || err != refused {
		t.Errorf("Next afterwards: %v, %v", ok, err)
	}
}

func TestALimitIsTheLastThatIsAccepted(t *testing.T) {
	tests := []struct {
		name string
		in   string
	}{
		{"argument", string(multibulk(strings.Repeat("a", 32)))},
		{"count", string(multibulk("a", "b", "c", "d"))},
		{"line", strings.Repeat("a", 46) + "\r\n"},
		{"command", string(multibulk(strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 28), "ddddd"))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "command" && len(test.in) != tight.Command {
				t.Fatalf("%d bytes do not test the limit", len(test.in))
			}
			for _, src := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				if got, err := readAll(src, tight); len(got) != 1 || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
}

func TestOtherProtocolsAreRecognised(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want error
	}{
		{"a browser's GET", "GET / HTTP/1.1\r\n", ErrHTTP},
		{"a GET with a path", "GET /metrics?q=\"x HTTP/1.0\r\n", ErrHTTP},
		{"a POST", "POST /x HTTP/1.1\r\n", ErrHTTP},
		{"a POST of anything", "POST x\r\n", ErrHTTP},
		{"a PUT", "PUT /key HTTP/1.1\r\n", ErrHTTP},
		{"a HEAD", "HEAD / HTTP/1.1\n", ErrHTTP},
		{"OPTIONS of everything", "OPTIONS * HTTP/1.1\r\n", ErrHTTP},
		{"DELETE without version", "DELETE /key\r\n", ErrHTTP},
		{"a proxy's CONNECT", "CONNECT example.org:443 HTTP/1.1\r\n", ErrHTTP},
		{"a header", "PING\r\nHost: 127.0.0.1:6379\r\n", ErrHTTP},
		{"a header in lower case", "PING\r\nhost: localhost\r\n", ErrHTTP},
		{"TLS 1.0 and later", "\x16\x03\x01\x02\x00\x01\x00", ErrTLS},
		{"TLS in two bytes", "\x16\x03", ErrTLS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				if _, err := readAll(src, DefaultLimits); err != test.want {
					t.Errorf("%q: got %v, want %v", test.in, err, test.want)
				}
			}
		})
	}
}

func TestFillTellsWhatTheSourceSays(t *testing.T) {
	broken := errors.New("the cable was cut")
	tests := []struct {
		name string
		src  io.Reader
		want []error // of one Fill after the other
	}{
		{"the end", strings.NewReader(""), []error{io.EOF}},
		{"bytes, then the end", strings.NewReader("PING"), []error{nil, io.EOF, io.EOF}},
		{"bytes together with the end", iotest.DataErrReader(strings.NewReader("PING")), []error{nil, io.EOF}},
		{"an error", iotest.ErrReader(broken), []error{broken, broken}},
		{"a timeout that passes", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("PI"))), []error{nil, iotest.ErrTimeout, nil, io.EOF}},
		{"nothing, again and again", idle{}, []error{io.ErrNoProgress}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(test.src, DefaultLimits)
			for i, want := range test.want {
				if err := r.Fill(); err != want {
					t.Errorf("Fill %d: got %v, want %v", i+1, err, want)
				}
			}
		})
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestBufferedCountsWhatWasNotTaken(t *testing.T) {
	r := NewReader(strings.NewReader("PING\r\nECHO a\r\nPI"), DefaultLimits)
	for _, want := range []int{0, 16, 10, 2} {
		if got := r.Buffered(); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
		if want == 0 {
			_ = r.Fill()
		} else {
			_, _, _ = r.Next()
		}
	}
}

// A server may plan a whole pipeline before it carries out the first command.
func TestArgumentsLastUntilTheNextFill(t *testing.T) {
	var in []byte
	var want []string
	for i := range 3 * argsBlock {
		command := []string{"SET", fmt.Sprint("key", i), `"`}
		want = append(want, fmt.Sprint(command))
		if i%5 == 0 {
			in = fmt.Appendf(in, "%s '%s' \"\\x22\"\r\n", command[0], command[1])
		} else {
			in = append(in, multibulk(command...)...)
		}
	}
	src := bytes.NewReader(in)
	r := NewReader(src, DefaultLimits)
	seen := 0
	for src.Len() > 0 {
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		var held [][][]byte
		for {
			args, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			held = append(held, args)
		}
		for _, args := range held {
			if got := fmt.Sprint(texts(args)); got != want[seen] {
				t.Fatalf("command %d: got %s, want %s", seen, got, want[seen])
			}
			seen++
		}
	}
	if seen != len(want) {
		t.Errorf("got %d commands, want %d", seen, len(want))
	}
}

// Whoever appends to an argument must not write into the next one.
func TestArgumentsCannotGrowIntoEachOther(t *testing.T) {
	r := NewReader(strings.NewReader("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\nECHO d\r\nECHO e\r\nECHO f\r\nPING\r\n"), DefaultLimits)
	for range 5 {
		args := next(t, r)
		for _, a := range args {
			if cap(a) != len(a) {
				t.Errorf("%q has room for %d bytes", a, cap(a))
			}
		}
		if cap(args) != len(args) {
			t.Errorf("%q has room for %d arguments", args, cap(args))
		}
	}
}

func ExampleReader() {
	r := NewReader(strings.NewReader("*2\r\n$3\r\nGET\r\n$4\r\nname\r\nSET name \"a\\tb\"\r\n*1\r\n$-5\r\n"), DefaultLimits)
	for {
		args, ok, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		if !ok {
			if r.Fill() != nil {
				return
			}
			continue
		}
		fmt.Printf("%q\n", args)
	}
	// Output:
	// ["GET" "name"]
	// ["SET" "name" "a\tb"]
	// Protocol error: invalid bulk length
}
