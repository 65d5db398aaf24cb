package watch

import (
	"fmt"
	"strings"

	"github.com/dtkv/dtkv/fsm"
)

// Notify says which keyspace notifications are published, as Redis's option notify-keyspace-events does.
type Notify uint32

// letters are the flags in the order in which Redis prints them. The first ten are what A stands for. Only K, E, g, $ and
// x have an effect: the others are for types and policies that dtkv does not have, and are kept for those who set them.
const letters = "g$lshzxetdnKEmoca"

const (
	classGeneric Notify = 1 << iota
	classString
	classAll     Notify = 1<<10 - 1
	classExpired Notify = 1 << 6
	keyspace     Notify = 1 << 11
	keyevent     Notify = 1 << 12
)

// DefaultNotify is "KEA": everything.
const DefaultNotify = keyspace | keyevent | classAll

// ParseNotify reads the flags, in any order and as often as one likes. Every other letter is an error.
func ParseNotify(text string) (Notify, error) {
	var n Notify
	for _, c := range []byte(text) {
		if c == 'A' {
			n |= classAll
			continue
		}
		i := strings.IndexByte(letters, c)
		if i < 0 {
			return 0, fmt.Errorf("invalid event class character %q: use %q", c, "A"+letters)
		}
		n |= 1 << i
	}
	return n, nil
}

// String returns the flags in Redis's order.
func (n Notify) String() string {
	var b strings.Builder
	if n&classAll == classAll {
		b.WriteByte('A')
		n &^= classAll
	}
	for i := range len(letters) {
		if n>>i&1 != 0 {
			b.WriteByte(letters[i])
		}
	}
	return b.String()
}

// class returns the flag that an event depends on, 0 for one that is never published.
func class(w fsm.What) Notify {
	switch w {
	case fsm.EventSet, fsm.EventSetRange, fsm.EventAppend, fsm.EventIncrBy, fsm.EventIncrByFloat:
		return classString
	case fsm.EventExpired:
		return classExpired
	case fsm.EventWaitEnd:
		return 0
	default:
		return classGeneric
	}
}
