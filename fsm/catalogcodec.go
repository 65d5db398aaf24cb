package fsm

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// AppendTo appends the encoding.
func (o *AddGroup) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, codeAddGroup), uint64(o.ID))
	return appendFounders(appendBool(dst, o.Everywhere), o.Founders)
}

func (o *AddGroup) decode(d *decoder) {
	o.ID, o.Everywhere, o.Founders = d.count(), d.bool(), d.founders()
}

// String describes the operation.
func (o *AddGroup) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "add-group %d%s", o.ID, option(o.Everywhere, "EVERYWHERE"))
	for _, f := range o.Founders {
		fmt.Fprintf(&b, " %s=%s%s", f.ID, f.Address, option(!f.Voter, "LEARNER"))
	}
	return b.String()
}

// AppendTo appends the encoding.
func (o *RemoveGroup) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, codeRemoveGroup), uint64(o.ID))
	return binary.AppendUvarint(dst, o.Generation)
}

func (o *RemoveGroup) decode(d *decoder) { o.ID, o.Generation = d.count(), d.uvarint() }

// String describes the operation.
func (o *RemoveGroup) String() string {
	return fmt.Sprintf("remove-group %d of %d", o.ID, o.Generation)
}

// AppendTo appends the encoding.
func (o *SetGroupNode) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, codeSetGroupNode), uint64(o.ID))
	dst = binary.AppendUvarint(dst, o.Generation)
	return append(appendBytes(dst, o.Node), byte(o.Role))
}

func (o *SetGroupNode) decode(d *decoder) {
	o.ID, o.Generation, o.Node, o.Role = d.count(), d.uvarint(), string(d.bytes()), Role(d.upTo(byte(Voter)))
}

// String describes the operation.
func (o *SetGroupNode) String() string {
	return fmt.Sprintf("set-group-node %d of %d %s %s", o.ID, o.Generation, o.Node, [...]string{"none", "learner", "voter"}[min(o.Role, Voter)])
}

// AppendTo appends the encoding.
func (o *NodeLeaves) AppendTo(dst []byte) []byte {
	return append(appendBytes(append(dst, codeNodeLeaves), o.Node), byte(o.Step))
}

func (o *NodeLeaves) decode(d *decoder) {
	o.Node, o.Step = string(d.bytes()), Departure(d.upTo(byte(Gone)))
}

// String describes the operation.
func (o *NodeLeaves) String() string {
	return fmt.Sprintf("node %s %s", o.Node, [...]string{"stays", "leaves", "is-gone"}[min(o.Step, Gone)])
}

// What a record of the catalogue begins with in a snapshot.
const (
	recordGroup   = 1
	recordLeaving = 2
)

// each hands the records of the catalogue, encoded, to add, in their order.
func (c *catalog) each(add func(record []byte)) {
	for i := range c.groups {
		r := &c.groups[i]
		b := binary.AppendUvarint([]byte{recordGroup}, uint64(r.ID))
		b = appendBool(binary.AppendUvarint(b, r.Generation), r.Everywhere)
		b = binary.AppendUvarint(appendFounders(b, r.Founders), uint64(len(r.Nodes)))
		for _, n := range r.Nodes {
			b = appendBool(appendBytes(b, n.ID), n.Voter)
		}
		add(b)
	}
	for _, id := range c.leaving {
		add(appendBytes([]byte{recordLeaving}, id))
	}
}

// catalogRecord reads one record into c, behind those that are there. It fails on what cannot stand there.
func (d *decoder) catalogRecord(c *catalog, index uint64) {
	switch d.byte() {
	case recordGroup:
		r := GroupRecord{ID: d.count(), Generation: d.uvarint(), Everywhere: d.bool(), Founders: d.founders()}
		for n := d.uvarint(); n > 0 && !d.failed; n-- {
			r.Nodes = append(r.Nodes, GroupNode{string(d.bytes()), d.bool()})
		}
		ordered := len(c.groups) == 0 || c.groups[len(c.groups)-1].ID < r.ID
		if d.failed || !ordered || len(c.leaving) > 0 || r.Generation > index || !r.valid() {
			d.fail()
			return
		}
		c.groups = append(c.groups, r)
	case recordLeaving:
		id := string(d.bytes())
		if !validNode(id) || len(c.leaving) >= MaxGroupNodes || len(c.leaving) > 0 && c.leaving[len(c.leaving)-1] >= id {
			d.fail()
			return
		}
		c.leaving = append(c.leaving, id)
	default:
		d.fail()
	}
}

const (
	founderVoter = 1 << iota
	founderLeft
)

func appendFounders(dst []byte, list []Founder) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, f := range list {
		dst = appendBytes(appendBytes(dst, f.ID), f.Address)
		var flags byte
		if f.Voter {
			flags |= founderVoter
		}
		if f.Left {
			flags |= founderLeft
		}
		dst = append(dst, flags)
	}
	return dst
}

// founders reads what appendFounders wrote. The list grows with what it finds, not with the count.
func (d *decoder) founders() (list []Founder) {
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		f := Founder{ID: string(d.bytes()), Address: string(d.bytes())}
		flags := d.flags(2)
		f.Voter, f.Left = flags&founderVoter != 0, flags&founderLeft != 0
		list = append(list, f)
	}
	return list
}

// upTo reads a byte that must not be greater.
func (d *decoder) upTo(most byte) byte {
	b := d.byte()
	if b > most {
		d.fail()
		return 0
	}
	return b
}
