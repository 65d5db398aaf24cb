package server

import (
	"bytes"
	"errors"
	"sync"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// verdicts says what a client may conclude from each way a write can fail. The line that matters runs between "never
// entered the log" and "may have": stock clients send a command again when they read CLUSTERDOWN, TRYAGAIN or LOADING, so
// such a word on the wrong side of the line makes them run INCR twice.
var verdicts = []struct {
	err   error
	reply *resp.Error
}{
	// Never entered the log.
	{replica.ErrNoLeader, &resp.Error{Prefix: "CLUSTERDOWN", Text: "no leader is known; the command was not run"}},
	{replica.ErrClosed, &resp.Error{Prefix: "CLUSTERDOWN", Text: "this node is stopping; the command was not run"}},
	{replica.ErrBusy, &resp.Error{Prefix: "TRYAGAIN", Text: "too many commands are waiting; this one was not run"}},
	{errLoading, &resp.Error{Prefix: "LOADING", Text: "this node is loading its data; the command was not run"}},
	{replica.ErrTooLarge, &resp.Error{Prefix: "ERR", Text: "the command is too large for one log entry"}},
	{replica.ErrForeign, &resp.Error{Prefix: "ERR", Text: "the leader cannot read this write, nothing was changed: do all nodes run one release?"}},

	// May have entered it.
	{replica.ErrInDoubt, inDoubt},
}

// errLoading: the groups are not open yet.
var errLoading = errors.New("loading")

var (
	// inDoubt is also the verdict on a write that failed in a way nobody listed: the only safe guess.
	inDoubt = &resp.Error{Prefix: "INDOUBT", Text: "the write may or may not have been applied"}
	// unreadable is the verdict on a read that failed in a way nobody listed. A read changes nothing, so a client may
	// always repeat it.
	unreadable = &resp.Error{Prefix: "CLUSTERDOWN", Text: "the state could not be confirmed as current; nothing was read"}
)

// writeVerdict is the reply to a write that Propose answered with err.
func writeVerdict(err error) *resp.Error {
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return v.reply
		}
	}
	return inDoubt
}

// readVerdict is the reply to a read that failed with err.
func readVerdict(err error) *resp.Error {
	if reply := writeVerdict(err); reply != inDoubt {
		return reply
	}
	return unreadable
}

// maxErrorKinds bounds errorCounts: prefixes come from our own tables, but a bound costs nothing.
const maxErrorKinds = 64

// errorCounts counts error replies by prefix, for INFO errorstats. Errors are rare enough for a lock.
type errorCounts struct {
	mu    sync.Mutex
	total uint64
	kinds []errorCount // in order of first appearance
}

type errorCount struct {
	prefix string
	count  uint64
}

// add counts the error reply that begins at reply[0].
func (e *errorCounts) add(reply []byte) {
	prefix := reply[1:]
	if end := bytes.IndexAny(prefix, " \r"); end >= 0 {
		prefix = prefix[:end]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total++
	for i := range e.kinds {
		if e.kinds[i].prefix == string(prefix) {
			e.kinds[i].count++
			return
		}
	}
	if len(e.kinds) < maxErrorKinds {
		e.kinds = append(e.kinds, errorCount{string(prefix), 1})
	}
}

// numberOf is the number of a command, -1 if there is none of that name.
func numberOf(cmd *commands.Command) int32 {
	if cmd == nil {
		return -1
	}
	return int32(cmd.Number())
}

// noteError counts an error reply to the command of that number; bad says that it was not run.
func (s *Server) noteError(reply []byte, call int32, bad bool) {
	s.errors.add(reply)
	switch {
	case call < 0:
	case bad:
		s.stats[call].rejected.Add(1)
	default:
		s.stats[call].failed.Add(1)
	}
}

// snapshot returns the counts so far.
func (e *errorCounts) snapshot() (uint64, []errorCount) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total, append([]errorCount(nil), e.kinds...)
}

func (e *errorCounts) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total, e.kinds = 0, nil
}
