package server

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/dtkv/dtkv/replica"
)

// flight is one entry that a loop has sent on its way to a group. While there is one, what else is to be written in the group
// waits in the loop. When it has landed, those whose writes were in it are answered and heard once more, and then all of
// them go together.
//
// If what waits went at once, clients that write one request after the other would fall into two halves that never meet, each
// with an entry of its own; and an entry costs a busy machine more than what is in it does, above all in a cluster.
type flight struct {
	conns int       // whose writes have not landed
	begun time.Time // of the newest entry
	known bool      // how long it took
}

const (
	// nap is how long a loop waits, once, for those who were just answered. The kernel makes about twice of it.
	nap = 50 * time.Microsecond
	// napWorth is how long an entry is on its way if a nap before it is worth what it costs.
	napWorth = 8 * nap
)

// propose sends what is to be written on its way, unless something is already that will land in a moment.
func (l *loop) propose() {
	writes := l.writes
	l.writes = nil
	for len(writes) > 0 {
		g := writes[0].group
		var own, others []*conn
		for _, c := range writes {
			if c.group == g {
				own = append(own, c)
			} else {
				others = append(others, c)
			}
		}
		writes = others
		if f := l.flights[g]; f != nil && time.Since(f.begun) < longest {
			l.writes = append(l.writes, own...)
		} else {
			l.depart(g, own)
		}
	}
}

// depart sends writes of some connections to a group, in one entry if it is not too long.
func (l *loop) depart(g group, conns []*conn) {
	proposals := make([]*replica.Proposal, 0, len(conns))
	for _, c := range conns {
		c.unit.proposal.Done = c.landFunc
		proposals = append(proposals, &c.unit.proposal)
	}
	if !g.Submit(proposals) {
		for _, c := range conns {
			c.unit.proposal.Done = nil
			l.handOver(c, func() {}) // there it waits for a leader, or learns that there is none
		}
		return
	}
	f := l.flights[g]
	if f == nil {
		f = &flight{}
		l.flights[g] = f
	}
	f.conns += len(conns)
	f.begun, f.known = time.Now(), false
	l.landing += len(conns)
}

// arrive notes that the writes of a connection have landed. It is about to be answered.
func (l *loop) arrive(c *conn) {
	f := l.flights[c.group]
	if !f.known {
		f.known = true
		l.took += (time.Since(f.begun) - l.took) / 8
	}
	if f.conns--; f.conns == 0 {
		delete(l.flights, c.group)
	}
	if !l.answered {
		l.answered, l.company = true, len(l.writes)
	}
	l.company++
}

// nap waits a moment, once, for those who were answered if fewer than them and those who wait are there. It reports whether
// it did, so that the sockets are to be looked at once more.
func (l *loop) nap(there int) bool {
	company := l.company
	l.company = 0
	if there <= 0 || there >= company || l.took < napWorth {
		return false
	}
	moment := unix.NsecToTimespec(int64(nap))
	_ = unix.Nanosleep(&moment, nil) // a signal makes it shorter
	return true
}
