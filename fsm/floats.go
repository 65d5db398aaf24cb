package fsm

import (
	"math/big"
	"strings"
)

// IncrementFloat adds to a value that is a decimal number; a missing key counts as 0. The sum is rounded to 64 bits of
// mantissa and printed with at most 17 digits after the point, as Redis does on amd64. Result: Value is the sum.
// Redis takes hexadecimal numbers too; here they are refused with ErrNotFloat.
type IncrementFloat struct {
	Key []byte
	By  string
}

func (o *IncrementFloat) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n, no := m.value(p)
	if no != nil {
		return refused(no)
	}
	old, no1 := float(), (*Refusal)(nil)
	if n != nil {
		old, no1 = parseFloat(n.Value)
	}
	by, no2 := parseFloat(o.By)
	switch {
	case no1 == ErrNotFloat || no2 == ErrNotFloat:
		return refused(ErrNotFloat)
	case no1 != nil || no2 != nil:
		return refused(ErrNaNOrInf)
	}
	sum := float().Add(old, by)
	if sum.MantExp(nil) > maxExponent {
		return refused(ErrNaNOrInf)
	}

	text := formatFloat(sum)
	if _, no := m.store(p, text, kept, EventIncrByFloat); no != nil {
		return refused(no)
	}
	return Result{Value: text, Found: true}
}

// The numbers are those of the 80-bit extended format, which Redis computes with on amd64.
const (
	mantissaBits = 64
	maxExponent  = 16384  // numbers below 2^16384
	minExponent  = -16445 // and not so small that the nearest, 2^-16445 or 0, is 0

	maxFloatText = 5119 // Redis reads no longer one, in bytes
	// maxDecimal bounds exponents before any power of ten is computed: 10^4933 is above 2^16384, 10^-4952 below
	// 2^-16445, and maxFloatText digits may stand between the point and the first digit that counts.
	maxDecimal = 4952 + maxFloatText
)

func float() *big.Float { return new(big.Float).SetPrec(mantissaBits) }

// parseFloat reads [+-]digits[.digits][e[+-]digits], with at least one digit before the exponent, rounded to
// the nearest number. It refuses what is no number, and infinity in words.
func parseFloat(text string) (*big.Float, *Refusal) {
	if len(text) > maxFloatText {
		return nil, ErrNotFloat
	}
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	if strings.EqualFold(rest, "inf") || strings.EqualFold(rest, "infinity") {
		return nil, ErrNaNOrInf
	}

	number, tail := cutExponent(rest)
	exponent, ok := parseExponent(tail)
	whole, fraction, _ := strings.Cut(number, ".")
	digits := whole + fraction
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, ErrNotFloat
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return float(), nil
	}
	exponent -= len(fraction)
	if exponent > maxDecimal || exponent < -maxDecimal {
		return nil, ErrNotFloat
	}
	f := scale(digits, exponent)
	if e := f.MantExp(nil); e > maxExponent || e < minExponent {
		return nil, ErrNotFloat
	}
	if negative {
		f.Neg(f)
	}
	return f, nil
}

// cutExponent parts a number from its exponent, which is empty when there is none.
func cutExponent(text string) (number, exponent string) {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// parseExponent reads e[+-]digits. What is out of bounds comes back out of bounds, if not as the same number.
func parseExponent(text string) (exponent int, ok bool) {
	if text == "" {
		return 0, true
	}
	digits, negative := strings.CutPrefix(text[1:], "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		exponent = min(10*exponent+int(c-'0'), 1<<20)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, digits != ""
}

// scale returns digits times ten to the exponent. Both steps are exact integers and one rounding, so the result is
// the nearest number, on every machine.
func scale(digits string, exponent int) *big.Float {
	mantissa, _ := new(big.Int).SetString(digits, 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		return float().SetInt(mantissa.Mul(mantissa, power))
	}
	return float().Quo(new(big.Float).SetInt(mantissa), new(big.Float).SetInt(power))
}

// formatFloat prints a number without exponent, with at most 17 digits after the point and no zeros at the end.
func formatFloat(f *big.Float) string {
	text := strings.TrimRight(f.Text('f', 17), "0")
	text = strings.TrimSuffix(text, ".")
	if text == "-0" {
		return "0"
	}
	return text
}
