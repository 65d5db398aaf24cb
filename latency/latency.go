// Package latency counts how long things take.
//
// A [Histogram] is written by any number of goroutines at once, without a lock and without allocating, and read by whoever
// prints it. Its buckets are those of Redis's LATENCY HISTOGRAM (powers of two of a microsecond), each cut into four, so that
// a percentile is wrong by a quarter at the most.
package latency

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets of a histogram. The first four have a microsecond each, then each power of two has four; the last one also takes
// what is longer than 2^27 µs, a little over two minutes.
const (
	firstBuckets = 4
	lastPower    = 26
	buckets      = firstBuckets + (lastPower-1)*4
)

// Histogram counts durations. The zero value is empty and ready.
type Histogram struct {
	counts [buckets]atomic.Uint64
	nanos  atomic.Uint64
}

// Observe counts n things that took so long each.
func (h *Histogram) Observe(took time.Duration, n uint64) {
	took = max(took, 0)
	h.counts[bucketOf(took)].Add(n)
	h.nanos.Add(uint64(took) * n)
}

// Used reports whether anything was observed that took any time.
func (h *Histogram) Used() bool { return h.nanos.Load() > 0 }

// Reset forgets everything. What is observed meanwhile is kept or forgotten.
func (h *Histogram) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.nanos.Store(0)
}

func bucketOf(took time.Duration) int {
	micros := uint64(took / time.Microsecond)
	if micros < firstBuckets {
		return int(micros)
	}
	power := bits.Len64(micros) - 1
	if power > lastPower {
		return buckets - 1
	}
	return firstBuckets + (power-2)*4 + int(micros>>(power-2))&3
}

// bound is where bucket i ends.
func bound(i int) time.Duration {
	if i < firstBuckets {
		return time.Duration(i+1) * time.Microsecond
	}
	power, quarter := 2+(i-firstBuckets)/4, (i-firstBuckets)%4
	return time.Duration(4+quarter+1) << (power - 2) * time.Microsecond
}

// Snapshot is what a histogram held when it was read. Its counts are read one after the other, so they may belong to
// neighbouring moments.
type Snapshot struct {
	Count  uint64
	Sum    time.Duration
	counts [buckets]uint64
}

// Snapshot reads the histogram.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	s.Sum = time.Duration(h.nanos.Load())
	return s
}

// Percentile is what so many percent, from 0 to 100, took at the most; 0 of an empty histogram.
func (s *Snapshot) Percentile(percent float64) time.Duration {
	if s.Count == 0 {
		return 0
	}
	rank := min(uint64(percent/100*float64(s.Count)), s.Count-1)
	var seen uint64
	last := 0
	for i, n := range s.counts {
		if n == 0 {
			continue
		}
		last = i
		if seen += n; seen > rank {
			break
		}
	}
	return bound(last)
}

// Powers calls fn for each power of two of a microsecond, in order, with how many took less than that in all.
func (s *Snapshot) Powers(fn func(bound time.Duration, below uint64)) {
	var below uint64
	for i, n := range s.counts {
		below += n
		if i != 2 && (i < firstBuckets || (i-firstBuckets)%4 == 3) {
			fn(bound(i), below)
		}
	}
}
