package replica

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// absentAfter is how many messages of replication in a row may fail before the next one waits. A node that is started anew
	// fails some, since the library finds out by using them that its old streams have ended.
	absentAfter = 4
	// absentLook is how often who waits asks whether the message is still wanted.
	absentLook = 100 * time.Millisecond
)

// absences hold back what Raft would send to members that do not answer.
//
// After each failure in a row the library waits twice as long as before it tries again, up to 10 s, and nothing cuts that short.
// So a node that was away for half a minute would get its first entry up to 10 s after it is back, and serve nobody until then;
// and a cluster that loses another node in that time serves nobody either. Heartbeats do not share that patience: the
// library sends one every half heartbeat timeout at the least, whatever becomes of them. So after some failures the next message
// waits for a heartbeat to be answered, and the library never counts far.
//
// mu is a leaf.
type absences struct {
	ended <-chan struct{} // nothing is held back any more

	mu sync.Mutex
	of map[raft.ServerID]*absence
}

// absence is one member's, from its first failure to its next answer, or to when nobody wants anything of it any more.
type absence struct {
	failures int           // of messages of replication
	back     chan struct{} // closed at its end
}

// note counts what became of a message: an answer to any ends an absence, only a failure of replication begins one.
func (a *absences) note(id raft.ServerID, replication bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	away := a.of[id]
	switch {
	case err == nil && away != nil:
		a.end(id, away)
	case err != nil && replication && away != nil:
		away.failures++
	case err != nil && replication:
		if a.of == nil {
			a.of = map[raft.ServerID]*absence{}
		}
		a.of[id] = &absence{failures: 1, back: make(chan struct{})}
	}
}

// await waits while a member is absent and the message to it is wanted. It reports whether it waited, and fails when that was
// in vain.
func (a *absences) await(id raft.ServerID, wanted func() bool) (waited bool, err error) {
	a.mu.Lock()
	away := a.of[id]
	absent := away != nil && away.failures >= absentAfter
	a.mu.Unlock()
	if !absent {
		return false, nil
	}
	look := time.NewTicker(absentLook)
	defer look.Stop()
	for wanted() {
		select {
		case <-away.back:
			return true, nil
		case <-a.ended:
			return true, errAbsent
		case <-look.C:
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of[id] == away { // it is no member any more, or this node leads no more; should it again, it counts anew
		a.end(id, away)
	}
	return true, errAbsent
}

// end lets those go who wait for a member. The caller holds mu.
func (a *absences) end(id raft.ServerID, away *absence) {
	close(away.back)
	delete(a.of, id)
}

// errAbsent: the member did not answer for as long as the message was wanted, or has only just come back.
var errAbsent = errors.New("the member did not answer")

// isReplication tells Raft's messages of replication from its heartbeats, which know nothing of the log.
func isReplication(args *raft.AppendEntriesRequest) bool {
	return args.PrevLogEntry > 0 || len(args.Entries) > 0
}

// wanted reports whether this node still leads the term of a message and its member is still one, at that address.
func (t *transport) wanted(id raft.ServerID, target raft.ServerAddress, term uint64) bool {
	if t.raft.State() != raft.Leader || t.raft.CurrentTerm() != term {
		return false
	}
	future := t.raft.GetConfiguration()
	if future.Error() != nil {
		return false
	}
	for _, s := range future.Configuration().Servers {
		if s.ID == id {
			return s.Address == target
		}
	}
	return false
}
