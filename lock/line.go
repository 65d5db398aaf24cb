package lock

import (
	"bytes"

	"github.com/tidwall/btree"
)

// line is those who wait, in three orders. A Participant in it never changes: it is taken out, and another put in. The
// trees are there only while somebody waits, since most locks have nobody who does.
type line struct {
	arrivals  *btree.BTreeG[*Participant]
	owners    *btree.BTreeG[*Participant]
	deadlines *btree.BTreeG[*Participant]
}

// degree is small because every step copies a page on each level of the trees.
const degree = 8

func byArrival(a, b *Participant) bool { return a.Arrived < b.Arrived }

func byOwner(a, b *Participant) bool { return bytes.Compare(a.Owner[:], b.Owner[:]) < 0 }

func byDeadline(a, b *Participant) bool {
	if a.Deadline != b.Deadline {
		return a.Deadline < b.Deadline
	}
	return a.Arrived < b.Arrived
}

func (l *line) len() int {
	if l.arrivals == nil {
		return 0
	}
	return l.arrivals.Len()
}

func (l *line) copy() line {
	if l.arrivals == nil {
		return line{}
	}
	return line{l.arrivals.Copy(), l.owners.Copy(), l.deadlines.Copy()}
}

func (l *line) add(p *Participant) {
	if l.arrivals == nil {
		o := btree.Options{Degree: degree, NoLocks: true}
		l.arrivals = btree.NewBTreeGOptions(byArrival, o)
		l.owners = btree.NewBTreeGOptions(byOwner, o)
		l.deadlines = btree.NewBTreeGOptions(byDeadline, o)
	}
	l.arrivals.Set(p)
	l.owners.Set(p)
	l.deadlines.Set(p)
}

func (l *line) remove(p *Participant) {
	l.arrivals.Delete(p)
	l.owners.Delete(p)
	l.deadlines.Delete(p)
	if l.arrivals.Len() == 0 {
		*l = line{}
	}
}

func (l *line) find(o Owner) *Participant {
	if l.owners == nil {
		return nil
	}
	p, _ := l.owners.Get(&Participant{Owner: o})
	return p
}

func (l *line) first() *Participant {
	if l.arrivals == nil {
		return nil
	}
	p, _ := l.arrivals.Min()
	return p
}

func (l *line) last() *Participant {
	if l.arrivals == nil {
		return nil
	}
	p, _ := l.arrivals.Max()
	return p
}

func (l *line) earliest() *Participant {
	if l.deadlines == nil {
		return nil
	}
	p, _ := l.deadlines.Min()
	return p
}

func (l *line) each(fn func(Participant) bool) {
	if l.arrivals != nil {
		l.arrivals.Scan(func(p *Participant) bool { return fn(*p) })
	}
}
