package fsm

import "encoding/binary"

// appendRecord appends a node as snapshots and digests have it. docs/format.md has the same as a table.
func appendRecord(dst []byte, n *Node) []byte {
	dst = append(dst, byte(n.Kind))
	dst = appendBytes(dst, n.Key)
	dst = binary.AppendUvarint(dst, n.Created.Index)
	dst = binary.AppendVarint(dst, n.Created.Millis)
	dst = binary.AppendUvarint(dst, n.Updated.Index)
	dst = binary.AppendVarint(dst, n.Updated.Millis)
	if n.Kind == Directory {
		return binary.AppendUvarint(dst, uint64(n.Children))
	}
	return appendBytes(dst, n.Value)
}

// record is a node as it was read, its key and value aliasing the reader's buffer.
type record struct {
	path
	kind             Kind
	created, updated Stamp
	children         uint64
	value            []byte
}

// record reads what appendRecord wrote. It fails on a key or kind that no node has.
func (d *decoder) record() record {
	var r record
	r.kind = Kind(d.byte())
	key := d.bytes()
	r.created = Stamp{d.uvarint(), d.varint()}
	r.updated = Stamp{d.uvarint(), d.varint()}
	switch r.kind {
	case Value:
		r.value = d.bytes()
	case Directory:
		r.children = d.uvarint()
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
