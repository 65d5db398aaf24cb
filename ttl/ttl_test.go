package ttl

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	tests := []struct {
		name  string
		steps []time.Duration // real time before each stamp
		want  []int64         // stamps, from a base of 1000
	}{
		{"a stamp without delay repeats the base", []time.Duration{0}, []int64{1000}},
		{"time passes as it does", []time.Duration{5 * time.Millisecond, 7 * time.Millisecond}, []int64{1005, 1012}},
		{"parts of a millisecond add up", []time.Duration{600 * time.Microsecond, 600 * time.Microsecond}, []int64{1000, 1001}},
		{"a pause counts one second and the rest is lost", []time.Duration{time.Hour, time.Millisecond}, []int64{2000, 2001}},
		{"many stamps after a pause cannot catch up", []time.Duration{time.Minute, 0, 0, 0}, []int64{2000, 2000, 2000, 2000}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c Clock
				c.Reset(1000)
				for i, step := range test.steps {
					time.Sleep(step) // virtual
					if got := c.Stamp(); got != test.want[i] {
						t.Fatalf("stamp %d: got %d, want %d", i, got, test.want[i])
					}
				}
			})
		})
	}
}

func TestClockIgnoresTimeThatRunsBack(t *testing.T) {
	now := time.Unix(100, 0)
	c := Clock{Now: func() time.Time { return now }}
	c.Reset(50)
	now = now.Add(-time.Hour)
	if got := c.Stamp(); got != 50 {
		t.Fatalf("got %d, want 50", got)
	}
	now = now.Add(3 * time.Millisecond)
	if got := c.Stamp(); got != 53 {
		t.Fatalf("got %d, want 53", got)
	}
}
