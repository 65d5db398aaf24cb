package fsm

import (
	"strconv"

	"github.com/zeebo/xxh3"
)

// Condition says when a write is to happen.
type Condition uint8

// The conditions, as in Redis 8.4. On a missing key IfNotEqual and IfDigestNotEqual hold for a Set, which then
// creates it, and there is nothing for a RemoveIf to do.
const (
	Always           Condition = iota
	IfAbsent                   // NX
	IfPresent                  // XX
	IfEqual                    // IFEQ: the value is Match
	IfNotEqual                 // IFNE
	IfDigestEqual              // IFDEQ: the value's ValueDigest is Match, in either case
	IfDigestNotEqual           // IFDNE
)

// holds reports whether a write that depends on c may happen where old is, which is nil or a value.
func (c Condition) holds(old *Node, match []byte) bool {
	switch c {
	case IfAbsent:
		return old == nil
	case IfPresent:
		return old != nil
	case IfEqual:
		return old != nil && old.Value == alias(match)
	case IfNotEqual:
		return old == nil || old.Value != alias(match)
	case IfDigestEqual:
		return old != nil && sameDigest(old.Value, match)
	case IfDigestNotEqual:
		return old == nil || !sameDigest(old.Value, match)
	}
	return true
}

// check refuses a Match that the condition cannot compare with.
func (c Condition) check(match []byte) *Refusal {
	if c == IfDigestEqual || c == IfDigestNotEqual {
		return checkDigest(match)
	}
	return nil
}

// ValueDigest returns the XXH3-64 of a value as 16 hexadecimal characters in lower case, as DIGEST prints it.
func ValueDigest(value string) string {
	text := strconv.FormatUint(xxh3.HashString(value), 16)
	return "0000000000000000"[len(text):] + text
}

// CheckDigest reports whether text may be compared with a ValueDigest: 16 hexadecimal characters in either case. The
// error is a *Refusal that is ErrBadDigest.
func CheckDigest(text []byte) error {
	if no := checkDigest(text); no != nil {
		return no
	}
	return nil
}

func checkDigest(text []byte) *Refusal {
	if _, ok := parseDigest(text); !ok {
		return ErrBadDigest
	}
	return nil
}

func parseDigest(text []byte) (digest uint64, ok bool) {
	if len(text) != 16 {
		return 0, false
	}
	digest, err := strconv.ParseUint(alias(text), 16, 64)
	return digest, err == nil
}

func sameDigest(value string, match []byte) bool {
	digest, ok := parseDigest(match)
	return ok && digest == xxh3.HashString(value)
}
