package fsm

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
)

const benchOps = 50 // operations per entry, as with 50 clients or a short pipeline

var benchValue = bytes.Repeat([]byte("v"), 256)

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// filled returns a machine with all keys set.
func filled(tb testing.TB, keys [][]byte) *Machine {
	m := New()
	buf := make([]byte, HeaderSize)
	for at := 0; at < len(keys); at += benchOps {
		some := keys[at:min(at+benchOps, len(keys))]
		buf = sealSets(buf, some)
		applyBytes(tb, m, buf)
	}
	return m
}

func sealSets(buf []byte, keys [][]byte) []byte {
	buf = buf[:HeaderSize]
	op := Set{Value: benchValue}
	for _, k := range keys {
		op.Key = k
		buf = op.AppendTo(buf)
	}
	SealEntry(buf, Header{Term: 1, WallMillis: 1, MaxValue: 1 << 20}, len(keys))
	return buf
}

func applyBytes(tb testing.TB, m *Machine, data []byte) []Result {
	e, err := OpenEntry(data)
	if err != nil {
		tb.Fatal(err)
	}
	e.Index, e.LogTerm = m.View().Index()+1, 1
	results, err := m.Apply(&e, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return results
}

// One turn of the loop is one SET, its share of sealing, opening and applying the entry included.
func BenchmarkSetOverwrite(b *testing.B) {
	keys := benchKeys(10_000)
	m := filled(b, keys)
	buf := make([]byte, HeaderSize, 64<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += benchOps {
		at := i % len(keys)
		buf = sealSets(buf, keys[at:at+benchOps])
		applyBytes(b, m, buf)
	}
}

func BenchmarkSetCreate(b *testing.B) {
	const size = 100_000
	keys := benchKeys(size)
	var m *Machine
	buf := make([]byte, HeaderSize, 64<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += benchOps {
		at := i % size
		if at == 0 {
			m = New()
		}
		buf = sealSets(buf, keys[at:at+benchOps])
		applyBytes(b, m, buf)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		keys := benchKeys(size)
		v := filled(b, keys).View()
		b.Run(fmt.Sprintf("%d keys", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, ok := v.Lookup(keys[i%size]); !ok {
					b.Fatal("a key is missing")
				}
			}
		})
	}
}

// One turn of the loop is a million keys.
func BenchmarkSnapshot(b *testing.B) {
	const size = 1_000_000
	m := filled(b, benchKeys(size))
	var file bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for range b.N {
			file.Reset()
			if err := WriteSnapshot(&file, m.Freeze()); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(file.Len()))
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for range b.N {
			if _, err := ReadSnapshot(bytes.NewReader(file.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("digest", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for range b.N {
			m.View().Digest()
		}
	})
	b.Run("inspect", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for range b.N {
			if _, err := InspectSnapshot(bytes.NewReader(file.Bytes()), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemory reports what a key of 16 and a value of 256 bytes take of the heap, in a machine that was filled
// by entries and in one that was restored.
func BenchmarkMemory(b *testing.B) {
	const size = 1_000_000
	for range b.N {
		before := heap()
		m := filled(b, benchKeys(size))
		b.ReportMetric(float64(heap()-before)/size, "B/key")
		r, w := io.Pipe()
		go func(v View) { w.CloseWithError(WriteSnapshot(w, v)) }(m.Freeze())
		restored, err := ReadSnapshot(r)
		if err != nil {
			b.Fatal(err)
		}
		m = nil
		b.ReportMetric(float64(heap()-before)/size, "B/key-restored")
		runtime.KeepAlive(restored)
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// One turn of the loop is one of a million keys that are due at once, in entries of 2000.
func BenchmarkExpireDue(b *testing.B) {
	const size, limit = 1_000_000, 2000
	var m *Machine
	for i := 0; i < b.N; i += limit {
		if i%size == 0 {
			b.StopTimer()
			m = New()
			applyBytes(b, m, sealed(Header{Term: 1}, &LeaderStart{Term: 1}))
			for _, key := range benchKeys(size) {
				applyBytes(b, m, sealed(Header{Term: 1, ClusterMillis: 1}, &Set{Key: key, Value: benchValue, TTL: TTL{Millis: 1}}))
			}
			b.StartTimer()
		}
		applyBytes(b, m, sealed(Header{Term: 1, ClusterMillis: 2}, &ExpireDue{limit}))
	}
}

// One turn of the loop is one who takes a lock, or waits for it behind so many others, and one who lets go of it.
func BenchmarkLockAndUnlock(b *testing.B) {
	for _, waiters := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("%d waiters", waiters), func(b *testing.B) {
			m := New()
			turn := func(i int) Owner { return Owner{1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)} }
			take := func(i int) {
				applyBytes(b, m, sealed(Header{Term: 1}, &AcquireLock{[]byte("l"), turn(i), 1000, 1000, Ticket{}}))
			}
			for i := range waiters {
				take(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				take(waiters + i)
				applyBytes(b, m, sealed(Header{Term: 1}, &ReleaseLock{[]byte("l"), turn(i)}))
			}
		})
	}
}
