package commands

import (
	"math"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

var lockCommand = Command{
	Name: "dtkv.lock", Arity: -3, Flags: Writes | DenyOOM | NoScript | Blocking,
	First: 1, Last: 1, Step: 1, Access: "RW access insert",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N + log W) for W waiters",
	Summary: "Takes a lock for so many milliseconds and answers its fencing token, which is greater than every token before; null " +
		"when another owner holds it. With WAIT the connection waits its turn for so many milliseconds, in order of arrival. Its " +
		"holder gets the same token and a new lease",
	Syntax:     "key lease-milliseconds [WAIT milliseconds] [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Differs: "It may be repeated: whoever waits already keeps his place. A connection that dies while it waits leaves the queue. " +
		"In MULTI it never waits.",
	Plan: planLock,
}

func planLock(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.AcquireLock{Key: a.Bytes(), Owner: s.Owner}
	lease := a.Bytes()
	for a.More() {
		switch a.Keyword() {
		case "WAIT":
			op.Wait = waitTime(a, s)
		case "OWNER":
			op.Owner = ownerID(a)
		default:
			a.Fail(resp.ErrSyntax)
		}
	}
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.Lease, err = millis("dtkv.lock", lease, s); err != nil {
		return Plan{}, err
	}
	if op.Wait == 0 {
		return write(op, replyToken)
	}
	try := *op
	try.Wait = 0
	return Plan{Kind: Await, Await: Waiting{Lock: op}, Op: &try, Reply: replyToken}, nil
}

// waitTime reads how long a client is ready to wait, in milliseconds.
func waitTime(a *resp.Args, s Settings) int64 {
	ms, ok := resp.ParseInt(a.Bytes())
	switch {
	case !ok || ms > math.MaxInt64-s.WallMillis:
		a.Fail(errTimeout)
	case ms < 0:
		a.Fail(errNegativeTimeout)
	}
	return ms
}

// replyToken prints the token of a lock that was granted, and null for one that was not.
func replyToken(w *resp.Writer, r fsm.Result) {
	if !r.Found {
		w.Null()
		return
	}
	w.Int(r.Int)
}

var unlockCommand = Command{
	Name: "dtkv.unlock", Arity: -2, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW delete",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N + log W) for W waiters",
	Summary: "Lets go of a lock, or of a place in its queue, and answers 1; 0 when the owner has neither. The next waiter holds it " +
		"from then on",
	Syntax:     "key [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Plan:       planUnlock,
}

func planUnlock(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.ReleaseLock{Key: a.Bytes()}
	op.Owner = ownerOption(a, s)
	return write(op, replyInt)
}

var renewCommand = Command{
	Name: "dtkv.renew", Arity: -3, Flags: Writes | Fast,
	First: 1, Last: 1, Step: 1, Access: "RW update",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N + log W) for W waiters",
	Summary: "Gives the holder of a lock a new lease, in milliseconds from now on, and answers the token it has; NOTOWNER when the " +
		"lock is lost",
	Syntax:     "key lease-milliseconds [OWNER owner]",
	Secrets:    []string{"owner"},
	Categories: []string{"tree"},
	Plan:       planRenew,
}

func planRenew(a *resp.Args, s Settings) (Plan, error) {
	op := &fsm.RenewLock{Key: a.Bytes()}
	lease := a.Bytes()
	op.Owner = ownerOption(a, s)
	if a.Err() != nil {
		return Plan{}, a.Err()
	}
	var err error
	if op.Lease, err = millis("dtkv.renew", lease, s); err != nil {
		return Plan{}, err
	}
	return write(op, func(w *resp.Writer, r fsm.Result) { w.Int(r.Int) })
}

var lockinfoCommand = Command{
	Name: "dtkv.lockinfo", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "dtkv", Since: "0.1.0", Complexity: "O(log N) in the number of keys",
	Summary: "Answers a map of a lock: held (always 1), the holder's token, the remaining-ms of its lease, how many waiters there " +
		"are, and a digest of the holder as owner; null when the lock is free",
	Syntax:     "key",
	Categories: []string{"tree"},
	Plan:       planLockInfo,
}

func planLockInfo(a *resp.Args, _ Settings) (Plan, error) {
	key := a.Bytes()
	return read(func(w *resp.Writer, v fsm.View) {
		n, ok := v.Lookup(key)
		if !ok {
			w.NullArray()
			return
		}
		queue := n.Lock()
		if queue == nil {
			w.Error(resp.ErrWrongType)
			return
		}
		holder, _ := queue.Holder()
		w.Map(5)
		number(w, "held", 1)
		w.BulkString("token")
		w.Int(int64(queue.Token()))
		w.BulkString("remaining-ms")
		w.Int(remaining(v, n))
		number(w, "waiters", queue.Len()-1)
		field(w, "owner", holder.Owner.Digest())
	})
}
