package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dtkv/dtkv/fsm"
)

// A node that does not lead sends its entries to the leader, which stamps and proposes them as they are. Every node applies
// them, also the one that they came from, and there the results find those who wait. What the leader answers decides only
// what becomes of an entry that has not come:
//
//   - it was applied, at an index: Raft here is told so;
//   - it never entered the log: it is sent again, to whoever leads, within the election wait;
//   - the leader cannot read it: it never entered the log, where it would stop every node, and is not sent again;
//   - nobody knows, or there is no answer: it is never sent again. If it does not come within the election wait, or before
//     an entry of a newer leader, it is in doubt.
//
// All that is here runs under proposals.mu.

// On the way the place of the entry's header holds what the leader needs to know.
const (
	offsetWriteTerm   = 0  // of the leader that is meant
	offsetWriteOrigin = 8  // of the entry
	offsetWriteNumber = 16 // its sequence
	offsetWriteCount  = 24 // 4 bytes: how many operations it has
	writeHeader       = 28
)

// The first byte of the answer to a write.
const (
	writeApplied = 0 // an announcement follows
	writeRefused = 1 // never entered the log, for the reason that follows
	writeUnknown = 2 // may have entered it
	writeForeign = 3 // never entered the log, and never will: the leader cannot read it
)

// maxDoubtful bounds the entries that are waited for after all else is lost; the oldest is given up for a new one.
const maxDoubtful = 1024

// guest is what another node wants to have proposed.
type guest struct {
	queue []*batch
	// refusing is set with the first refusal and ends when the node asks again whether this one is ready, so that nothing
	// overtakes what was refused.
	refusing bool

	checker fsm.Checker // of the goroutine that reads the stream
}

// forward sends an entry to the leader.
func (q *proposals) forward(b *batch, l *link) error {
	le := binary.LittleEndian
	number := q.sequence + 1
	le.PutUint64(b.buf[offsetWriteTerm:], l.term)
	le.PutUint64(b.buf[offsetWriteOrigin:], q.group.origin)
	le.PutUint64(b.buf[offsetWriteNumber:], number)
	le.PutUint32(b.buf[offsetWriteCount:], uint32(b.ops))
	_, err := l.start(kindWrite, b.buf, func(answer []byte, sent bool, err error) { q.answered(number, l, answer, sent, err) })
	if err != nil {
		return err
	}
	q.sequence = number
	q.lastSize = len(b.buf)
	b.seq, b.origin, b.number, b.term, b.link = number, q.group.origin, number, l.term, l
	q.inFlight = append(q.inFlight, b)
	q.group.counts.forwarded.Add(1)
	return nil
}

// answered takes the leader's answer about an entry, or the end of the stream for one.
func (q *proposals) answered(seq uint64, l *link, answer []byte, sent bool, err error) {
	verdict := byte(writeUnknown)
	var refused refusedError
	switch {
	case err == nil && len(answer) > 0:
		verdict = answer[0]
	case !sent || errors.As(err, &refused):
		verdict = writeRefused
	}
	if verdict == writeApplied {
		if a, err := readAnnouncement(answer[1:]); err == nil {
			l.believe(q.group, a)
		}
	} else if verdict != writeForeign {
		q.group.unlink(l)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.find(seq)
	if b == nil {
		return // it has been applied, or given up
	}
	b.link = nil
	switch verdict {
	case writeApplied:
		b.due = q.until(b)
	case writeRefused:
		q.remove(b)
		q.again(b)
	case writeForeign:
		q.group.cfg.Logger.Error("the leader cannot read what this node wants to write", "leader", l.leader, "error", string(answer[1:]))
		q.remove(b)
		q.finish(b, ErrForeign)
	default:
		q.remove(b)
		q.doubt(b)
	}
	q.send()
	q.signalIdle()
}

// find returns the entry with that number that is on its way.
func (q *proposals) find(seq uint64) *batch {
	for _, list := range [][]*batch{q.inFlight, q.doubtful} {
		for _, b := range list {
			if b.seq == seq {
				return b
			}
		}
	}
	return nil
}

func (q *proposals) remove(b *batch) {
	is := func(other *batch) bool { return other == b }
	q.inFlight = slices.DeleteFunc(q.inFlight, is)
	q.doubtful = slices.DeleteFunc(q.doubtful, is)
}

// strand makes room for entries to a new leader: those that were sent to the old one may still be answered by it.
func (q *proposals) strand(s *stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := 0; i < len(q.inFlight); {
		if b := q.inFlight[i]; b.link != nil && b.link.stream == s {
			q.inFlight = slices.Delete(q.inFlight, i, i+1)
			q.doubt(b)
		} else {
			i++
		}
	}
	q.send()
}

// until is how long to wait for an entry that should come, or may: nobody waits for longer than the election wait in all, but
// for a moment in which it can still come.
func (q *proposals) until(b *batch) time.Time {
	until, soon := b.begun.Add(q.group.cfg.ElectionWait), time.Now().Add(answerGrace)
	if until.Before(soon) {
		return soon
	}
	return until
}

// doubt waits for an entry of which only this node's own log can tell what became of it, or a late answer.
func (q *proposals) doubt(b *batch) {
	b.due = q.until(b)
	if b.term < q.newest && !q.passed(b) {
		return
	}
	q.doubtful = append(q.doubtful, b)
	if len(q.doubtful) > maxDoubtful {
		q.finish(q.doubtful[0], ErrInDoubt)
		q.doubtful = slices.Delete(q.doubtful, 0, 1)
	}
}

// answerGrace is how long the answer of a leader may take when it has a successor already, and how long an entry in doubt
// is waited for that has waited for long.
const answerGrace = 200 * time.Millisecond

// passed deals with a doubtful entry behind which the first one of a newer leader is applied. It will not come any more,
// but the old leader may still say that it never entered the log. It reports whether that is waited for.
func (q *proposals) passed(b *batch) bool {
	if b.link == nil {
		q.finish(b, ErrInDoubt)
		return false
	}
	if soon := time.Now().Add(answerGrace); soon.Before(b.due) {
		b.due = soon
	}
	return true
}

// again puts an entry that never entered the log in front of those that wait, behind those that were sent before it. An
// entry for which somebody has waited as long as the election wait is given up.
func (q *proposals) again(b *batch) {
	switch {
	case q.closed:
		q.finish(b, ErrClosed)
		return
	case time.Since(b.begun) >= q.group.cfg.ElectionWait:
		q.finish(b, ErrNoLeader)
		return
	}
	b.future, b.link, b.due = nil, nil, time.Time{}
	q.waiting += len(b.buf) - fsm.HeaderSize
	i := 0
	for i < len(q.queue) && q.queue[i].seq != 0 && q.queue[i].seq < b.seq {
		i++
	}
	q.queue = slices.Insert(q.queue, i, b)
}

// overdue gives up what has waited for as long as requests may: entries that found no leader, and those that should have
// come.
func (q *proposals) overdue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue)+len(q.inFlight)+len(q.doubtful) == 0 {
		return
	}
	now := time.Now()
	inDoubt := func(b *batch) bool {
		if b.due.IsZero() || now.Before(b.due) {
			return false
		}
		q.finish(b, ErrInDoubt)
		return true
	}
	q.doubtful = slices.DeleteFunc(q.doubtful, inDoubt)
	q.inFlight = slices.DeleteFunc(q.inFlight, inDoubt)
	if !q.mayGo() {
		q.queue = slices.DeleteFunc(q.queue, func(b *batch) bool {
			if now.Sub(b.begun) < q.group.cfg.ElectionWait {
				return false
			}
			q.waiting -= len(b.buf) - fsm.HeaderSize
			q.finish(b, ErrNoLeader)
			return true
		})
	}
	q.send()
	q.signalIdle()
}

// superseded deals with doubtful entries when the first entry of a newer leader is applied: none of an older term comes
// behind it.
func (q *proposals) superseded(term uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.newest = term
	q.doubtful = slices.DeleteFunc(q.doubtful, func(b *batch) bool {
		return b.term < term && !q.passed(b)
	})
	q.send()
	q.signalIdle()
}

// kick sends what has waited for a leader.
func (q *proposals) kick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.send()
}

// takeWrite answers kindWrite: the leader's part.
func (q *proposals) takeWrite(s *session, payload []byte, answer func([]byte, error)) {
	if len(payload) < fsm.HeaderSize {
		answer(nil, fmt.Errorf("a write of %d bytes: %w", len(payload), errDamaged))
		return
	}
	le := binary.LittleEndian
	b := &batch{
		buf:    payload,
		ops:    int(le.Uint32(payload[offsetWriteCount:])),
		term:   le.Uint64(payload[offsetWriteTerm:]),
		origin: le.Uint64(payload[offsetWriteOrigin:]),
		number: le.Uint64(payload[offsetWriteNumber:]),
		guest:  &s.guest,
		answer: func(data []byte) { answer(data, nil) },
	}
	g := q.group
	s.guest.checker.Catalog = g.id == 0
	if err := s.guest.checker.Check(payload[fsm.HeaderSize:], b.ops); err != nil || b.origin == g.origin {
		if err == nil {
			err = fmt.Errorf("a write under the origin of the leader: %w", errDamaged)
		}
		g.cfg.Logger.Warn("refused what another node wants to write", "node", s.hello.From, "error", err)
		answer(append([]byte{writeForeign}, err.Error()...), nil)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch term := g.ready.Load(); {
	case q.closed || s.guest.refusing || b.term != term || !g.leads(term) || q.waiting+len(payload) > q.limit:
		q.refuse(b, ErrNoLeader)
	default:
		q.waiting += len(payload) - fsm.HeaderSize
		if len(s.guest.queue) == 0 {
			q.guests = append(q.guests, &s.guest)
		}
		s.guest.queue = append(s.guest.queue, b)
		q.send()
	}
}

// welcome ends the refusals of a stream.
func (q *proposals) welcome(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.guest.refusing = false
}

// dismiss drops what a node that is gone wanted to have proposed.
func (q *proposals) dismiss(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range s.guest.queue {
		q.waiting -= len(b.buf) - fsm.HeaderSize
	}
	s.guest.queue, s.guest.refusing = nil, true
	q.guests = slices.DeleteFunc(q.guests, func(g *guest) bool { return g == &s.guest })
}

// refuse tells a guest that its entry, and all behind it, never entered the log.
func (q *proposals) refuse(b *batch, reason error) {
	b.guest.refusing = true
	b.answer(append([]byte{writeRefused}, reason.Error()...))
}

// tell answers a guest whose entry ended with err; index and term are where it stands in the log if err is nil.
func (q *proposals) tell(b *batch, err error, index, term uint64) {
	switch {
	case err == nil:
		b.answer(announcement{q.group.ready.Load(), index, term}.appendTo([]byte{writeApplied}))
	case errors.Is(err, ErrNoLeader), errors.Is(err, ErrBusy), errors.Is(err, ErrClosed):
		q.refuse(b, err)
	default:
		b.answer(append([]byte{writeUnknown}, err.Error()...))
	}
}

// nextGuest takes the entry whose turn it is from those of other nodes. They take turns with each other and with this
// node's own: see next.
func (q *proposals) nextGuest() *batch {
	g := q.guests[0]
	b := g.queue[0]
	g.queue = slices.Delete(g.queue, 0, 1)
	q.guests = slices.Delete(q.guests, 0, 1)
	if len(g.queue) > 0 {
		q.guests = append(q.guests, g)
	}
	q.waiting -= len(b.buf) - fsm.HeaderSize
	return b
}
