package linear

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// valueOp is a command on one key, as it was sent, with the reply.
type valueOp struct {
	command   []string // its name without the prefix, and its arguments without the key
	owner     string   // OWNER of the command; empty: the connection, which owns nothing
	ttl       int64    // nanoseconds; 0: none
	call, ret int64
	unknown   bool
	reply     string
}

// life is how long a value lives.
type life uint8

const (
	missing life = iota
	permanent
	expiring  // anyone may overwrite it
	temporary // it belongs to its owner
)

// valueState is what a key holds.
type valueState struct {
	now   int64 // the latest log entry is from then or later: reads leave no entry
	life  life
	value string
	owner string
	ends  int64 // it goes, at the earliest
	over  bool  // nobody hears of what happens now
}

// valueModel is a key whose value goes at any time from the first that the clients' clock allows.
func valueModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{valueState{}} },
		Step: func(state, input, _ any) []any {
			var all []any
			op := input.(*valueOp)
			for _, s := range state.(valueState).settled(op.ret) {
				if op.command[0] != "GET" {
					s.now = max(s.now, op.call)
				}
				if s.now > op.ret {
					continue
				}
				reply, next := s.step(op)
				switch {
				case op.ret == never && next == s && !s.over: // as in lockModel
				case op.unknown || reply == op.reply:
					all = append(all, next.forgetful())
				}
				if op.unknown && op.ret != never {
					all = append(all, s.forgetful())
				}
			}
			return all
		},
		DescribeOperation: func(input, _ any) string { return input.(*valueOp).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

// settled returns the states that s may have become by a time, if nobody does anything.
func (s valueState) settled(by int64) []valueState {
	all := []valueState{s}
	if at := max(s.now, s.ends); s.life > permanent && at <= by {
		all = append(all, valueState{now: at})
	}
	return all
}

// forgetful is s without what makes no difference any more.
func (s valueState) forgetful() valueState {
	if s.life > permanent {
		s.ends = max(s.now, s.ends)
	}
	return s
}

// step returns what the command must answer, and what it leaves behind.
func (s valueState) step(op *valueOp) (string, valueState) {
	arg := op.command[1:]
	if s.over {
		return op.reply, s
	}
	switch op.command[0] {
	case "END": // comes after all that was answered
		s.over = true
		return op.reply, s
	case "GET":
		if s.life == missing {
			return "null", s
		}
		return s.value, s
	case "SET":
		if s.life == temporary {
			return "TEMPNODE", s
		}
		return "OK", s.holding(permanent, arg[0], op)
	case "CAS":
		return s.compared(arg[0], arg[1], op)
	case "PUTTEMP":
		switch {
		case s.life == temporary && s.owner != op.owner:
			return "NOTOWNER", s
		case s.life == permanent || s.life == expiring:
			return "NOTTEMP", s
		}
		return "OK", s.holding(temporary, arg[0], op)
	case "UPDATETTL":
		switch {
		case s.life == missing:
			return "0", s
		case s.life != temporary:
			return "NOTTEMP", s
		case s.owner != op.owner:
			return "NOTOWNER", s
		}
		return "1", s.holding(temporary, s.value, op)
	case "DEL", "REMOVE":
		switch {
		case s.life == missing:
			return "0", s
		case s.life == temporary && s.owner != op.owner:
			return "NOTOWNER", s
		}
		return "1", valueState{now: s.now}
	}
	return "a command that the model does not know", s
}

func (s valueState) compared(expected, value string, op *valueOp) (string, valueState) {
	switch {
	case s.life > permanent:
		return "TEMPNODE", s
	case s.value != expected: // both are empty when it is missing
		return "0", s
	case value == "":
		return "1", valueState{now: s.now}
	}
	return "1", s.holding(permanent, value, op)
}

func (s valueState) holding(l life, value string, op *valueOp) valueState {
	next := valueState{now: s.now, life: l, value: value}
	if op.ttl != 0 {
		next.life, next.ends = max(l, expiring), s.now+op.ttl
	}
	if l == temporary {
		next.owner = op.owner
	}
	return next
}

func (o *valueOp) String() string {
	text := strings.Join(o.command, " ")
	if o.owner != "" {
		text += " owner " + o.owner
	}
	if o.ttl != 0 {
		text += fmt.Sprintf(" ttl %d ms", o.ttl/1e6)
	}
	if o.unknown {
		return text + " -> ?"
	}
	return text + " -> " + o.reply
}
