package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var (
	expireCommand    = expiring("expire", "1.0.0", "Gives a value so many seconds to live; answers 1, or 0 for a missing key or an option that forbids it", 1000, false)
	pexpireCommand   = expiring("pexpire", "2.6.0", "Gives a value so many milliseconds to live; answers 1 or 0 as EXPIRE does", 1, false)
	expireatCommand  = expiring("expireat", "1.2.0", "Ends a value at a time in seconds since 1970; answers 1 or 0 as EXPIRE does", 1000, true)
	pexpireatCommand = expiring("pexpireat", "2.6.0", "Ends a value at a time in milliseconds since 1970; answers 1 or 0 as EXPIRE does", 1, true)
)

// expiring is a command of the EXPIRE family. unit is in milliseconds.
func expiring(name, since, summary string, unit int64, absolute bool) Command {
	argument, clock := "milliseconds", "Time is the cluster's: it stands still while there is no leader."
	if unit == 1000 {
		argument = "seconds"
	}
	if absolute {
		argument, clock = "unix-time-"+argument, "The time becomes a duration by the wall clock of the leader, whichever node is asked."
	}
	return Command{
		Name: name, Arity: -3, Flags: Writes | Fast,
		First: 1, Last: 1, Step: 1, Access: "RW update",
		Group: "generic", Since: since, Complexity: "O(log N) in the number of keys",
		Summary:    summary,
		Syntax:     "key " + argument + " [NX | XX | GT | LT]",
		Categories: []string{"keyspace"},
		Differs:    "Works on values. A directory or lock is WRONGTYPE, a temporary node TEMPNODE: DTKV.UPDATETTL moves its deadline. " + clock,
		Plan:       planExpire(name, unit, absolute),
	}
}

var (
	errExpireNX   = resp.Errorf("ERR", "NX and XX, GT or LT options at the same time are not compatible")
	errExpireGTLT = resp.Errorf("ERR", "GT and LT options at the same time are not compatible")
)

// planExpire plans the EXPIRE family. Unlike the options of SET, its times may be zero, negative or past: then the key
// goes at once.
func planExpire(name string, unit int64, absolute bool) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, s Settings) (Plan, error) {
		op := &fsm.Expire{Key: a.Bytes()}
		argument := a.Bytes()
		op.If = expireCondition(a)
		n, ok := resp.ParseInt(argument)
		switch {
		case a.Err() != nil:
			return Plan{}, a.Err()
		case !ok:
			return Plan{}, resp.ErrNotInteger
		case n > math.MaxInt64/unit || n < math.MinInt64/unit:
			return Plan{}, resp.InvalidExpire(name)
		}
		op.Millis = n * unit
		op.Absolute = absolute
		if !absolute && op.Millis > math.MaxInt64-s.WallMillis {
			return Plan{}, resp.InvalidExpire(name)
		}
		return write(op, replyInt)
	}
}

// expireCondition reads what is left: any of NX, XX, GT and LT that go together.
func expireCondition(a *resp.Args) fsm.TTLCondition {
	var nx, xx, gt, lt bool
	for a.More() {
		option := a.Peek()
		switch a.Keyword() {
		case "NX":
			nx = true
		case "XX":
			xx = true
		case "GT":
			gt = true
		case "LT":
			lt = true
		default:
			a.Fail(resp.Errorf("ERR", "Unsupported option %s", option))
		}
	}
	switch {
	case nx && (xx || gt || lt):
		a.Fail(errExpireNX)
	case gt && lt:
		a.Fail(errExpireGTLT)
	case nx:
		return fsm.IfNoTTL
	case gt: // a permanent value lives longer than any other, so XX says nothing more
		return fsm.IfLonger
	case lt && xx:
		return fsm.IfTTLAndShorter
	case lt:
		return fsm.IfShorter
	case xx:
		return fsm.IfTTL
	}
	return fsm.IfAny
}

var persistCommand = Command{
	Name: "persist", Arity: 2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW update",
	Group: "generic", Since: "2.2.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Makes an expiring value permanent; answers 1, or 0 for a key that is missing or permanent",
	Syntax:     "key",
	Categories: []string{"keyspace"},
	Differs:    "A temporary node is TEMPNODE: it cannot become permanent.",
	Plan:       planPersist,
}

func planPersist(a *resp.Args, _ Settings) (Plan, error) {
	return write(&fsm.Persist{Key: a.Bytes()}, replyInt)
}
