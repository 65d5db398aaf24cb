package fsm

import "encoding/binary"

// This file and timed.go have, for each operation, its encoding and the way back, one beside the other. docs/format.md has the same
// as a table.

const (
	flagGet = 1 << iota
	flagTTL
)

// AppendTo appends the encoding.
func (o *Set) AppendTo(dst []byte) []byte {
	dst = append(dst, codeSet)
	dst = appendBytes(dst, o.Key)
	dst = appendBytes(dst, o.Value)
	var flags byte
	if o.Get {
		flags |= flagGet
	}
	if o.TTL != (TTL{}) {
		flags |= flagTTL
	}
	dst = append(dst, flags, byte(o.If))
	if o.If >= IfEqual {
		dst = appendBytes(dst, o.Match)
	}
	if o.TTL != (TTL{}) {
		dst = appendTTL(dst, o.TTL)
	}
	return dst
}

func (o *Set) decode(d *decoder) {
	o.Key, o.Value = d.bytes(), d.bytes()
	flags := d.flags(2)
	o.Get, o.TTL = flags&flagGet != 0, TTL{}
	o.If, o.Match = Condition(d.byte()), nil
	switch {
	case o.If > IfDigestNotEqual:
		d.fail()
	case o.If >= IfEqual:
		o.Match = d.bytes()
	}
	if flags&flagTTL != 0 {
		if o.TTL = d.ttl(); o.TTL == (TTL{}) {
			d.fail()
		}
	}
}

// AppendTo appends the encoding.
func (o *SetMany) AppendTo(dst []byte) []byte {
	return appendTTL(appendList(append(dst, codeSetMany, byte(o.If)), o.Pairs), o.TTL)
}

func (o *SetMany) decode(d *decoder) {
	o.If = d.condition(Always, IfAbsent, IfPresent)
	if o.Pairs = d.list(o.Pairs[:0]); len(o.Pairs)%2 != 0 {
		d.fail()
	}
	o.TTL = d.ttl()
}

// AppendTo appends the encoding.
func (o *Append) AppendTo(dst []byte) []byte {
	return appendBytes(appendBytes(append(dst, codeAppend), o.Key), o.Value)
}

func (o *Append) decode(d *decoder) { o.Key, o.Value = d.bytes(), d.bytes() }

// AppendTo appends the encoding.
func (o *SetRange) AppendTo(dst []byte) []byte {
	dst = binary.AppendVarint(appendBytes(append(dst, codeSetRange), o.Key), o.Offset)
	return appendBytes(dst, o.Value)
}

func (o *SetRange) decode(d *decoder) { o.Key, o.Offset, o.Value = d.bytes(), d.varint(), d.bytes() }

// AppendTo appends the encoding.
func (o *GetDel) AppendTo(dst []byte) []byte {
	return appendOwner(appendBytes(append(dst, codeGetDel), o.Key), o.Owner)
}

func (o *GetDel) decode(d *decoder) { o.Key, o.Owner = d.bytes(), d.owner() }

// AppendTo appends the encoding.
func (o *Increment) AppendTo(dst []byte) []byte {
	return binary.AppendVarint(appendBytes(append(dst, codeIncrement), o.Key), o.By)
}

func (o *Increment) decode(d *decoder) { o.Key, o.By = d.bytes(), d.varint() }

// AppendTo appends the encoding.
func (o *IncrementFloat) AppendTo(dst []byte) []byte {
	return appendBytes(appendBytes(append(dst, codeIncrementFloat), o.Key), o.By)
}

func (o *IncrementFloat) decode(d *decoder) { o.Key, o.By = d.bytes(), string(d.bytes()) }

// AppendTo appends the encoding.
func (o *Remove) AppendTo(dst []byte) []byte {
	return appendOwner(appendList(append(dst, codeRemove), o.Keys), o.Owner)
}

func (o *Remove) decode(d *decoder) { o.Keys, o.Owner = d.list(o.Keys[:0]), d.owner() }

// AppendTo appends the encoding.
func (o *RemoveIf) AppendTo(dst []byte) []byte {
	dst = append(appendBytes(append(dst, codeRemoveIf), o.Key), byte(o.If))
	if o.If != Always {
		dst = appendBytes(dst, o.Match)
	}
	return appendOwner(dst, o.Owner)
}

func (o *RemoveIf) decode(d *decoder) {
	o.Key = d.bytes()
	o.If = d.condition(Always, IfEqual, IfNotEqual, IfDigestEqual, IfDigestNotEqual)
	o.Match = nil
	if o.If != Always {
		o.Match = d.bytes()
	}
	o.Owner = d.owner()
}

// AppendTo appends the encoding.
func (o *Rename) AppendTo(dst []byte) []byte {
	dst = appendBytes(appendBytes(append(dst, codeRename), o.From), o.To)
	return appendBool(dst, o.NX)
}

func (o *Rename) decode(d *decoder) { o.From, o.To, o.NX = d.bytes(), d.bytes(), d.bool() }

// AppendTo appends the encoding.
func (o *Copy) AppendTo(dst []byte) []byte {
	dst = appendBytes(appendBytes(append(dst, codeCopy), o.From), o.To)
	return appendBool(dst, o.Replace)
}

func (o *Copy) decode(d *decoder) { o.From, o.To, o.Replace = d.bytes(), d.bytes(), d.bool() }

// AppendTo appends the encoding.
func (o *Flush) AppendTo(dst []byte) []byte { return append(dst, codeFlush) }

func (o *Flush) decode(*decoder) {}

// AppendTo appends the encoding.
func (o *MakeDir) AppendTo(dst []byte) []byte {
	dst = appendBool(appendBytes(append(dst, codeMakeDir), o.Key), o.Parents)
	dst = binary.AppendVarint(dst, o.Millis)
	if o.Millis != 0 {
		dst = appendOwner(dst, o.Owner)
	}
	return dst
}

func (o *MakeDir) decode(d *decoder) {
	o.Key, o.Parents, o.Millis, o.Owner = d.bytes(), d.bool(), d.varint(), Owner{}
	if o.Millis != 0 {
		o.Owner = d.owner()
	}
}

// AppendTo appends the encoding.
func (o *RemoveDir) AppendTo(dst []byte) []byte {
	return appendOwner(appendBool(appendBytes(append(dst, codeRemoveDir), o.Key), o.Recursive), o.Owner)
}

func (o *RemoveDir) decode(d *decoder) { o.Key, o.Recursive, o.Owner = d.bytes(), d.bool(), d.owner() }

// AppendTo appends the encoding.
func (o *CompareAndSet) AppendTo(dst []byte) []byte {
	dst = appendBytes(appendBytes(append(dst, codeCompareAndSet), o.Key), o.Expected)
	return appendBytes(dst, o.New)
}

func (o *CompareAndSet) decode(d *decoder) {
	o.Key, o.Expected, o.New = d.bytes(), d.bytes(), d.bytes()
}

// AppendTo appends the encoding.
func (o *Batch) AppendTo(dst []byte) []byte { return appendPacked(append(dst, codeBatch), o.Ops) }

func (o *Batch) decode(d *decoder) { o.Ops, o.packed = d.packed(classBatch) }

// AppendTo appends the encoding.
func (o *Txn) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, codeTxn), uint64(len(o.Watches)))
	for _, w := range o.Watches {
		dst = binary.AppendUvarint(appendBytes(dst, w.Key), w.Version)
	}
	return appendPacked(dst, o.Ops)
}

func (o *Txn) decode(d *decoder) {
	o.Watches = o.Watches[:0]
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		o.Watches = append(o.Watches, Watch{Key: d.bytes(), Version: d.uvarint()})
	}
	o.Ops, o.packed = d.packed(classTxn)
}

// AppendTo appends the encoding.
func (o *LeaderStart) AppendTo(dst []byte) []byte {
	return appendBytes(binary.AppendUvarint(append(dst, codeLeaderStart), o.Term), o.Node)
}

func (o *LeaderStart) decode(d *decoder) { o.Term, o.Node = d.uvarint(), string(d.bytes()) }
