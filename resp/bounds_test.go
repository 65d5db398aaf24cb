package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"weak"
)

// pieces is a client whose bytes arrive a few at a time.
type pieces struct {
	data []byte
	rng  *rand.Rand
	most int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(len(p.data), 1+p.rng.IntN(p.most))])
	p.data = p.data[n:]
	return n, nil
}

func newPieces(data []byte, most int) *pieces {
	return &pieces{data: data, rng: rand.New(rand.NewPCG(1, 2)), most: most}
}

// The proof is by poison: whatever an incomplete command has been parsed of is overwritten, and put back only for the
// last piece, with which the command is read a second and last time.
func TestAnIncompleteCommandIsNotReadAgain(t *testing.T) {
	tests := []struct {
		name    string
		command []byte
	}{
		{"many arguments", multibulk(strings.Fields(strings.Repeat("a bc def ", 2000))...)},
		{"a long line", []byte(strings.Repeat("word ", 10_000) + "\n")},
		{"a long count", []byte("*" + strings.Repeat("1", 50_000) + "\r\n")}, // refused in the end
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src := newPieces(test.command, 5)
			r := NewReader(src, DefaultLimits)
			poisoned := 1 // the first byte tells inline from multibulk
			for len(src.data) > 0 {
				if err := r.Fill(); err != nil {
					t.Fatal(err)
				}
				if len(src.data) == 0 {
					copy(r.buf, test.command)
				}
				args, ok, err := r.Next()
				if (ok || err != nil) != (len(src.data) == 0) {
					t.Fatalf("%d bytes before the end: %q, %v, %v", len(src.data), args, ok, err)
				}
				for parsed := r.at + r.look; !ok && poisoned < parsed; poisoned++ {
					r.buf[poisoned] = 0xff
				}
			}
			if poisoned < len(test.command)*9/10 {
				t.Errorf("only %d of %d bytes were proven", poisoned, len(test.command))
			}
		})
	}
}

// fillAndCount returns how many bytes a Fill had to move.
func fillAndCount(r *Reader) (moved int, err error) {
	held, start, before := r.Buffered(), r.start, len(r.buf)
	err = r.Fill()
	if start > 0 || len(r.buf) != before {
		moved = held
	}
	return moved, err
}

func TestWorkIsLinearHoweverTheBytesArrive(t *testing.T) {
	million := make([]string, DefaultLimits.Args)
	for i := range million {
		million[i] = "kv"[i%2 : i%2+1]
	}
	million[0] = "MSET"
	tests := []struct {
		name     string
		in       []byte
		most     int
		commands int
	}{
		{"2^20 arguments in pieces of up to 100 bytes", multibulk(million...), 100, 1},
		{"a long argument in single bytes", multibulk("SET", "k", strings.Repeat("v", 200_000)), 1, 1},
		{"a pipeline in pieces that fit nothing", bytes.Repeat(multibulk("SET", "key", strings.Repeat("v", 300)), 3000), 701, 3000},
		{"large commands behind small ones", bytes.Repeat(append(multibulk("PING"), multibulk("SET", "k", strings.Repeat("v", 100_000))...), 20), 9000, 40},
		{"blank lines", bytes.Repeat([]byte("\r\n*0\r\n"), 50_000), 3, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(newPieces(test.in, test.most), DefaultLimits)
			moves, commands := 0, 0
			for {
				_, ok, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					commands++
					continue
				}
				moved, err := fillAndCount(r)
				if err != nil {
					break
				}
				moves += moved
			}
			if commands != test.commands || r.Buffered() != 0 {
				t.Errorf("got %d commands and %d bytes left, want %d", commands, r.Buffered(), test.commands)
			}
			if moves > 2*len(test.in) {
				t.Errorf("%d bytes were moved for %d that came", moves, len(test.in))
			}
		})
	}
}

// cost returns the bytes that f allocates.
func cost(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestWhatIsOnlyDeclaredCostsNothing(t *testing.T) {
	tests := []struct {
		name string
		in   string
	}{
		{"a million arguments", "*1048577\r\n"},
		{"a million arguments, three of them here", "*1048577\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{"an argument of 32 MiB", "*2\r\n$4\r\nECHO\r\n$33554432\r\nabc"},
		{"more arguments than there may be", "*1048578\r\n"},
		{"an argument of 64 MiB and a byte", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108865\r\nvvv"},
		{"a command of 64 MiB and a byte", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108830\r\nvvv"},
		{"an argument of 8 EiB", "*1\r\n$9223372036854775807\r\nabc\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const bound = 64 << 10 // the buffer is 4 KiB, the rest is the test's own
			if got := cost(func() { _, _ = readAll(strings.NewReader(test.in), DefaultLimits) }); got > bound {
				t.Errorf("allocated %d bytes for %d that came", got, len(test.in))
			}
		})
	}
}

func TestAnOversizeCommandIsRefusedBeforeItArrives(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want string
	}{
		{"the argument is too long", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108865\r\n", "invalid bulk length"},
		{"the command is too long", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n", "command too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var refused *ProtocolError
			if _, err := readAll(strings.NewReader(test.in), DefaultLimits); !errors.As(err, &refused) || refused.Text != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestMemoryFollowsTheBytesThatHaveArrived(t *testing.T) {
	const size = 8 << 20
	tests := []struct {
		name string
		in   []byte
	}{
		{"one long argument", multibulk("SET", "k", strings.Repeat("v", size))},
		{"many empty arguments", append(fmt.Appendf(nil, "*%d\r\n", 1<<20), bytes.Repeat([]byte("$0\r\n\r\n"), 1<<20)...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src := newPieces(test.in[:len(test.in)-1], 64<<10) // never complete
			r := NewReader(src, DefaultLimits)
			arrived := 0
			for len(src.data) > 0 {
				before := len(src.data)
				if err := r.Fill(); err != nil {
					t.Fatal(err)
				}
				if _, ok, err := r.Next(); ok || err != nil {
					t.Fatal(ok, err)
				}
				arrived += before - len(src.data)
				if len(r.buf) > max(2*arrived, restSmall) || cap(r.args)*24 > 8*arrived+1024 {
					t.Fatalf("%d bytes of buffer, room for %d arguments, for %d bytes", len(r.buf), cap(r.args), arrived)
				}
			}
		})
	}
}

// say makes a client say something and the reader take it, but for the Fill that then waits.
func say(t *testing.T, r *Reader, src *bytes.Buffer, in []byte) {
	t.Helper()
	src.Write(in)
	for src.Len() > 0 {
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; {
			var err error
			if _, ok, err = r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTheBufferFollowsTheTraffic(t *testing.T) {
	var src bytes.Buffer
	r := NewReader(&src, DefaultLimits)
	ping, set := multibulk("PING"), multibulk("SET", "k", strings.Repeat("v", 1<<20))
	steps := []struct {
		name  string
		in    []byte
		times int
		want  int
	}{
		{"a small command gets a small buffer", ping, 1, restSmall},
		{"many of them change nothing", ping, 3 * calmReads, restSmall},
		{"a pipeline gets a large buffer", bytes.Repeat(ping, 20_000), 1, restLarge},
		{"a large command gets what it needs", set, 1, 2 << 20},
		{"which the next one gives back", ping, 1, restLarge},
		{"a few small commands keep it", ping, calmReads - 2, restLarge},
		{"a row of them does not", ping, 2, restSmall},
		{"nor do they keep what a large command needed", set, 1, 2 << 20},
		{"and it can be had again", bytes.Repeat(ping, 20_000), 1, restLarge},
	}
	for _, step := range steps {
		for range step.times {
			say(t, r, &src, step.in)
		}
		if len(r.buf) != step.want {
			t.Errorf("%s: got %d bytes, want %d", step.name, len(r.buf), step.want)
		}
	}
}

// A million arguments, or arguments of a large buffer, must not live on in an idle connection.
func TestALargeCommandLeavesNothingBehind(t *testing.T) {
	for _, command := range [][]byte{
		multibulk("SET", "k", strings.Repeat("v", 1<<20)),
		multibulk(strings.Fields(strings.Repeat("a ", 100_000))...),
	} {
		var src bytes.Buffer
		r := NewReader(&src, DefaultLimits)
		say(t, r, &src, command)
		large := weak.Make(&r.buf[0])
		if err := r.Fill(); err != io.EOF { // where a server waits
			t.Fatal(err)
		}
		runtime.GC()
		if large.Value() != nil || len(r.buf) > restLarge || cap(r.args) > argsBlock {
			t.Errorf("kept %d bytes and room for %d arguments; the large buffer is free: %v", len(r.buf), cap(r.args), large.Value() == nil)
		}
		runtime.KeepAlive(r)
	}
}

func TestRoomForArgumentsFollowsTheBuffer(t *testing.T) {
	var src bytes.Buffer
	r := NewReader(&src, DefaultLimits)
	say(t, r, &src, bytes.Repeat([]byte("P\n"), restSmall/2-1))
	before := cap(r.args)
	if err := r.Fill(); err != io.EOF {
		t.Fatal(err)
	}
	if before < restSmall/2-1 || cap(r.args) > restSmall/argsShare {
		t.Errorf("room for %d arguments, %d before, beside %d bytes", cap(r.args), before, len(r.buf))
	}
}

// Only a caller that fills without taking commands gets here.
func TestFillRefusesToGrowWithoutEnd(t *testing.T) {
	r := NewReader(&loop{data: []byte("PING\r\n"), chunk: 1 << 20}, Limits{Command: 10_000})
	var err error
	for range 100 {
		if err = r.Fill(); err != nil {
			break
		}
	}
	if err != bufio.ErrBufferFull || len(r.buf) > restLarge {
		t.Errorf("got %v with %d bytes", err, len(r.buf))
	}
	if args, ok, err := r.Next(); !ok || err != nil || len(args) != 1 {
		t.Errorf("Next afterwards: %q, %v, %v", args, ok, err)
	}
}

func TestOrdinaryCommandsAllocateNothing(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
	}{
		{"GET", multibulk("GET", "key:000000001234")},
		{"SET", multibulk("SET", "key:000000001234", strings.Repeat("v", 256))},
		{"MGET", multibulk("MGET", "a", "b", "c", "d", "e", "f", "g", "h")},
		{"inline", []byte("SET key \"a \\x41\"\r\n")},
		{"a GET in pieces", multibulk("GET", "key:000000001234")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			chunk := len(test.in)
			if strings.Contains(test.name, "pieces") {
				chunk = 5
			}
			r := NewReader(&loop{data: test.in, chunk: chunk}, DefaultLimits)
			for range 2 * calmReads {
				next(t, r)
			}
			if n := testing.AllocsPerRun(1000, func() { next(t, r) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
