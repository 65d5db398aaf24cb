package fsm

import (
	"encoding/binary"

	"github.com/dtkv/dtkv/lock"
)

// What a record's first byte has beside the kind.
const (
	recordKind     = 0x0f
	recordDeadline = 0x10
	recordOwner    = 0x20
)

// appendRecord appends a node as snapshots and digests have it. docs/format.md has the same as a table.
func appendRecord(dst []byte, n *Node) []byte {
	first := byte(n.Kind)
	deadline, expires := n.Deadline()
	if expires {
		first |= recordDeadline
	}
	if n.Temporary() {
		first |= recordOwner
	}
	dst = append(dst, first)
	dst = appendBytes(dst, n.Key)
	dst = binary.AppendUvarint(dst, n.Created.Index)
	dst = binary.AppendVarint(dst, n.Created.Millis)
	dst = binary.AppendUvarint(dst, n.Updated.Index)
	dst = binary.AppendVarint(dst, n.Updated.Millis)
	if expires {
		dst = binary.AppendUvarint(dst, uint64(deadline))
	}
	if n.Temporary() {
		dst = append(dst, n.rest.owner[:]...)
	}
	switch n.Kind {
	case Directory:
		return binary.AppendUvarint(dst, uint64(n.Children()))
	case Lock:
		return appendQueue(dst, n.Lock())
	}
	return appendBytes(dst, n.Value)
}

func appendQueue(dst []byte, q *lock.Queue) []byte {
	holder, _ := q.Holder()
	dst = binary.AppendUvarint(dst, q.Token())
	dst = appendParticipant(dst, holder)
	dst = binary.AppendUvarint(dst, uint64(q.Len()-1))
	q.Waiters(func(p lock.Participant) bool {
		dst = appendParticipant(dst, p)
		return true
	})
	return dst
}

func appendParticipant(dst []byte, p lock.Participant) []byte {
	dst = appendTicket(append(dst, p.Owner[:]...), p.Ticket)
	dst = binary.AppendUvarint(dst, uint64(p.Lease))
	dst = binary.AppendUvarint(dst, uint64(p.Deadline))
	return binary.AppendUvarint(dst, p.Arrived)
}

// record is a node as it was read, its key and value aliasing the reader's buffer.
type record struct {
	path
	kind             Kind
	created, updated Stamp
	value            []byte
	rest             rest
}

// node makes a Node of a record, its key and value those given.
func (r *record) node(key, value string) *Node {
	n := &Node{Key: key, Value: value, Kind: r.kind, Created: r.created, Updated: r.updated, depth: uint16(r.depth)}
	if r.rest != (rest{}) {
		owned := r.rest
		n.rest = &owned
	}
	return n
}

// token returns the token of a lock, 0 for other kinds.
func (r *record) token() uint64 {
	if r.rest.lock == nil {
		return 0
	}
	return r.rest.lock.Token()
}

// record reads what appendRecord wrote. It fails on what no node can be.
func (d *decoder) record() record {
	var r record
	first := d.byte()
	r.kind = Kind(first & recordKind)
	key := d.bytes()
	r.created = Stamp{d.uvarint(), d.varint()}
	r.updated = Stamp{d.uvarint(), d.varint()}
	switch first &^ recordKind {
	case 0:
	case recordDeadline:
		r.rest.deadline = d.positive()
		if r.kind != Value {
			d.fail()
		}
	case recordDeadline | recordOwner:
		r.rest.deadline, r.rest.owner = d.positive(), d.id()
		if r.kind == Lock || len(key) == 0 {
			d.fail()
		}
	default:
		d.fail()
	}
	switch r.kind {
	case Value:
		r.value = d.bytes()
	case Directory:
		r.rest.children = d.count()
	case Lock:
		r.rest.lock = d.queue()
	default:
		d.fail()
	}
	if len(key) > 0 {
		var no *Refusal
		if r.path, no = parsePath(key); no != nil {
			d.fail()
		}
	}
	if r.created.Index > r.updated.Index {
		d.fail()
	}
	return r
}

// count reads a number that fits in 31 bits.
func (d *decoder) count() int {
	u := d.uvarint()
	if u > 1<<31-1 {
		d.fail()
		return 0
	}
	return int(u)
}

// positive reads a number greater than 0.
func (d *decoder) positive() int64 {
	u := d.uvarint()
	if u == 0 || u > 1<<63-1 {
		d.fail()
		return 1
	}
	return int64(u)
}

// id reads the bytes of an owner who is not nobody.
func (d *decoder) id() Owner {
	var o Owner
	if len(d.data)-d.at < len(o) {
		d.fail()
		return o
	}
	o = Owner(d.data[d.at:])
	d.at += len(o)
	if o == (Owner{}) {
		d.fail()
	}
	return o
}

// queue reads the participants of a lock. It grows with what it finds, not with the count.
func (d *decoder) queue() *lock.Queue {
	token := d.uvarint()
	holder := d.participant()
	var waiters []lock.Participant
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		waiters = append(waiters, d.participant())
	}
	if d.failed {
		return nil
	}
	q, ok := lock.Restore(token, holder, waiters)
	if !ok {
		d.fail()
	}
	return q
}

func (d *decoder) participant() lock.Participant {
	return lock.Participant{
		Owner: d.id(), Ticket: d.ticket(), Lease: d.positive(), Deadline: d.positive(), Arrived: d.uvarint(),
	}
}
