package load_test

import (
	"testing"
	"time"

	"github.com/dtkv/dtkv/bench/load"
)

func TestMediansAndSpreads(t *testing.T) {
	tests := []struct {
		name           string
		values         []float64
		median, spread float64
	}{
		{"nothing has none", nil, 0, 0},
		{"one value is its own median", []float64{7}, 7, 0},
		{"an odd number has a middle", []float64{30, 10, 20}, 20, 1},
		{"an even number has two", []float64{40, 10, 20, 30}, 25, 1.2},
		{"zeros have no spread", []float64{0, 0}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := load.Median(tt.values); got != tt.median {
				t.Errorf("median %v, want %v", got, tt.median)
			}
			if got := load.Spread(tt.values); got != tt.spread {
				t.Errorf("spread %v, want %v", got, tt.spread)
			}
		})
	}
}

func TestPercentilesAreValuesThatOccurred(t *testing.T) {
	var took []time.Duration
	for i := 1000; i > 0; i-- {
		took = append(took, time.Duration(i))
	}
	want := load.Latencies{Count: 1000, P50: 500, P99: 990, P999: 999, Largest: 1000}
	if got := load.Summarise(took); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := load.Summarise([]time.Duration{5}); got.P50 != 5 || got.P999 != 5 || got.Largest != 5 {
		t.Errorf("one value: %+v", got)
	}
	if got := load.Summarise(nil); got != (load.Latencies{}) {
		t.Errorf("no value: %+v", got)
	}
}
