package fsm

// Op is one operation on the state: a *Set, *Remove, *Increment and so on. The set is closed: each kind has a code
// in the log format, and a fold of its own that only this package may write.
//
// AppendTo appends the operation's encoding, which SealEntry later makes part of an entry. String returns one line
// for people. The slices in an operation are only read, and only while a call lasts.
type Op interface {
	AppendTo(dst []byte) []byte
	String() string

	// apply folds the operation into m. It checks everything that may refuse it before it changes anything, or
	// records a journal and rolls back.
	apply(m *Machine) Result
	// decode sets every field from the encoding behind the code. Slices alias d's data.
	decode(d *decoder)
}

// Result says what an operation did, not how to print it.
type Result struct {
	Err   error    // a *Refusal when the operation was refused and changed nothing, else nil
	Int   int64    // a count, a length, a sum, or 1 for done and 0 for not done
	Value string   // a previous or a new value
	Found bool     // Value holds a value; for a Txn: it was carried out
	List  []Result // one per element of a Batch or Txn
}

var (
	done    = Result{Int: 1}
	nothing = Result{}
)

// refused is the result of an operation that the refusal stopped.
func refused(no *Refusal) Result { return Result{Err: no} }

// doneUnless is the result of an operation that is done, or refused when no is not nil.
func doneUnless(no *Refusal) Result {
	if no != nil {
		return refused(no)
	}
	return done
}

// LeaderStart is a new leader's first entry. Applying it makes the entry's own log term the leader term, from which
// cluster clock stamps count. It moves no node. Result: nothing.
type LeaderStart struct {
	Term uint64 // the term the leader meant, for people; the log's own term is what counts
	Node string // the leader's node id, for people
}

func (o *LeaderStart) apply(m *Machine) Result {
	m.leaderTerm = m.logTerm
	return nothing
}
