package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var setexCommand = Command{
	Name: "setex", Arity: 4, Flags: Writes | DenyOOM,
	First: 1, Last: 1, Step: 1, Access: "OW update",
	Group: "string", Since: "2.0.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Stores a value that has so many seconds to live",
	Syntax:     "key seconds value",
	Categories: []string{"string"},
	Plan:       planSetEx("setex", "EX"),
}

var psetexCommand = Command{
	Name: "psetex", Arity: 4, Flags: Writes | DenyOOM,
	First: 1, Last: 1, Step: 1, Access: "OW update",
	Group: "string", Since: "2.6.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Stores a value that has so many milliseconds to live",
	Syntax:     "key milliseconds value",
	Categories: []string{"string"},
	Plan:       planSetEx("psetex", "PX"),
}

func planSetEx(name, option string) func(*resp.Args, Settings) (Plan, error) {
	option0 := []byte(option)
	return func(a *resp.Args, s Settings) (Plan, error) {
		op := &fsm.Set{Key: a.Bytes()}
		life := lifetime{option: option0, argument: a.Bytes()}
		op.Value = a.Bytes()
		var err error
		if op.TTL, err = life.ttl(name, s); err != nil {
			return Plan{}, err
		}
		if err := checkValue(op.Value, s); err != nil {
			return Plan{}, err
		}
		return write(op, replyOK)
	}
}

var getexCommand = Command{
	Name: "getex", Arity: -2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW access update",
	Group: "string", Since: "6.2.0", Complexity: "O(log N) in the number of keys",
	Summary:    "Answers a value, or null, and changes how long it has to live",
	Syntax:     "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
	Categories: []string{"string"},
	Differs: "Without an option it is GET. A wrong time is refused also for a missing key. With an option a temporary node is " +
		"TEMPNODE.",
	Plan: planGetEx,
}

func planGetEx(a *resp.Args, s Settings) (Plan, error) {
	if a.Len() == 1 {
		return planGet(a, s)
	}
	op := &fsm.GetExpire{Key: a.Bytes()}
	var life lifetime
	for a.More() {
		option := a.Peek()
		switch a.Keyword() {
		case "EX", "PX", "EXAT", "PXAT":
			life.read(a, option, true)
		case "PERSIST":
			life.read(a, option, false)
			op.Persist = true
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	if !op.Persist {
		var err error
		if op.TTL, err = life.ttl("getex", s); err != nil {
			return Plan{}, err
		}
	}
	return write(op, replyValue)
}

var msetexCommand = Command{
	Name: "msetex", Arity: -4, Flags: Writes | DenyOOM | MovableKeys,
	First: 2, Last: -1, Step: 2, Count: 1, Access: "OW update",
	Group: "string", Since: "8.4.0", Complexity: "O(K log N) for K keys among N",
	Summary: "Stores several values, all or none, on a condition that must hold for every key, with one time to live; answers 1 or 0",
	Syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | " +
		"PXAT unix-time-milliseconds | KEEPTTL]",
	Categories: []string{"string"},
	Differs:    "One refused key (WRONGTYPE, NOPARENT, NOTDIR, TEMPNODE) refuses all of them.",
	Plan:       planMSetEx,
}

var (
	errNumKeys = resp.Errorf("ERR", "invalid numkeys value")
	errPairs   = resp.Errorf("ERR", "wrong number of key-value pairs")
)

func planMSetEx(a *resp.Args, s Settings) (Plan, error) {
	n, ok := resp.ParseInt(a.Bytes())
	if !ok || n < 1 || n > math.MaxInt32 {
		return Plan{}, errNumKeys
	}
	if n > int64(a.Len()/2) {
		return Plan{}, errPairs
	}
	rest := a.Rest()
	op := &fsm.SetMany{Pairs: rest[:2*n]}
	a.Reset(rest[2*n:])
	var life lifetime
	for a.More() {
		option := a.Peek()
		switch a.Keyword() {
		case "NX":
			onlyAll(a, op, fsm.IfAbsent)
		case "XX":
			onlyAll(a, op, fsm.IfPresent)
		case "KEEPTTL":
			life.read(a, option, false)
		case "EX", "PX", "EXAT", "PXAT":
			life.read(a, option, true)
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.TTL, err = life.ttl("msetex", s); err != nil {
		return Plan{}, err
	}
	return planPairs(op, s, replyInt)
}

// onlyAll sets the one condition an MSETEX may have.
func onlyAll(a *resp.Args, op *fsm.SetMany, c fsm.Condition) {
	if op.If != fsm.Always && op.If != c {
		a.Fail(resp.ErrSyntax)
	}
	op.If = c
}
