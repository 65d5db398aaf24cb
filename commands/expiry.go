package commands

import (
	"bytes"
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// lifetime is what the arguments of a command say of a time to live: at most one of EX, PX, EXAT, PXAT, KEEPTTL and
// PERSIST. The zero lifetime says nothing.
type lifetime struct {
	option   []byte // as it was typed
	argument []byte // of EX, PX, EXAT and PXAT
}

// read takes an option, and the argument that it may have. The same option may be given again, and then the last one
// counts; another one is an error.
func (l *lifetime) read(a *resp.Args, option []byte, argument bool) {
	if l.option != nil && !bytes.EqualFold(l.option, option) {
		a.Fail(resp.ErrSyntax)
		return
	}
	l.option = option
	if argument {
		l.argument = a.Bytes()
	}
}

// ttl is the lifetime as an operation has it. The error is the command's refusal, with the texts of Redis.
func (l *lifetime) ttl(command string, s Settings) (fsm.TTL, error) {
	if l.argument == nil {
		return fsm.TTL{Keep: l.option != nil}, nil
	}
	n, ok := resp.ParseInt(l.argument)
	if !ok {
		return fsm.TTL{}, resp.ErrNotInteger
	}
	unit := int64(1)
	if l.option[0]|0x20 == 'e' { // EX, EXAT
		unit = 1000
	}
	if n <= 0 || n > math.MaxInt64/unit {
		return fsm.TTL{}, resp.InvalidExpire(command)
	}
	n *= unit
	if absolute := len(l.option) == len("EXAT"); !absolute {
		if n > math.MaxInt64-s.WallMillis {
			return fsm.TTL{}, resp.InvalidExpire(command)
		}
		return fsm.TTL{Millis: n}, nil
	}
	return fsm.TTL{Millis: n, Absolute: true}, nil
}

// millis reads a time to live that is given in milliseconds and has no option before it.
func millis(command string, argument []byte, s Settings) (int64, error) {
	l := lifetime{option: optionPX, argument: argument}
	ttl, err := l.ttl(command, s)
	return ttl.Millis, err
}

var optionPX = []byte("PX")

// remaining is how long a node has to live, in milliseconds by the cluster clock, 0 when it is due, and -1 for one that is
// permanent. A lock has what its holder's lease has left.
func remaining(v fsm.View, n *fsm.Node) int64 {
	deadline, ok := n.Deadline()
	if queue := n.Lock(); queue != nil {
		holder, held := queue.Holder()
		deadline, ok = holder.Deadline, held
	}
	if !ok {
		return -1
	}
	return max(deadline-v.ClusterMillis(), 0)
}
