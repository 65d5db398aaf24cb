package fsm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What Redis 7.0 on amd64 answers, but for the last line.
func TestIncrementFloatAddsAsRedisDoes(t *testing.T) {
	const (
		none       = "_"
		notFloat   = "value is not a valid float"
		notFinite  = "increment would produce NaN or Infinity"
		largeSum   = "279769313486231570002352240441350078789299929179619934003987695617693370918830364684014944221042050987341155710361544171686148029276505307138777262321877129888036065002204239033812550598509174132739480498569620043582760541189365866551522561741435317031294527744011878159793174665688773926186886103199182225408"
		million    = "1000000"
		manyDigits = 5120
	)
	tests := []struct{ value, by, want string }{
		{"0.1", "0.2", "0.3"},
		{"5.0e3", "2.0e2", "5200"},
		{"10.50", "0.1", "10.6"},
		{none, "1", "1"},
		{"3", "-3", "0"},
		{"1", "-1.0000000000000001", "-0.0000000000000001"},
		{"-0", "0", "0"},
		{"0", "-1e-30", "0"},
		{"5e-18", "0", "0"},
		{"15e-18", "0", "0.00000000000000002"},
		{"1.7976931348623157e308", "1e308", largeSum},
		{"1e20", "1", "100000000000000000000"},
		{"9223372036854775807", "1", "9223372036854775808"},
		{"18446744073709551617", "0", "18446744073709551616"},
		{"3.0000000000000001", "0", "3.0000000000000001"},
		{"1.1e4932", "1.1e4932", notFinite},
		{"1e4933", "0", notFloat},
		{"1e-4950", "0", "0"},
		{"1e-5000", "0", notFloat},
		{"1e999999999", "0", notFloat},
		{"1", "1e9223372036854775808", notFloat},
		{"0e99999999999", "0", "0"},
		{"1", "1e-99999999999", notFloat},
		{".5", "1.", "1.5"},
		{"+1", "+1.5", "2.5"},
		{"1e+2", "1E-2", "100.01"},
		{strings.Repeat("0", manyDigits-8) + million, "0", million},
		{strings.Repeat("0", manyDigits-7) + million, "0", notFloat},
		{"0." + strings.Repeat("0", 4000) + "1e4001", "0", "1"},
		{"inf", "1", notFinite},
		{"1", "-infinity", notFinite},
		{"1", "+Inf", notFinite},
		{"inf", "-inf", notFinite},
		{"inf", "x", notFloat},
		{"nan", "1", notFloat},
		{"", "1", notFloat},
		{"1", "", notFloat},
		{" 1", "1", notFloat},
		{"1 ", "1", notFloat},
		{"1e", "1", notFloat},
		{"1e+", "1", notFloat},
		{"e1", "1", notFloat},
		{".", "1", notFloat},
		{"--1", "1", notFloat},
		{"1.1.1", "1", notFloat},
		{"1_000", "1", notFloat},
		{"1e1.0", "1", notFloat},
		{"1", "0x10", notFloat}, // 17 in Redis
	}
	for _, tt := range tests {
		l := newLab(t)
		if tt.value != none {
			l.must(set("k", tt.value))
		}
		r := l.do(&IncrementFloat{[]byte("k"), tt.by})
		got := r.Value
		if r.Err != nil {
			got = r.Err.Error()
		}
		if got != tt.want {
			t.Errorf("%.60q + %q: got %q, want %q", tt.value, tt.by, got, tt.want)
		}
		if n, ok := l.View().Lookup([]byte("k")); r.Err == nil && (!ok || n.Value != got) {
			t.Errorf("%.60q + %q: answered %q and stored %v", tt.value, tt.by, got, n)
		}
	}
	run(t, []step{
		{"a directory", &IncrementFloat{[]byte("d"), "1"}, wrongType, "d", "dir"},
		{"without a parent", &IncrementFloat{[]byte("no.x"), "1"}, noParent("no"), "no", "none"},
	})
}

func TestTheGreatestNumberHas4932Digits(t *testing.T) {
	l := newLab(t)
	r := l.do(&IncrementFloat{[]byte("k"), "1.1e4932"})
	if r.Err != nil || len(r.Value) != 4933 {
		t.Errorf("%d digits, %v", len(r.Value), r.Err)
	}
	if r := l.do(&IncrementFloat{[]byte("k"), "1.1e4932"}); !errors.Is(r.Err, ErrNaNOrInf) {
		t.Errorf("twice the number: %v", r.Err)
	}
}

// The worst text takes a bounded effort. The limit is far from what it takes; without a bound it would be hours.
func TestNoNumberTakesLongToRead(t *testing.T) {
	begin := time.Now()
	for _, text := range []string{
		strings.Repeat("9", 5115) + "e-9999", strings.Repeat("9", 5100) + "e999999999999", "1e-999999999", "0." + strings.Repeat("9", 5000) + "e9900",
	} {
		for range 10 {
			parseFloat(text)
		}
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
