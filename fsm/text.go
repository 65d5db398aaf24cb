package fsm

import (
	"fmt"
	"strconv"
	"strings"
)

// This file prints operations for people: one line each, whatever bytes they hold.

// maxText is how many bytes of a value are printed before the rest is only counted.
const maxText = 64

// quote prints bytes as a Go string, long ones cut.
func quote[B []byte | string](b B) string {
	if len(b) <= maxText {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%s...(%d bytes)", strconv.Quote(string(b[:maxText])), len(b))
}

// option returns word when it holds, with a space in front.
func option(holds bool, word string) string {
	if holds {
		return " " + word
	}
	return ""
}

// String returns the condition as the SET option it came from, empty for Always.
func (c Condition) String() string {
	switch c {
	case Always:
		return ""
	case IfAbsent:
		return "NX"
	case IfPresent:
		return "XX"
	case IfEqual:
		return "IFEQ"
	case IfNotEqual:
		return "IFNE"
	case IfDigestEqual:
		return "IFDEQ"
	case IfDigestNotEqual:
		return "IFDNE"
	}
	return "condition?"
}

// with prints a condition with what it compares, and a space in front.
func (c Condition) with(match []byte) string {
	if c >= IfEqual {
		return " " + c.String() + " " + quote(match)
	}
	return option(c != Always, c.String())
}

// text prints a TTL as the SET option it came from, with a space in front.
func (t TTL) text() string {
	if t.Millis != 0 && t.Absolute {
		return fmt.Sprintf(" PXAT %d", t.Millis)
	}
	if t.Millis != 0 {
		return fmt.Sprintf(" PX %d", t.Millis)
	}
	return option(t.Keep, "KEEPTTL")
}

// by prints who did it, with a space in front. What tells owners apart is a secret and does not show.
func by(o Owner) string { return option(o != Owner{}, "OWNER "+o.Digest()) }

func (o *LeaderStart) String() string {
	return fmt.Sprintf("leader-start term %d node %s", o.Term, quote(o.Node))
}

func (o *Set) String() string {
	return "set " + quote(o.Key) + " " + quote(o.Value) + o.If.with(o.Match) + o.TTL.text() + option(o.Get, "GET")
}

func (o *SetMany) String() string {
	return "set-many" + o.If.with(nil) + o.TTL.text() + quoteAll(o.Pairs)
}

func (o *Append) String() string { return "append " + quote(o.Key) + " " + quote(o.Value) }

func (o *SetRange) String() string {
	return fmt.Sprintf("set-range %s %d %s", quote(o.Key), o.Offset, quote(o.Value))
}

func (o *GetDel) String() string { return "get-del " + quote(o.Key) + by(o.Owner) }

func (o *Increment) String() string { return fmt.Sprintf("increment %s %d", quote(o.Key), o.By) }

func (o *IncrementFloat) String() string {
	return "increment-float " + quote(o.Key) + " " + quote(o.By)
}

func (o *Remove) String() string { return "remove" + quoteAll(o.Keys) + by(o.Owner) }

func (o *RemoveIf) String() string {
	return "remove-if " + quote(o.Key) + o.If.with(o.Match) + by(o.Owner)
}

func (o *Rename) String() string {
	return "rename " + quote(o.From) + " " + quote(o.To) + option(o.NX, "NX")
}

func (o *Copy) String() string {
	return "copy " + quote(o.From) + " " + quote(o.To) + option(o.Replace, "REPLACE")
}

func (o *Flush) String() string { return "flush" }

func (o *MakeDir) String() string {
	return "make-dir " + quote(o.Key) + option(o.Millis != 0, fmt.Sprintf("PX %d", o.Millis)) + by(o.Owner) + option(o.Parents, "PARENTS")
}

func (o *RemoveDir) String() string {
	return "remove-dir " + quote(o.Key) + option(o.Recursive, "RECURSIVE") + by(o.Owner)
}

func (o *CompareAndSet) String() string {
	return "compare-and-set " + quote(o.Key) + " " + quote(o.Expected) + " " + quote(o.New)
}

func (o *Batch) String() string { return "batch" + lines(o.Ops) }

func (o *Txn) String() string {
	var b strings.Builder
	b.WriteString("txn")
	for _, w := range o.Watches {
		fmt.Fprintf(&b, " if %s is at %d", quote(w.Key), w.Version)
	}
	return b.String() + lines(o.Ops)
}

func quoteAll(list [][]byte) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteByte(' ')
		b.WriteString(quote(e))
	}
	return b.String()
}

func lines(ops []Op) string {
	texts := make([]string, len(ops))
	for i, op := range ops {
		texts[i] = op.String()
	}
	return " { " + strings.Join(texts, "; ") + " }"
}
