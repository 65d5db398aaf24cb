package linear

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// at gives an operation its span of time, in milliseconds.
func (o lockOp) at(call, ret int64) porcupine.Operation {
	o.lease, o.wait = o.lease*1e6, o.wait*1e6
	if o.leaves != 0 {
		o.leaves, o.yields = o.leaves*1e6, o.yields*1e6
	}
	o.call, o.ret = call*1e6, ret*1e6
	return porcupine.Operation{ClientId: o.owner, Input: o, Call: o.call, Return: o.ret}
}

func try(owner int, lease, token int64) lockOp {
	return lockOp{act: acquire, owner: owner, lease: lease, token: token}
}

func waitFor(owner int, lease, wait, token int64) lockOp {
	return lockOp{act: ask, owner: owner, lease: lease, wait: wait, token: token, id: owner}
}

func answered(owner int, token int64) lockOp {
	return lockOp{act: told, owner: owner, token: token, id: owner}
}

func unlock(owner int) lockOp { return lockOp{act: release, owner: owner, done: true} }

func renewed(owner int, lease, token int64) lockOp {
	return lockOp{act: renew, owner: owner, lease: lease, token: token}
}

func info(owner int, token int64, waiters int) lockOp {
	return lockOp{act: lockInfo, owner: owner, token: token, waiters: waiters}
}

func lost(o lockOp) lockOp { o.unknown = true; return o }

// inDoubt is an operation that takes effect at any time from then on, or never.
func (o lockOp) inDoubt(call int64) porcupine.Operation {
	op := lost(o).at(call, call)
	o = op.Input.(lockOp)
	o.ret = never
	op.Input, op.Return = o, never
	return op
}

func hungUp(o lockOp, at int64) lockOp { o.unknown, o.leaves, o.yields = true, at, at; return o }

// Histories that a right server may show, and others that differ from them in one thing that it must not do.
func TestTheLockModelBites(t *testing.T) {
	type history = []porcupine.Operation
	tests := []struct {
		name         string
		right, wrong history
	}{
		{
			"two hold the lock only if the first lease may have ended",
			history{try(1, 10, 1).at(0, 1), try(2, 10, 2).at(5, 11)},
			history{try(1, 10, 1).at(0, 1), try(2, 10, 2).at(5, 9)},
		},
		{
			"a lease counts from its renewal",
			history{try(1, 10, 1).at(0, 1), renewed(1, 10, 1).at(5, 6), try(2, 10, 2).at(12, 15)},
			history{try(1, 10, 1).at(0, 1), renewed(1, 10, 1).at(5, 6), try(2, 10, 2).at(12, 14)},
		},
		{
			"a renewal that was lost may have happened, one that was refused has not",
			history{try(1, 10, 1).at(0, 1), lost(renewed(1, 10, 0)).at(5, 6), try(2, 10, 0).at(13, 14)},
			history{try(1, 10, 1).at(0, 1), renewed(1, 10, 0).at(5, 6)},
		},
		{
			"a lease that is over may go on, but nobody may hear that it is free and then that it is not",
			history{try(1, 10, 1).at(0, 1), info(1, 1, 0).at(20, 21), info(0, 0, 0).at(22, 23)},
			history{try(1, 10, 1).at(0, 1), info(0, 0, 0).at(20, 21), info(1, 1, 0).at(22, 23)},
		},
		{
			"a grant has a greater token than the one before",
			history{try(1, 10, 7).at(0, 1), unlock(1).at(2, 3), try(2, 10, 9).at(4, 5)},
			history{try(1, 10, 7).at(0, 1), unlock(1).at(2, 3), try(2, 10, 6).at(4, 5)},
		},
		{
			"a holder who asks again has the same token",
			history{try(1, 10, 7).at(0, 1), try(1, 10, 7).at(2, 3)},
			history{try(1, 10, 7).at(0, 1), try(1, 10, 8).at(2, 3)},
		},
		{
			"who came first is served first",
			history{
				try(1, 99, 1).at(0, 1), waitFor(2, 99, 99, 2).at(2, 20), info(1, 1, 1).at(3, 4), waitFor(3, 99, 99, 3).at(5, 30),
				unlock(1).at(10, 11), answered(2, 2).at(2, 20), unlock(2).at(21, 22), answered(3, 3).at(5, 30),
			},
			history{
				try(1, 99, 1).at(0, 1), waitFor(2, 99, 99, 3).at(2, 30), info(1, 1, 1).at(3, 4), waitFor(3, 99, 99, 2).at(5, 20),
				unlock(1).at(10, 11), answered(3, 2).at(5, 20), unlock(3).at(21, 22), answered(2, 3).at(2, 30),
			},
		},
		{
			"who waits gives up when the time is over, not before",
			history{try(1, 99, 1).at(0, 1), waitFor(2, 10, 10, 0).at(2, 12), answered(2, 0).at(2, 12)},
			history{try(1, 99, 1).at(0, 1), waitFor(2, 10, 10, 0).at(2, 11), answered(2, 0).at(2, 11)},
		},
		{
			"who waits gets the lock when it is free",
			history{try(1, 99, 1).at(0, 1), waitFor(2, 10, 10, 2).at(2, 9), unlock(1).at(5, 6), answered(2, 2).at(2, 9)},
			history{try(1, 99, 1).at(0, 1), waitFor(2, 10, 10, 2).at(2, 9), answered(2, 2).at(2, 9), info(1, 1, 0).at(10, 11)},
		},
		{
			"a lease that was handed over counts from then",
			history{
				try(1, 99, 1).at(0, 1), waitFor(2, 10, 99, 2).at(2, 20), info(1, 1, 1).at(10, 11), unlock(1).at(15, 16), answered(2, 2).at(2, 20),
				try(3, 10, 3).at(21, 25),
			},
			history{
				try(1, 99, 1).at(0, 1), waitFor(2, 10, 99, 2).at(2, 20), info(1, 1, 1).at(10, 11), unlock(1).at(15, 16), answered(2, 2).at(2, 20),
				try(3, 10, 3).at(21, 24),
			},
		},
		{
			"an acknowledged lock is there after a crash",
			history{try(1, 99, 1).at(0, 1), lost(unlock(2)).at(2, 3), try(2, 99, 0).at(4, 5)},
			history{try(1, 99, 1).at(0, 1), lost(unlock(2)).at(2, 3), try(2, 99, 2).at(4, 5)},
		},
		{
			"a request that was lost may have been granted, and then the same owner has it",
			history{lost(try(1, 99, 0)).at(0, 1), try(1, 99, 1).at(2, 3), try(2, 99, 0).at(4, 5)},
			history{lost(try(1, 99, 0)).at(0, 1), try(2, 99, 0).at(2, 3), try(2, 99, 2).at(4, 5)},
		},
		{
			"what is in doubt may happen late, what was lost before a crash may not",
			history{try(1, 99, 1).at(0, 1), unlock(1).inDoubt(2), info(1, 1, 0).at(5, 6), try(2, 99, 2).at(7, 8)},
			history{try(1, 99, 1).at(0, 1), lost(unlock(1)).at(2, 3), info(1, 1, 0).at(5, 6), try(2, 99, 2).at(7, 8)},
		},
		{
			"a place ends with its connection, not before",
			history{try(1, 99, 1).at(0, 1), hungUp(waitFor(2, 99, 99, 0), 10).at(2, 90), info(1, 1, 1).at(3, 4), info(1, 1, 0).at(5, 11)},
			history{try(1, 99, 1).at(0, 1), hungUp(waitFor(2, 99, 99, 0), 10).at(2, 90), info(1, 1, 1).at(3, 4), info(1, 1, 0).at(5, 9)},
		},
	}
	ordered := func(h history) history {
		var ops []lockOp
		for _, op := range h {
			ops = append(ops, op.Input.(lockOp))
		}
		inOrder(ops)
		for i := range h {
			ops[i].end = never
			h[i].Input = ops[i]
		}
		return h
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !porcupine.CheckOperations(lockModel(), ordered(tt.right)) {
				t.Error("the right history was rejected")
			}
			if porcupine.CheckOperations(lockModel(), ordered(tt.wrong)) {
				t.Error("the wrong history was accepted")
			}
		})
	}
}

func TestTheValueModelBites(t *testing.T) {
	op := func(call, ret, ttl int64, owner, reply string, command ...string) porcupine.Operation {
		o := &valueOp{command: command, owner: owner, ttl: ttl * 1e6, call: call * 1e6, ret: ret * 1e6, reply: reply, unknown: reply == ""}
		return porcupine.Operation{Input: o, Call: o.call, Return: o.ret}
	}
	doubt := func(call int64, command ...string) porcupine.Operation {
		return porcupine.Operation{Input: &valueOp{command: command, call: call * 1e6, ret: never, unknown: true}, Call: call * 1e6, Return: never}
	}
	type history = []porcupine.Operation
	tests := []struct {
		name         string
		right, wrong history
	}{
		{
			"a read sees the latest write",
			history{op(0, 1, 0, "", "OK", "SET", "a"), op(2, 3, 0, "", "OK", "SET", "b"), op(4, 5, 0, "", "b", "GET")},
			history{op(0, 1, 0, "", "OK", "SET", "a"), op(2, 3, 0, "", "OK", "SET", "b"), op(4, 5, 0, "", "a", "GET")},
		},
		{
			"a value does not go early",
			history{op(0, 1, 10, "", "OK", "SET", "a"), op(2, 10, 0, "", "null", "GET")},
			history{op(0, 1, 10, "", "OK", "SET", "a"), op(2, 9, 0, "", "null", "GET")},
		},
		{
			"a value that went does not come back",
			history{op(0, 1, 10, "", "OK", "SET", "a"), op(15, 16, 0, "", "a", "GET"), op(17, 18, 0, "", "null", "GET")},
			history{op(0, 1, 10, "", "OK", "SET", "a"), op(15, 16, 0, "", "null", "GET"), op(17, 18, 0, "", "a", "GET")},
		},
		{
			"one of two that compare with the same value succeeds",
			history{op(0, 1, 0, "", "1", "CAS", "", "a"), op(2, 5, 0, "", "1", "CAS", "a", "b"), op(2, 5, 0, "", "0", "CAS", "a", "c")},
			history{op(0, 1, 0, "", "1", "CAS", "", "a"), op(2, 5, 0, "", "1", "CAS", "a", "b"), op(2, 5, 0, "", "1", "CAS", "a", "c")},
		},
		{
			"a temporary value is its owner's",
			history{op(0, 1, 50, "one", "OK", "PUTTEMP", "a"), op(2, 3, 50, "two", "NOTOWNER", "PUTTEMP", "b"), op(4, 5, 0, "one", "1", "REMOVE")},
			history{op(0, 1, 50, "one", "OK", "PUTTEMP", "a"), op(2, 3, 50, "two", "OK", "PUTTEMP", "b")},
		},
		{
			"a longer life counts from when it was given",
			history{op(0, 1, 10, "one", "OK", "PUTTEMP", "a"), op(5, 6, 10, "one", "1", "UPDATETTL"), op(12, 15, 0, "", "null", "GET")},
			history{op(0, 1, 10, "one", "OK", "PUTTEMP", "a"), op(5, 6, 10, "one", "1", "UPDATETTL"), op(12, 14, 0, "", "null", "GET")},
		},
		{
			"what is in doubt may happen late, and once",
			history{op(0, 1, 0, "", "OK", "SET", "a"), doubt(2, "SET", "b"), op(4, 5, 0, "", "a", "GET"), op(6, 7, 0, "", "b", "GET")},
			history{op(0, 1, 0, "", "OK", "SET", "a"), doubt(2, "SET", "b"), op(4, 5, 0, "", "b", "GET"), op(6, 7, 0, "", "a", "GET")},
		},
		{
			"what was lost in a crash happened or did not, and that is all",
			history{op(0, 1, 0, "", "OK", "SET", "a"), op(2, 3, 0, "", "", "SET", "b"), op(4, 5, 0, "", "a", "GET"), op(6, 7, 0, "", "a", "GET")},
			history{op(0, 1, 0, "", "OK", "SET", "a"), op(2, 3, 0, "", "", "SET", "b"), op(4, 5, 0, "", "a", "GET"), op(6, 7, 0, "", "b", "GET")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !porcupine.CheckOperations(valueModel(), tt.right) {
				t.Error("the right history was rejected")
			}
			if porcupine.CheckOperations(valueModel(), tt.wrong) {
				t.Error("the wrong history was accepted")
			}
		})
	}
}

// complaints counts what a check would have reported.
type complaints struct {
	testing.TB
	count int
}

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { c.count++ }

func TestTheTokenCheckBites(t *testing.T) {
	tests := []struct {
		name  string
		given []grant
		wrong int
	}{
		{"tokens grow across locks", []grant{{"a", 1, 1, 0, 5}, {"b", 2, 1, 6, 7}, {"a", 3, 1, 8, 9}}, 0},
		{"grants at the same time may come in any order", []grant{{"a", 2, 1, 0, 5}, {"b", 1, 1, 4, 7}}, 0},
		{"a later grant of another lock has a smaller token", []grant{{"a", 2, 1, 0, 5}, {"b", 1, 1, 6, 7}}, 1},
		{"two locks have the same token", []grant{{"a", 2, 1, 0, 5}, {"b", 2, 1, 4, 7}}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &complaints{TB: t}
			tokensGrow(c, tt.given)
			if c.count != tt.wrong {
				t.Errorf("%d complaints, want %d", c.count, tt.wrong)
			}
		})
	}
}
