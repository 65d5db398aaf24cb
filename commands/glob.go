package commands

// maxPattern is the longest pattern in bytes. It bounds what one comparison may cost: see matches.
const maxPattern = 1024

// glob is a pattern of Redis, parsed once and then compared with many names: ? is any byte, * any number of bytes, [a-z]
// one of a set, [^a-z] one not of it, and \x the byte x.
type glob struct {
	steps   []step
	classes []class
	fold    bool // letters match in either case
}

// step is a byte to match when below 256, else one of those below, else 258 plus the index of a class.
type step uint16

const (
	anyByte  step = 256
	anyBytes step = 257
	classes0 step = 258
)

// class is a set of bytes, one bit each.
type class [4]uint64

func (c *class) add(b byte)      { c[b>>6] |= 1 << (b & 63) }
func (c *class) has(b byte) bool { return c[b>>6]>>(b&63)&1 != 0 }

// compileGlob parses a pattern. All byte strings are patterns; longer ones than maxPattern are refused.
func compileGlob(pattern []byte, fold bool) (*glob, error) {
	if len(pattern) > maxPattern {
		return nil, errLongPattern
	}
	g := &glob{steps: make([]step, 0, len(pattern)), fold: fold}
	for i := 0; i < len(pattern); i++ {
		switch b := pattern[i]; {
		case b == '*':
			if n := len(g.steps); n == 0 || g.steps[n-1] != anyBytes {
				g.steps = append(g.steps, anyBytes)
			}
		case b == '?':
			g.steps = append(g.steps, anyByte)
		case b == '[':
			i = g.addClass(pattern, i+1)
		case b == '\\' && i+1 < len(pattern):
			i++
			g.steps = append(g.steps, step(g.lower(pattern[i])))
		default:
			g.steps = append(g.steps, step(g.lower(b)))
		}
	}
	return g, nil
}

// addClass parses a set whose '[' stands before i, and returns the position of its last byte. A set without an end goes
// to the end of the pattern, as in Redis.
func (g *glob) addClass(pattern []byte, i int) int {
	var c class
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			c.add(g.lower(pattern[i]))
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := g.lower(pattern[i]), g.lower(pattern[i+2])
			for b := int(min(low, high)); b <= int(max(low, high)); b++ {
				c.add(byte(b))
			}
			i += 2
		default:
			c.add(g.lower(pattern[i]))
		}
	}
	if not {
		for j := range c {
			c[j] = ^c[j]
		}
	}
	g.steps = append(g.steps, classes0+step(len(g.classes)))
	g.classes = append(g.classes, c)
	return i
}

func (g *glob) lower(b byte) byte {
	if g.fold && 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// matches reports whether the whole of s fits the pattern. When something does not fit, only the last * can still take
// one byte more, so there is one place to go back to and never a tree of them: at most len(s) times maxPattern steps.
func (g *glob) matches(s string) bool {
	p, i := 0, 0
	star, mark := -1, 0 // the last *, and how far into s it has reached
	for i < len(s) {
		switch {
		case p < len(g.steps) && g.steps[p] == anyBytes:
			if p == len(g.steps)-1 {
				return true
			}
			star, mark = p, i
			p++
		case p < len(g.steps) && g.fits(g.steps[p], s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(g.steps) && g.steps[p] == anyBytes {
		p++
	}
	return p == len(g.steps)
}

func (g *glob) fits(want step, b byte) bool {
	b = g.lower(b)
	switch {
	case want < anyByte:
		return byte(want) == b
	case want == anyByte:
		return true
	}
	return g.classes[want-classes0].has(b)
}

// literal returns the bytes every match begins with, and whether they are the whole pattern.
func (g *glob) literal() (prefix string, whole bool) {
	b := make([]byte, 0, len(g.steps))
	for _, s := range g.steps {
		if s >= anyByte {
			return string(b), false
		}
		b = append(b, byte(s))
	}
	return string(b), true
}
