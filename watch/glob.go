package watch

import "strings"

// MaxPattern is the longest pattern in bytes. It bounds what one comparison may cost.
const MaxPattern = 1024

// glob is a pattern as Redis's stringmatchlen reads it, case sensitive and with bytes unsigned: ? is any byte, * any
// number of bytes, [a-z] one of a set, [^a-z] one not of it, and \x the byte x. As there, a name without bytes fits no
// pattern but the empty one.
//
// What stands between stars has one length, so a match is the head, then each middle part where it first occurs, then the
// tail. Nothing is tried twice: a comparison takes time linear in the name, times the words of 64 bits of the longest part.
type glob struct {
	head, tail part
	middle     []part
	stars      bool // there is a star; else head is all
	least      int  // the fewest bytes that fit
}

// part is a run of steps without a star.
type part struct {
	steps   []step
	sets    []byteSet
	literal string // the steps, if plain says that each is one byte
	plain   bool
	find    *searcher // for middle parts that are not plain
}

// step is a byte when below 256, else anyByte, else set0 plus the index of a set.
type step uint16

const (
	anyByte step = 256
	set0    step = 257
)

// byteSet is a set of bytes, one bit each.
type byteSet [4]uint64

func (c *byteSet) add(b byte)      { c[b>>6] |= 1 << (b & 63) }
func (c *byteSet) has(b byte) bool { return c[b>>6]>>(b&63)&1 != 0 }

// newGlob parses a pattern of at most MaxPattern bytes. All byte strings are patterns.
func newGlob(pattern string) *glob {
	g := &glob{}
	parts := make([]part, 1)
	for i := 0; i < len(pattern); i++ {
		p := &parts[len(parts)-1]
		switch b := pattern[i]; {
		case b == '*':
			if g.stars = true; len(parts) == 1 || len(p.steps) > 0 {
				parts = append(parts, part{})
			}
		case b == '?':
			p.steps = append(p.steps, anyByte)
		case b == '[':
			i = p.addSet(pattern, i+1)
		default:
			if b == '\\' && i+1 < len(pattern) {
				i++
			}
			p.steps = append(p.steps, step(pattern[i]))
		}
	}
	g.head = parts[0]
	if g.stars {
		g.tail, g.middle = parts[len(parts)-1], parts[1:len(parts)-1]
	}
	for i := range g.middle {
		if g.middle[i].finish(); !g.middle[i].plain {
			g.middle[i].find = newSearcher(&g.middle[i])
		}
		g.least += len(g.middle[i].steps)
	}
	g.head.finish()
	g.tail.finish()
	g.least += len(g.head.steps) + len(g.tail.steps)
	return g
}

// addSet parses a set whose '[' stands before i, and returns the position of its last byte. A set without an end goes
// to the end of the pattern.
func (p *part) addSet(pattern string, i int) int {
	var c byteSet
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			c.add(pattern[i])
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			for b := int(low); b <= int(high); b++ {
				c.add(byte(b))
			}
			i += 2
		default:
			c.add(pattern[i])
		}
	}
	if not {
		for j := range c {
			c[j] = ^c[j]
		}
	}
	p.steps = append(p.steps, set0+step(len(p.sets)))
	p.sets = append(p.sets, c)
	return i
}

func (p *part) finish() {
	b := make([]byte, len(p.steps))
	for i, s := range p.steps {
		if s >= anyByte {
			return
		}
		b[i] = byte(s)
	}
	p.literal, p.plain = string(b), true
}

// fits reports whether one byte fits one step.
func (p *part) fits(s step, b byte) bool {
	switch {
	case s < anyByte:
		return byte(s) == b
	case s == anyByte:
		return true
	}
	return p.sets[s-set0].has(b)
}

// begins reports whether s, which is long enough, begins with the part.
func (p *part) begins(s string) bool {
	if p.plain {
		return s[:len(p.literal)] == p.literal
	}
	for i, step := range p.steps {
		if !p.fits(step, s[i]) {
			return false
		}
	}
	return true
}

// after returns where in s the first occurrence of the part ends, -1 if there is none.
func (p *part) after(s string) int {
	if !p.plain {
		return p.find.after(s)
	}
	if i := strings.Index(s, p.literal); i >= 0 {
		return i + len(p.literal)
	}
	return -1
}

// matches reports whether the whole of s fits the pattern.
func (g *glob) matches(s string) bool {
	head, tail := len(g.head.steps), len(g.tail.steps)
	if len(s) < g.least || !g.stars && len(s) > head || g.stars && s == "" {
		return false
	}
	if !g.head.begins(s) || !g.tail.begins(s[len(s)-tail:]) {
		return false
	}
	s = s[head : len(s)-tail]
	for i := range g.middle {
		end := g.middle[i].after(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return true
}

// prefix returns the bytes that every match begins with.
func (g *glob) prefix() string {
	b := make([]byte, 0, len(g.head.steps))
	for _, s := range g.head.steps {
		if s >= anyByte {
			break
		}
		b = append(b, byte(s))
	}
	return string(b)
}

// size returns about how many bytes the parsed pattern takes.
func (g *glob) size() int {
	n := 128 + 2*g.least
	for _, p := range g.middle {
		n += 160
		if p.find != nil {
			n += 320 + len(p.find.masks)*8
		}
	}
	return n
}

// searcher finds a part by the method of Baeza-Yates and Gonnet: bit i of a set of positions says that the bytes just
// read fit the steps up to i, and one shift takes all of them a byte further.
type searcher struct {
	words int        // of 64 steps
	last  uint64     // the bit of the last step, in the last word
	row   [256]uint8 // the row of masks of each byte; bytes that fit the same steps share one
	masks []uint64   // rows of words: which steps the byte fits
}

func newSearcher(p *part) *searcher {
	n := len(p.steps)
	f := &searcher{words: (n + 63) / 64, last: 1 << ((n - 1) & 63)}
	mask := make([]uint64, f.words)
	for b := range 256 {
		clear(mask)
		for i, s := range p.steps {
			if p.fits(s, byte(b)) {
				mask[i>>6] |= 1 << (i & 63)
			}
		}
		f.row[b] = f.rowOf(mask)
	}
	return f
}

func (f *searcher) rowOf(mask []uint64) uint8 {
	rows := len(f.masks) / f.words
	for r := range rows {
		same := true
		for w, m := range mask {
			same = same && f.masks[r*f.words+w] == m
		}
		if same {
			return uint8(r) // 256 bytes make at most 256 rows
		}
	}
	f.masks = append(f.masks, mask...)
	return uint8(rows)
}

// after returns where the first occurrence in s ends, -1 if there is none.
func (f *searcher) after(s string) int {
	var at [MaxPattern / 64]uint64
	for i := range len(s) {
		mask := f.masks[int(f.row[s[i]])*f.words:]
		carry := uint64(1) // a match may begin at every byte
		for w := range f.words {
			next := at[w]<<1 | carry
			carry = at[w] >> 63
			at[w] = next & mask[w]
		}
		if at[f.words-1]&f.last != 0 {
			return i + 1
		}
	}
	return -1
}
