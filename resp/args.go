package resp

import "math"

// Args walks one command's arguments. A parser reads straight through and checks [Args.Err] once, at the end: the first
// failure sticks, and from then on nothing is left to read. Reading beyond the last argument fails with [ErrSyntax].
type Args struct {
	argv [][]byte // what is left
	err  error
	word [24]byte // the last keyword in upper case; no option of any command is longer
}

// NewArgs returns a walk over argv, which does not hold the command's name.
func NewArgs(argv [][]byte) *Args { return &Args{argv: argv} }

// Reset begins a new walk over argv and forgets any failure.
func (a *Args) Reset(argv [][]byte) { a.argv, a.err = argv, nil }

// More reports whether arguments are left. It is false after a failure, so that loops end.
func (a *Args) More() bool { return len(a.argv) > 0 }

// Len returns how many arguments are left, 0 after a failure.
func (a *Args) Len() int { return len(a.argv) }

// Peek returns the next argument without passing it, nil if there is none.
func (a *Args) Peek() []byte {
	if len(a.argv) == 0 {
		return nil
	}
	return a.argv[0]
}

// Bytes returns the next argument, which aliases the buffer of the [Reader] it came from.
func (a *Args) Bytes() []byte {
	if len(a.argv) == 0 {
		a.Fail(ErrSyntax)
		return nil
	}
	b := a.argv[0]
	a.argv = a.argv[1:]
	return b
}

// Text returns a copy of the next argument.
func (a *Args) Text() string { return string(a.Bytes()) }

// Int returns the next argument as an integer, by the strict rules of Redis: neither spaces, a plus sign, leading zeros
// nor "-0". Anything else fails with [ErrNotInteger].
func (a *Args) Int() int64 {
	if len(a.argv) == 0 {
		a.Fail(ErrSyntax)
		return 0
	}
	n, ok := ParseInt(a.argv[0])
	if !ok {
		a.Fail(ErrNotInteger)
		return 0
	}
	a.argv = a.argv[1:]
	return n
}

// Keyword returns the next argument with its ASCII letters in upper case. A caller that only switches on it pays no
// allocation: this method is small enough to be inlined, which keeps the string on the caller's stack.
func (a *Args) Keyword() string { return string(a.upper()) }

func (a *Args) upper() []byte {
	b := a.Bytes()
	word := a.word[:0]
	for _, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		word = append(word, c)
	}
	return word
}

// Rest returns all arguments that are left, and passes them.
func (a *Args) Rest() [][]byte {
	rest := a.argv
	a.argv = nil
	return rest
}

// Fail ends the walk with err, unless it has failed before. A nil err changes nothing.
func (a *Args) Fail(err error) {
	if err != nil && a.err == nil {
		a.err = err
		a.argv = nil
	}
}

// Err returns the first failure of the walk, or nil.
func (a *Args) Err() error { return a.err }

// ParseInt reads b by the rules of [Args.Int].
func ParseInt(b []byte) (n int64, ok bool) {
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var size uint64 // 19 digits always fit
	for _, c := range digits {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		size = size*10 + uint64(d)
	}
	switch {
	case negative && size <= -math.MinInt64:
		return -int64(size), true
	case !negative && size <= math.MaxInt64:
		return int64(size), true
	}
	return 0, false
}
