package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// loop is a client that sends the same bytes for ever, as much at a time as is asked for, but at most one chunk.
type loop struct {
	data  []byte
	at    int
	chunk int
}

func (l *loop) Read(p []byte) (int, error) {
	p = p[:min(len(p), l.chunk)]
	n := 0
	for n < len(p) {
		c := copy(p[n:], l.data[l.at:])
		n += c
		l.at = (l.at + c) % len(l.data)
	}
	return n, nil
}

func multibulk(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

func BenchmarkNext(b *testing.B) {
	value := strings.Repeat("v", 256)
	benches := []struct {
		name    string
		command []byte
		chunk   int
	}{
		{"GET in a long pipeline", multibulk("GET", "key:000000001234"), 1 << 20},
		{"SET of 256 bytes in a long pipeline", multibulk("SET", "key:000000001234", value), 1 << 20},
		{"GET one at a time", multibulk("GET", "key:000000001234"), 0},
		{"SET of 256 bytes one at a time", multibulk("SET", "key:000000001234", value), 0},
		{"MSET of ten", multibulk("MSET", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9", "j", "10"), 1 << 20},
		{"inline PING", []byte("PING\r\n"), 1 << 20},
		{"GET in 7-byte pieces", multibulk("GET", "key:000000001234"), 7},
	}
	for _, bench := range benches {
		b.Run(bench.name, func(b *testing.B) {
			chunk := bench.chunk
			if chunk == 0 {
				chunk = len(bench.command)
			}
			r := NewReader(&loop{data: bytes.Clone(bench.command), chunk: chunk}, DefaultLimits)
			b.SetBytes(int64(len(bench.command)))
			b.ReportAllocs()
			for b.Loop() {
				next(b, r)
			}
		})
	}
}

func next(tb testing.TB, r *Reader) [][]byte {
	for {
		args, ok, err := r.Next()
		if ok {
			return args
		}
		if err == nil {
			err = r.Fill()
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 256)
	benches := []struct {
		name  string
		write func(w *Writer)
	}{
		{"OK", (*Writer).OK},
		{"Null", (*Writer).Null},
		{"Int", func(w *Writer) { w.Int(123456) }},
		{"Bulk of 256 bytes", func(w *Writer) { w.Bulk(value) }},
		{"Error", func(w *Writer) { w.Error(ErrWrongType) }},
	}
	for _, bench := range benches {
		b.Run(bench.name, func(b *testing.B) {
			var w Writer
			b.ReportAllocs()
			for b.Loop() {
				if bench.write(&w); w.Len() > 32<<10 {
					w.Reset()
				}
			}
		})
	}
}
