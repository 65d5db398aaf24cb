package latency

import (
	"sync"
	"testing"
	"time"
)

const micro = time.Microsecond

func TestBucketsFollowOneAnotherWithoutGaps(t *testing.T) {
	for i := range buckets - 1 {
		if end := bound(i); bucketOf(end-1) != i || bucketOf(end) != i+1 {
			t.Errorf("bucket %d ends at %s: %d before, %d from there on", i, end, bucketOf(end-1), bucketOf(end))
		}
	}
	for _, long := range []time.Duration{bound(buckets - 1), time.Hour, 1<<63 - 1} {
		if got := bucketOf(long); got != buckets-1 {
			t.Errorf("%s is in bucket %d", long, got)
		}
	}
}

func TestPercentilesAreWrongByAQuarterAtMost(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10_000; i++ {
		h.Observe(time.Duration(i)*micro, 1)
	}
	s := h.Snapshot()
	if s.Count != 10_000 || s.Sum != 50_005_000*micro {
		t.Errorf("%d things in %s", s.Count, s.Sum)
	}
	for _, test := range []struct {
		percent float64
		exact   time.Duration
	}{{0, micro}, {50, 5000 * micro}, {99, 9900 * micro}, {99.9, 9990 * micro}, {100, 10_000 * micro}} {
		if got := s.Percentile(test.percent); got < test.exact || got > test.exact*5/4+micro {
			t.Errorf("%v%% took %s at most, want %s", test.percent, got, test.exact)
		}
	}
	var empty Snapshot
	if got := empty.Percentile(50); got != 0 {
		t.Errorf("nothing took %s", got)
	}
}

func TestPowersAreThoseOfRedis(t *testing.T) {
	var h Histogram
	h.Observe(-1, 1)
	h.Observe(3*micro, 2)
	h.Observe(100*micro, 4)
	s := h.Snapshot()
	at, last := micro, uint64(0)
	s.Powers(func(bound time.Duration, below uint64) {
		if bound != at {
			t.Fatalf("a bucket ends at %s, want %s", bound, at)
		}
		want := uint64(1)
		if bound >= 4*micro {
			want += 2
		}
		if bound >= 128*micro {
			want += 4
		}
		if below != want {
			t.Errorf("%d below %s, want %d", below, bound, want)
		}
		at, last = 2*at, below
	})
	if last != s.Count || at != 1<<28*micro {
		t.Errorf("%d of %d seen, up to %s", last, s.Count, at)
	}
}

func TestManyMayObserveAtOnce(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Observe(5*micro, 3)
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count != 24_000 || s.Sum != 120_000*micro {
		t.Errorf("%d in %s", s.Count, s.Sum)
	}
	h.Reset()
	if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 {
		t.Errorf("after a reset: %d in %s", s.Count, s.Sum)
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Observe(300*micro, 1)
	}
}
