package fsm

import "strconv"

// Increment adds to a value that is a decimal integer; a missing key counts as 0. Result: Int is the sum.
type Increment struct {
	Key []byte
	By  int64
}

func (o *Increment) apply(m *Machine) Result {
	p, no := parsePath(o.Key)
	if no != nil {
		return refused(no)
	}
	n, no := m.value(p)
	if no != nil {
		return refused(no)
	}
	var old int64
	if n != nil {
		var ok bool
		if old, ok = parseInteger(n.Value); !ok {
			return refused(ErrNotInteger)
		}
	}
	sum := old + o.By
	if (sum > old) != (o.By > 0) {
		return refused(ErrOverflow)
	}

	var digits [20]byte
	if _, no := m.store(p, alias(strconv.AppendInt(digits[:0], sum, 10)), kept, EventIncrBy); no != nil {
		return refused(no)
	}
	return Result{Int: sum}
}

// parseInteger reads a 64-bit integer exactly as Redis writes one: no spaces, no '+', no leading zeros, no "-0".
func parseInteger(text string) (int64, bool) {
	digits := text
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
	}
	if digits == "" || len(digits) > 19 || digits[0] < '1' || digits[0] > '9' {
		return 0, text == "0"
	}
	i, err := strconv.ParseInt(text, 10, 64)
	return i, err == nil
}
