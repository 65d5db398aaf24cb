package resp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestRepliesInBothVersions(t *testing.T) {
	tests := []struct {
		name  string
		write func(w *Writer)
		two   string
		three string // "" means the same
	}{
		{"OK", (*Writer).OK, "+OK\r\n", ""},
		{"a status", func(w *Writer) { w.Simple("PONG") }, "+PONG\r\n", ""},
		{"a status with line ends", func(w *Writer) { w.Simple("a\r\nb") }, "+a  b\r\n", ""},
		{"a refusal", func(w *Writer) { w.Error(ErrSyntax) }, "-ERR syntax error\r\n", ""},
		{"an integer", func(w *Writer) { w.Int(-42) }, ":-42\r\n", ""},
		{"a small integer", func(w *Writer) { w.Int(7) }, ":7\r\n", ""},
		{"bytes", func(w *Writer) { w.Bulk([]byte("a\r\nb")) }, "$4\r\na\r\nb\r\n", ""},
		{"no bytes", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", ""},
		{"a string", func(w *Writer) { w.BulkString("hello world") }, "$11\r\nhello world\r\n", ""},
		{"null", (*Writer).Null, "$-1\r\n", "_\r\n"},
		{"null for an array", (*Writer).NullArray, "*-1\r\n", "_\r\n"},
		{"an array", func(w *Writer) { w.Array(12) }, "*12\r\n", ""},
		{"an empty array", func(w *Writer) { w.Array(0) }, "*0\r\n", ""},
		{"a map", func(w *Writer) { w.Map(7) }, "*14\r\n", "%7\r\n"},
		{"a set", func(w *Writer) { w.Set(3) }, "*3\r\n", "~3\r\n"},
		{"a push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"a double", func(w *Writer) { w.Double(0.1) }, "$3\r\n0.1\r\n", ",0.1\r\n"},
		{"a whole double", func(w *Writer) { w.Double(-3) }, "$2\r\n-3\r\n", ",-3\r\n"},
		{"a large double", func(w *Writer) { w.Double(1e20) }, "$5\r\n1e+20\r\n", ",1e+20\r\n"},
		{"a small double", func(w *Writer) { w.Double(2.5e-7) }, "$7\r\n2.5e-07\r\n", ",2.5e-07\r\n"},
		{"infinity", func(w *Writer) { w.Double(math.Inf(1)) }, "$3\r\ninf\r\n", ",inf\r\n"},
		{"minus infinity", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"no number", func(w *Writer) { w.Double(math.NaN()) }, "$3\r\nnan\r\n", ",nan\r\n"},
		{"a text", func(w *Writer) { w.Verbatim("txt", "a\r\nb") }, "$4\r\na\r\nb\r\n", "=8\r\ntxt:a\r\nb\r\n"},
		{"a text of an impossible type", func(w *Writer) { w.Verbatim("text", "a") }, "$1\r\na\r\n", "=5\r\ntxt:a\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte("+OK\r\n")) }, "+OK\r\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.three == "" {
				test.three = test.two
			}
			for proto, want := range map[int]string{0: test.two, 2: test.two, 3: test.three} {
				w := Writer{Buf: []byte("before"), Proto: proto}
				test.write(&w)
				if got := string(w.Buf); got != "before"+want || w.Len() != len(got) {
					t.Errorf("version %d: got %q, want %q", proto, got, want)
				}
			}
		})
	}
}

func TestErrorsStayOnOneLine(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"line ends become spaces", Errorf("ERR", "a\r\nb\n"), "-ERR a  b \r\n"},
		{"controls are escaped", Errorf("ERR", "a\x00\x1b[31m\x7f\tb"), `-ERR a\x00\x1b[31m\x7f\x09b` + "\r\n"},
		{"text of any language stays", Errorf("NOPARENT", "ключ/鍵 é"), "-NOPARENT ключ/鍵 é\r\n"},
		{"broken text is escaped", Errorf("ERR", "a\xc3b\xff\xe9\x8d"), `-ERR a\xc3b\xff\xe9\x8d` + "\r\n"},
		{"invisible text is escaped", Errorf("ERR", "a\u2028\u202eb"), `-ERR a\xe2\x80\xa8\xe2\x80\xaeb` + "\r\n"},
		{"a backslash is itself", Errorf("ERR", `a\b`), `-ERR a\b` + "\r\n"},
		{"a prefix with line ends", &Error{"A\r\nB", "c"}, "-A  B c\r\n"},
		{"a refusal that was wrapped", fmt.Errorf("no: %w", ErrWrongType), "-" + ErrWrongType.Error() + "\r\n"},
		{"any other error", errors.New("disk\non fire"), "-ERR disk on fire\r\n"},
		{"an error of the protocol", &ProtocolError{"invalid bulk length"}, "-ERR Protocol error: invalid bulk length\r\n"},
		{"an unknown command", UnknownCommand(argv("a\r\n+OK", "\x00")), `-ERR unknown command 'a  +OK', with args beginning with: '\x00' ` + "\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var w Writer
			w.Error(test.err)
			if got := string(w.Buf); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestResetKeepsNoBufferThatIsTooLarge(t *testing.T) {
	tests := []struct {
		name      string
		room, len int
		kept      bool
	}{
		{"a small buffer", writerKeep, 10, true},
		{"a large buffer of large replies", writerKeepHot, writerKeepHot / 2, true},
		{"a large buffer of small replies", writerKeepHot, 10, false},
		{"a huge buffer", 2 * writerKeepHot, 2 * writerKeepHot, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := Writer{Buf: make([]byte, test.len, test.room)}
			if w.Reset(); w.Len() != 0 || (cap(w.Buf) > 0) != test.kept {
				t.Errorf("%d bytes kept, %d in use", cap(w.Buf), w.Len())
			}
		})
	}
}

func TestRepliesAllocateNothing(t *testing.T) {
	w := Writer{Buf: make([]byte, 0, 4096), Proto: 3}
	value := []byte(strings.Repeat("v", 256))
	n := testing.AllocsPerRun(100, func() {
		w.Buf = w.Buf[:0]
		w.OK()
		w.Simple("PONG")
		w.Int(123456789)
		w.Bulk(value)
		w.BulkString("string")
		w.Null()
		w.NullArray()
		w.Array(100)
		w.Map(100)
		w.Double(3.25)
		w.Bool(true)
		w.Verbatim("txt", "text")
		w.Error(ErrWrongType)
		w.Raw(value)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
