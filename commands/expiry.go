package commands

import (
	"bytes"
	"math"

	"github.com/dtkv/dtkv/resp"
)

// refuseExpiry checks a time to live as Redis does, so that a wrong one is told from a right one, and then refuses even
// the right one: a key that outlived what its client asked for would be worse than an error.
func refuseExpiry(command string, option, argument []byte, s Settings) error {
	n, ok := resp.ParseInt(argument)
	if !ok {
		return resp.ErrNotInteger
	}
	option = bytes.ToUpper(option)
	unit := int64(1)
	if option[0] == 'E' { // EX, EXAT
		unit = 1000
	}
	if n <= 0 || n > math.MaxInt64/unit {
		return resp.InvalidExpire(command)
	}
	relative := len(option) == 2 // EX, PX
	if relative && n*unit > math.MaxInt64-s.WallMillis {
		return resp.InvalidExpire(command)
	}
	return notYet(string(option), "expiry arrives with the next release")
}
