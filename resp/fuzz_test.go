package resp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// conversations are what real clients say first, what people type, and what has broken other servers.
var conversations = []string{
	// go-redis, rueidis, redis-py, ioredis, StackExchange.Redis, redis-cli, redis-benchmark.
	string(multibulk("HELLO", "3")) + string(multibulk("CLIENT", "SETINFO", "LIB-NAME", "go-redis(,go1.26)")) + string(multibulk("CLIENT", "SETINFO", "LIB-VER", "9.23.0")),
	string(multibulk("HELLO", "3", "AUTH", "default", "secret", "SETNAME", "me")) + string(multibulk("CLIENT", "TRACKING", "ON", "OPTIN")) + string(multibulk("CLIENT", "CAPA", "redirect")),
	string(multibulk("HELLO", "3")) + string(multibulk("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "external-ip")),
	string(multibulk("info")) + string(multibulk("client", "setinfo", "LIB-VER", "6.0.0")),
	string(multibulk("CONFIG", "GET", "timeout")) + string(multibulk("GET", "__Booksleeve_TieBreak")) + string(multibulk("ECHO", "\x00\x01\r\n\xff6789abcdef")),
	string(multibulk("COMMAND", "DOCS")),
	string(multibulk("SET", "key:__rand_int__", "VXK")) + string(multibulk("MSET", "a", "1", "b", "2")),
	string(multibulk("MULTI")) + string(multibulk("SET", "k", "")) + string(multibulk("EXEC")),
	// People.
	"PING\r\n", "ping\n", "SET k \"a\\x00\\n b\" \r\nGET k\r\n", "set 'it\\'s' \"x\"\r\n", "\r\n\r\nPING\r\n", "GET key\r\n", "GET /\n", " \t\v\n",
	// Redis's own tests of its protocol.
	"*-10\r\nPING\r\n", "*3000000000\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
	"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "*1\r\nfoo\r\n", "set \"\"\"test-key\"\"\" test-value\r\n",
	"\x00payload", "*\x00payload", "$\x00payload", "*1\r\n$\x00payload",
	// What kills or confuses redcon.
	"*1\r\n$9223372036854775807\r\nabc\r\n", "*1\r\n$18446744073709551619\r\nabc\r\n", "*9223372036854775807\r\n", "*0\r\n*-1\r\n",
	strings.Repeat("*", 60), "*1\r\n$" + strings.Repeat("1", 60), strings.Repeat("x", 60),
	// Other protocols.
	"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST / HTTP/1.1\r\n\r\n*1\r\n$8\r\nFLUSHALL\r\n", "\x16\x03\x01\x02\x00\x01", "\x16", "\x16\r\n",
}

// conversation takes all that r gives, and checks that arguments last until the next Fill.
func conversation(t *testing.T, r *Reader) (commands []string, final error) {
	type given struct {
		args [][]byte
		text string
	}
	var held []given
	for {
		args, ok, err := r.Next()
		if ok {
			if len(args) == 0 || len(args) > r.lim.Args {
				t.Fatalf("a command of %d arguments", len(args))
			}
			text := fmt.Sprintf("%q", args)
			held = append(held, given{args, text})
			commands = append(commands, text)
			continue
		}
		for _, h := range held {
			if now := fmt.Sprintf("%q", h.args); now != h.text {
				t.Fatalf("%s became %s before the next Fill", h.text, now)
			}
		}
		held = held[:0]
		if err == nil {
			err = r.Fill()
		}
		if err == io.EOF {
			return commands, nil
		}
		if err != nil {
			return commands, err
		}
	}
}

// However the network cuts the stream, the commands are the same, and so is the error; and memory is bounded by what came.
func FuzzReader(f *testing.F) {
	for _, c := range conversations {
		f.Add([]byte(c), uint64(1), byte(3), false)
		f.Add([]byte(c), uint64(2), byte(1), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, most byte, tightly bool) {
		limits := DefaultLimits
		if tightly {
			limits = tight
		}
		whole := NewReader(strings.NewReader(""), limits)
		whole.buf, whole.end = bytes.Clone(in), len(in)
		want, wantErr := conversation(t, whole)

		src := &pieces{data: in, rng: rand.New(rand.NewPCG(seed, 0)), most: int(most) + 1}
		cut := NewReader(src, limits)
		got, gotErr := conversation(t, cut)

		if !slices.Equal(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("in one piece: %s, %v\nin pieces:    %s, %v", want, wantErr, got, gotErr)
		}
		if memory := len(cut.buf) + 24*cap(cut.args); memory > 2*len(in)+64<<10 {
			t.Errorf("%d bytes of memory for %d that came", memory, len(in))
		}
	})
}

// Whatever a line holds, its words lie within it, in order; and words that are quoted come back as they were.
func FuzzInline(f *testing.F) {
	for _, c := range conversations {
		f.Add([]byte(c))
	}
	for _, line := range []string{`"`, `'`, `"\x4"`, `"\`, `'\'`, `a"b c"`, `"a"b`, `''`, "a\vb"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		line := bytes.Clone(in)
		if words, balanced := splitLine(nil, line); balanced {
			total := 0
			for _, w := range words {
				if cap(w) != len(w) {
					t.Errorf("%q has room for %d bytes", w, cap(w))
				}
				total += len(w)
			}
			if total > len(in) || len(words) > (len(in)+1)/2 {
				t.Errorf("%q: %d words of %d bytes", in, len(words), total)
			}
		}

		want := texts(bytes.Split(in, []byte{' '}))
		line = line[:0]
		for i, w := range want {
			line = append(line, quote(w, i)...)
			line = append(line, " \t\v"[i%3])
		}
		if got, balanced := splitLine(nil, line); !balanced || !slices.Equal(texts(got), want) {
			t.Errorf("got %q, %v; want %q", got, balanced, want)
		}
	})
}

// quote writes a word as one of the three ways to quote any bytes.
func quote(word string, way int) string {
	switch way % 3 {
	case 0:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\a", `\a`, "\b", `\b`).Replace(word) + `"`
	case 1:
		quoted := `"`
		for _, c := range []byte(word) {
			quoted += fmt.Sprintf(`\x%02X`, c)
		}
		return quoted + `"`
	}
	// In single quotes nothing but a quote can be escaped, so a backslash must stay clear of one.
	if strings.Contains(word, `\'`) || strings.HasSuffix(word, `\`) {
		return quote(word, 1)
	}
	return `'` + strings.ReplaceAll(word, `'`, `\'`) + `'`
}
