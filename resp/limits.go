package resp

import "math"

// Limits bounds what a client may send. A field that is zero takes its value from [DefaultLimits].
type Limits struct {
	Bulk    int // longest single argument, in bytes; commands may limit values further
	Command int // longest command, in bytes, all its arguments and framing together
	Args    int // most arguments of one command, its name included
	Inline  int // longest line, in bytes, its line end included: an inline command, or a count of the framing
}

// DefaultLimits are the limits of a node that was told nothing else.
var DefaultLimits = Limits{
	Bulk:    64 << 20,
	Command: 64 << 20,
	Args:    1<<20 + 1, // a name, and 2^20 arguments for it
	Inline:  64 << 10,
}

func (l Limits) withDefaults() Limits {
	if l.Bulk <= 0 {
		l.Bulk = DefaultLimits.Bulk
	}
	if l.Command <= 0 {
		l.Command = DefaultLimits.Command
	}
	if l.Args <= 0 {
		l.Args = DefaultLimits.Args
	}
	if l.Inline <= 0 {
		l.Inline = DefaultLimits.Inline
	}
	l.Command = min(l.Command, math.MaxInt/4) // sums of positions and limits stay far from overflow
	l.Bulk = min(l.Bulk, l.Command)
	l.Inline = min(l.Inline, l.Command) // else the longest line would not fit into the buffer of the longest command
	return l
}
