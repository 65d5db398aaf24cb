package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// ttlDiffers: reads go by the log's clock, so that all nodes agree.
const ttlDiffers = "The time left is as of the last log entry, at most 250 ms ago on a healthy leader. " +
	"A key is there, with 0 left, until its removal is in the log. A lock has what its holder's lease has left."

var ttlCommand = Command{
	Name: "ttl", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "generic", Since: "1.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers the seconds a key has to live, rounded; -1 for a permanent key, -2 for a missing one",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Differs:    ttlDiffers,
	Plan:       planTTL(1000, false),
}

var pttlCommand = Command{
	Name: "pttl", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "generic", Since: "2.6.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers the milliseconds a key has to live; -1 for a permanent key, -2 for a missing one",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Differs:    ttlDiffers,
	Plan:       planTTL(1, false),
}

const expiretimeDiffers = "Deadlines are kept in the cluster's clock. This is now plus the time left, so it differs from what EXPIREAT " +
	"said by fractions of a second, and after time without a leader it is later."

var expiretimeCommand = Command{
	Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "generic", Since: "7.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers when a key will end, in seconds since 1970; -1 for a permanent key, -2 for a missing one",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Differs:    expiretimeDiffers,
	Plan:       planTTL(1000, true),
}

var pexpiretimeCommand = Command{
	Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "generic", Since: "7.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers when a key will end, in milliseconds since 1970; -1 for a permanent key, -2 for a missing one",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Differs:    expiretimeDiffers,
	Plan:       planTTL(1, true),
}

func planTTL(unit int64, absolute bool) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, s Settings) (Plan, error) {
		key, base := a.Bytes(), int64(0)
		if absolute {
			base = s.WallMillis
		}
		return read(func(w *resp.Writer, v fsm.View) {
			n, ok := v.Lookup(key)
			if !ok {
				w.Int(-2)
				return
			}
			left := remaining(v, n)
			if left < 0 {
				w.Int(-1)
				return
			}
			left = min(left, math.MaxInt64-unit-base) + base
			w.Int((left + unit/2) / unit)
		})
	}
}
