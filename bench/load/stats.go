package load

import (
	"math"
	"slices"
	"time"
)

// Median returns the middle of the values, or 0 of none. It leaves their order alone.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// Spread says how far apart the values lie: the difference of the extremes as a share of the median.
func Spread(values []float64) float64 {
	median := Median(values)
	if median == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / median
}

// Latencies summarises how long operations took.
type Latencies struct {
	Count   int           `json:"count"`
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	P999    time.Duration `json:"p99_9"`
	Largest time.Duration `json:"max"`
}

// Summarise sorts the latencies in place and summarises them.
func Summarise(took []time.Duration) Latencies {
	if len(took) == 0 {
		return Latencies{}
	}
	slices.Sort(took)
	return Latencies{len(took), rank(took, 0.5), rank(took, 0.99), rank(took, 0.999), took[len(took)-1]}
}

// rank is the smallest value that at least the share q of all values do not exceed.
func rank(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
