package commands

import "github.com/dtkv/dtkv/resp"

var waitCommand = Command{
	Name: "wait", Arity: 3, Flags: NoScript,
	Group: "generic", Since: "3.0.0", Complexity: "O(1)",
	Summary:    "Answers how many other nodes surely hold every write acknowledged so far",
	Syntax:     "numreplicas timeout",
	Categories: []string{"connection"},
	Differs:    "Never waits: a write is acknowledged when a quorum holds it. A single node answers 0.",
	Plan:       planWait,
}

var (
	errTimeout         = resp.Errorf("ERR", "timeout is not an integer or out of range")
	errNegativeTimeout = resp.Errorf("ERR", "timeout is negative")
	errNumLocal        = resp.Errorf("ERR", "value is out of range, must be between 0 and 1")
)

func planWait(a *resp.Args, _ Settings) (Plan, error) {
	a.Int()
	checkTimeout(a)
	return local(func(w *resp.Writer, s Session) {
		_, replicas := s.Durable()
		w.Int(int64(replicas))
	})
}

// checkTimeout reads a timeout in milliseconds that nobody waits for.
func checkTimeout(a *resp.Args) {
	if !a.More() {
		return
	}
	ms, ok := resp.ParseInt(a.Bytes())
	if !ok {
		a.Fail(errTimeout)
	}
	if ms < 0 {
		a.Fail(errNegativeTimeout)
	}
}

var waitaofCommand = Command{
	Name: "waitaof", Arity: 4, Flags: NoScript,
	Group: "generic", Since: "7.2.0", Complexity: "O(1)",
	Summary:    "Answers whether this node, and how many others, surely have every write acknowledged so far on disk",
	Syntax:     "numlocal numreplicas timeout",
	Categories: []string{"connection"},
	Differs:    "Never waits: a write is acknowledged when a quorum has it on disk (with sync os: in memory).",
	Plan:       planWaitAOF,
}

func planWaitAOF(a *resp.Args, _ Settings) (Plan, error) {
	if n := a.Int(); n < 0 || n > 1 {
		a.Fail(errNumLocal)
	}
	if a.Int() < 0 {
		a.Fail(resp.ErrNotPositive)
	}
	checkTimeout(a)
	return local(func(w *resp.Writer, s Session) {
		synced, replicas := s.Durable()
		w.Array(2)
		if !synced { // with sync os nobody can tell
			w.Int(0)
			w.Int(0)
			return
		}
		w.Int(1)
		w.Int(int64(replicas))
	})
}
