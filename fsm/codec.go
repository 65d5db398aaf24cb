package fsm

import (
	"encoding/binary"
	"fmt"
)

// The codes of operations. They are part of the log format: a code never changes its meaning, and a new one takes a
// new Version, since a release that does not know it must not go on.
const (
	codeLeaderStart    = 1
	codeSet            = 2
	codeSetMany        = 3
	codeAppend         = 4
	codeSetRange       = 5
	codeGetDel         = 6
	codeIncrement      = 7
	codeIncrementFloat = 8
	codeRemove         = 9
	codeRemoveIf       = 10
	codeRename         = 11
	codeCopy           = 12
	codeFlush          = 13
	codeMakeDir        = 14
	codeRemoveDir      = 15
	codeCompareAndSet  = 16
	codeBatch          = 17
	codeTxn            = 18
	codeExpire         = 19
	codePersist        = 20
	codeGetExpire      = 21
	codePutTemp        = 22
	codeUpdateTTL      = 23
	codeRemoveOwned    = 24
	codeAcquireLock    = 25
	codeReleaseLock    = 26
	codeRenewLock      = 27
	codeLeaveLock      = 28
	codeRetain         = 29
	codeExpireDue      = 30
	codeAddGroup       = 31
	codeRemoveGroup    = 32
	codeSetGroupNode   = 33
	codeNodeLeaves     = 34

	codes = 35 // one more than the greatest
)

// class says where an operation may stand: only where the limit is a higher class.
type class int

const (
	classPlain class = iota
	classBatch
	classTxn
	classCatalog
	classLeader
	classEntry // the limit in an entry itself, where all may stand
)

func classOf(code byte) class {
	switch code {
	case codeBatch:
		return classBatch
	case codeTxn:
		return classTxn
	case codeAddGroup, codeRemoveGroup, codeSetGroupNode, codeNodeLeaves:
		return classCatalog
	case codeLeaderStart:
		return classLeader
	}
	return classPlain
}

// newOp returns an empty operation of that code, nil for a code that nobody has.
func newOp(code byte) Op {
	switch code {
	case codeLeaderStart:
		return new(LeaderStart)
	case codeSet:
		return new(Set)
	case codeSetMany:
		return new(SetMany)
	case codeAppend:
		return new(Append)
	case codeSetRange:
		return new(SetRange)
	case codeGetDel:
		return new(GetDel)
	case codeIncrement:
		return new(Increment)
	case codeIncrementFloat:
		return new(IncrementFloat)
	case codeRemove:
		return new(Remove)
	case codeRemoveIf:
		return new(RemoveIf)
	case codeRename:
		return new(Rename)
	case codeCopy:
		return new(Copy)
	case codeFlush:
		return new(Flush)
	case codeMakeDir:
		return new(MakeDir)
	case codeRemoveDir:
		return new(RemoveDir)
	case codeCompareAndSet:
		return new(CompareAndSet)
	case codeBatch:
		return new(Batch)
	case codeTxn:
		return new(Txn)
	}
	return newTimedOp(code)
}

// newTimedOp is newOp for the operations on deadlines, owners and locks.
func newTimedOp(code byte) Op {
	switch code {
	case codeExpire:
		return new(Expire)
	case codePersist:
		return new(Persist)
	case codeGetExpire:
		return new(GetExpire)
	case codePutTemp:
		return new(PutTemp)
	case codeUpdateTTL:
		return new(UpdateTTL)
	case codeRemoveOwned:
		return new(RemoveOwned)
	case codeAcquireLock:
		return new(AcquireLock)
	case codeReleaseLock:
		return new(ReleaseLock)
	case codeRenewLock:
		return new(RenewLock)
	case codeLeaveLock:
		return new(LeaveLock)
	case codeRetain:
		return new(RetainProcesses)
	case codeExpireDue:
		return new(ExpireDue)
	}
	return newCatalogOp(code)
}

// newCatalogOp is newOp for the operations on the catalogue.
func newCatalogOp(code byte) Op {
	switch code {
	case codeAddGroup:
		return new(AddGroup)
	case codeRemoveGroup:
		return new(RemoveGroup)
	case codeSetGroupNode:
		return new(SetGroupNode)
	case codeNodeLeaves:
		return new(NodeLeaves)
	}
	return nil
}

// scratch keeps one operation of each code, so that an entry with many operations of a kind allocates one. It is good
// until the next of its code is decoded.
type scratch [codes]Op

func (s *scratch) op(code byte) Op {
	if int(code) >= len(s) {
		return nil
	}
	if s[code] == nil {
		s[code] = newOp(code)
	}
	return s[code]
}

// verify reports whether data is exactly count operations that may stand below limit.
func (m *Machine) verify(data []byte, count int, limit class) error {
	d := decoder{data: data, scratch: &m.scratch}
	for i := range count {
		at := d.at
		op := d.op(limit)
		if d.failed {
			return fmt.Errorf("operation %d at byte %d: %w", i, at, ErrCorrupt)
		}
		if limit == classEntry {
			m.ahead = append(m.ahead, 0)
		}
		var err error
		switch o := op.(type) {
		case *Set:
			if limit == classEntry {
				m.ahead[i] = m.hash(alias(o.Key))
			}
		case *Batch:
			err = m.verify(o.packed.data, o.packed.count, classBatch)
		case *Txn:
			err = m.verify(o.packed.data, o.packed.count, classTxn)
		}
		if err != nil {
			return fmt.Errorf("in operation %d: %w", i, err)
		}
	}
	if d.at != len(data) {
		return fmt.Errorf("%d bytes behind the last operation: %w", len(data)-d.at, ErrCorrupt)
	}
	return nil
}

// decoder reads encoded operations. The first failure sticks and makes everything after it zero. What it returns
// aliases data. It accepts one encoding of each operation only, the one that AppendTo writes.
type decoder struct {
	data   []byte
	at     int
	failed bool

	// scratch is where operations are decoded to, those inside a Batch or Txn left packed. Without it every
	// operation is allocated, those inside too.
	scratch *scratch
}

func (d *decoder) fail() {
	d.failed = true
	d.at = len(d.data)
}

// op reads one operation that may stand below limit. A nil Op means failure.
func (d *decoder) op(limit class) Op {
	code := d.byte()
	var op Op
	if d.scratch != nil {
		op = d.scratch.op(code)
	} else {
		op = newOp(code)
	}
	if op == nil || classOf(code) >= limit {
		d.fail()
		return nil
	}
	op.decode(d)
	return op
}

func (d *decoder) byte() byte {
	if d.at >= len(d.data) {
		d.fail()
		return 0
	}
	d.at++
	return d.data[d.at-1]
}

// flags reads a byte of which only the lowest bits may be set.
func (d *decoder) flags(bits int) byte {
	b := d.byte()
	if b>>bits != 0 {
		d.fail()
		return 0
	}
	return b
}

func (d *decoder) bool() bool { return d.flags(1) == 1 }

func (d *decoder) condition(allowed ...Condition) Condition {
	c := Condition(d.byte())
	for _, a := range allowed {
		if c == a {
			return c
		}
	}
	d.fail()
	return Always
}

func (d *decoder) uvarint() uint64 {
	if d.at < len(d.data) && d.data[d.at] < 0x80 { // most are lengths below 128
		d.at++
		return uint64(d.data[d.at-1])
	}
	u, n := binary.Uvarint(d.data[d.at:])
	if n <= 0 || d.data[d.at+n-1] == 0 { // a zero at the end is a longer way to write a smaller one
		d.fail()
		return 0
	}
	d.at += n
	return u
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// bytes reads a length and that many bytes, which it does not copy.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.data)-d.at) {
		d.fail()
		return nil
	}
	from := d.at
	d.at += int(n)
	return d.data[from:d.at:d.at]
}

// owner reads an owner, or nothing for nobody.
func (d *decoder) owner() Owner {
	b := d.bytes()
	if len(b) == 0 {
		return Owner{}
	}
	if len(b) != len(Owner{}) || Owner(b) == (Owner{}) {
		d.fail()
		return Owner{}
	}
	return Owner(b)
}

func (d *decoder) ticket() Ticket { return Ticket{Process: d.uvarint(), Number: d.uvarint()} }

// ttl reads what appendTTL wrote.
func (d *decoder) ttl() TTL {
	switch d.byte() {
	case ttlNone:
		return TTL{}
	case ttlKeep:
		return TTL{Keep: true}
	case ttlMillis:
		if t := (TTL{Millis: d.varint()}); t.Millis != 0 {
			return t
		}
	case ttlAbsolute:
		if t := (TTL{Millis: d.varint(), Absolute: true}); t.Millis != 0 {
			return t
		}
	}
	d.fail()
	return TTL{}
}

// list appends to dst as many byte strings as a count says. It grows with what it finds, not with the count.
func (d *decoder) list(dst [][]byte) [][]byte {
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		dst = append(dst, d.bytes())
	}
	return dst
}

// packed reads a count, a length in four bytes, and that many bytes of operations below limit.
func (d *decoder) packed(limit class) ([]Op, packed) {
	count := d.uvarint()
	if len(d.data)-d.at < 4 {
		d.fail()
		return nil, packed{}
	}
	size := binary.LittleEndian.Uint32(d.data[d.at:])
	d.at += 4
	// No operation is shorter than a byte, so a count above the size is false; and below it safe to allocate by.
	if uint64(size) > uint64(len(d.data)-d.at) || count > uint64(size) {
		d.fail()
		return nil, packed{}
	}
	p := packed{d.data[d.at : d.at+int(size)], int(count)}
	d.at += int(size)
	if d.scratch != nil {
		return nil, p
	}

	var ops []Op
	inner := decoder{data: p.data}
	for range p.count {
		op := inner.op(limit)
		if inner.failed {
			break
		}
		ops = append(ops, op)
	}
	if inner.failed || inner.at != len(p.data) {
		d.fail()
	}
	return ops, packed{}
}

func appendBytes[B []byte | string](dst []byte, b B) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendOwner(dst []byte, o Owner) []byte {
	if o == (Owner{}) {
		return append(dst, 0)
	}
	return append(append(dst, byte(len(o))), o[:]...)
}

func appendTicket(dst []byte, t Ticket) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, t.Process), t.Number)
}

// How a TTL is written.
const (
	ttlNone = iota
	ttlKeep
	ttlMillis // a varint follows, which is not 0
	ttlAbsolute
)

func appendTTL(dst []byte, t TTL) []byte {
	switch {
	case t.Millis != 0 && t.Absolute:
		return binary.AppendVarint(append(dst, ttlAbsolute), t.Millis)
	case t.Millis != 0:
		return binary.AppendVarint(append(dst, ttlMillis), t.Millis)
	case t.Keep:
		return append(dst, ttlKeep)
	}
	return append(dst, ttlNone)
}

func appendList(dst []byte, list [][]byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, b := range list {
		dst = appendBytes(dst, b)
	}
	return dst
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendPacked appends operations behind their count and their length in bytes, which run takes them out by.
func appendPacked(dst []byte, ops []Op) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ops)))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, op := range ops {
		dst = op.AppendTo(dst)
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
