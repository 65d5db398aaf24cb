package fsm

import (
	"encoding/binary"
	"fmt"
)

// This file has the encodings and texts of the operations on deadlines, owners and locks.

// AppendTo appends the encoding.
func (o *Expire) AppendTo(dst []byte) []byte {
	how := byte(o.If)
	if o.Absolute {
		how |= expireAbsolute
	}
	return append(binary.AppendVarint(appendBytes(append(dst, codeExpire), o.Key), o.Millis), how)
}

func (o *Expire) decode(d *decoder) {
	o.Key, o.Millis = d.bytes(), d.varint()
	how := d.byte()
	o.If, o.Absolute = TTLCondition(how&^expireAbsolute), how&expireAbsolute != 0
	if o.If > maxTTLCondition {
		d.fail()
	}
}

// expireAbsolute is added to the condition of an Expire whose time is absolute.
const expireAbsolute = 16

func (o *Expire) String() string {
	name := "expire"
	if o.Absolute {
		name = "expire-at"
	}
	return fmt.Sprintf("%s %s %d", name, quote(o.Key), o.Millis) + option(o.If != IfAny, o.If.String())
}

// String returns the condition as the EXPIRE option it came from, empty for IfAny.
func (c TTLCondition) String() string {
	switch c {
	case IfAny:
		return ""
	case IfNoTTL:
		return "NX"
	case IfTTL:
		return "XX"
	case IfLonger:
		return "GT"
	case IfShorter:
		return "LT"
	case IfTTLAndShorter:
		return "XX LT"
	}
	return "condition?"
}

// AppendTo appends the encoding.
func (o *Persist) AppendTo(dst []byte) []byte { return appendBytes(append(dst, codePersist), o.Key) }

func (o *Persist) decode(d *decoder) { o.Key = d.bytes() }

func (o *Persist) String() string { return "persist " + quote(o.Key) }

// AppendTo appends the encoding.
func (o *GetExpire) AppendTo(dst []byte) []byte {
	return appendBool(appendTTL(appendBytes(append(dst, codeGetExpire), o.Key), o.TTL), o.Persist)
}

func (o *GetExpire) decode(d *decoder) { o.Key, o.TTL, o.Persist = d.bytes(), d.ttl(), d.bool() }

func (o *GetExpire) String() string {
	return "get-expire " + quote(o.Key) + o.TTL.text() + option(o.Persist, "PERSIST")
}

// AppendTo appends the encoding.
func (o *PutTemp) AppendTo(dst []byte) []byte {
	dst = appendBytes(appendBytes(append(dst, codePutTemp), o.Key), o.Value)
	return appendOwner(binary.AppendVarint(dst, o.Millis), o.Owner)
}

func (o *PutTemp) decode(d *decoder) {
	o.Key, o.Value, o.Millis, o.Owner = d.bytes(), d.bytes(), d.varint(), d.owner()
}

func (o *PutTemp) String() string {
	return fmt.Sprintf("put-temp %s %d %s", quote(o.Key), o.Millis, quote(o.Value)) + by(o.Owner)
}

// AppendTo appends the encoding.
func (o *UpdateTTL) AppendTo(dst []byte) []byte {
	return appendOwner(binary.AppendVarint(appendBytes(append(dst, codeUpdateTTL), o.Key), o.Millis), o.Owner)
}

func (o *UpdateTTL) decode(d *decoder) { o.Key, o.Millis, o.Owner = d.bytes(), d.varint(), d.owner() }

func (o *UpdateTTL) String() string {
	return fmt.Sprintf("update-ttl %s %d", quote(o.Key), o.Millis) + by(o.Owner)
}

// AppendTo appends the encoding.
func (o *RemoveOwned) AppendTo(dst []byte) []byte {
	return appendOwner(appendBytes(append(dst, codeRemoveOwned), o.Key), o.Owner)
}

func (o *RemoveOwned) decode(d *decoder) { o.Key, o.Owner = d.bytes(), d.owner() }

func (o *RemoveOwned) String() string { return "remove-owned " + quote(o.Key) + by(o.Owner) }

// AppendTo appends the encoding.
func (o *AcquireLock) AppendTo(dst []byte) []byte {
	dst = appendOwner(appendBytes(append(dst, codeAcquireLock), o.Key), o.Owner)
	return appendTicket(binary.AppendVarint(binary.AppendVarint(dst, o.Lease), o.Wait), o.Ticket)
}

func (o *AcquireLock) decode(d *decoder) {
	o.Key, o.Owner, o.Lease, o.Wait, o.Ticket = d.bytes(), d.owner(), d.varint(), d.varint(), d.ticket()
}

func (o *AcquireLock) String() string {
	return fmt.Sprintf("acquire-lock %s %d", quote(o.Key), o.Lease) + option(o.Wait > 0, fmt.Sprintf("WAIT %d", o.Wait)) +
		by(o.Owner) + fmt.Sprintf(" ticket %d-%d", o.Ticket.Process, o.Ticket.Number)
}

// AppendTo appends the encoding.
func (o *ReleaseLock) AppendTo(dst []byte) []byte {
	return appendOwner(appendBytes(append(dst, codeReleaseLock), o.Key), o.Owner)
}

func (o *ReleaseLock) decode(d *decoder) { o.Key, o.Owner = d.bytes(), d.owner() }

func (o *ReleaseLock) String() string { return "release-lock " + quote(o.Key) + by(o.Owner) }

// AppendTo appends the encoding.
func (o *RenewLock) AppendTo(dst []byte) []byte {
	return binary.AppendVarint(appendOwner(appendBytes(append(dst, codeRenewLock), o.Key), o.Owner), o.Lease)
}

func (o *RenewLock) decode(d *decoder) { o.Key, o.Owner, o.Lease = d.bytes(), d.owner(), d.varint() }

func (o *RenewLock) String() string {
	return fmt.Sprintf("renew-lock %s %d", quote(o.Key), o.Lease) + by(o.Owner)
}

// AppendTo appends the encoding.
func (o *LeaveLock) AppendTo(dst []byte) []byte {
	return appendTicket(appendOwner(appendBytes(append(dst, codeLeaveLock), o.Key), o.Owner), o.Ticket)
}

func (o *LeaveLock) decode(d *decoder) { o.Key, o.Owner, o.Ticket = d.bytes(), d.owner(), d.ticket() }

func (o *LeaveLock) String() string {
	return "leave-lock " + quote(o.Key) + by(o.Owner) + fmt.Sprintf(" ticket %d-%d", o.Ticket.Process, o.Ticket.Number)
}

// AppendTo appends the encoding.
func (o *RetainProcesses) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, codeRetain), uint64(len(o.Processes)))
	for _, id := range o.Processes {
		dst = binary.AppendUvarint(dst, id)
	}
	return dst
}

func (o *RetainProcesses) decode(d *decoder) {
	o.Processes = o.Processes[:0]
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		o.Processes = append(o.Processes, d.uvarint())
	}
}

func (o *RetainProcesses) String() string { return fmt.Sprintf("retain-processes %d", o.Processes) }

// AppendTo appends the encoding.
func (o *ExpireDue) AppendTo(dst []byte) []byte {
	return binary.AppendVarint(append(dst, codeExpireDue), o.Limit)
}

func (o *ExpireDue) decode(d *decoder) { o.Limit = d.varint() }

func (o *ExpireDue) String() string { return fmt.Sprintf("expire-due %d", o.Limit) }
