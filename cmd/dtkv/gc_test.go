package main

import "testing"

func TestGCPercent(t *testing.T) {
	tests := []struct {
		name string
		live uint64
		want int
	}{
		{"an empty heap gets the most", 0, 400},
		{"a small heap gets the most", 32 << 20, 400},
		{"in between, garbage takes the room it is given", 128 << 20, 200},
		{"a large heap doubles", 1 << 30, 100},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := gcPercent(test.live); got != test.want {
				t.Fatalf("got %d, want %d", got, test.want)
			}
		})
	}
}
