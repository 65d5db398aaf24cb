package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// Replies that several commands share. They are functions, not closures, so that a plan of the hot path costs no
// allocation for its reply.

func replyOK(w *resp.Writer, _ fsm.Result) { w.OK() }

func replyInt(w *resp.Writer, r fsm.Result) { w.Int(r.Int) }

// replyDone prints OK for what was done and null for what a condition forbade.
func replyDone(w *resp.Writer, r fsm.Result) {
	if r.Int == 0 {
		w.Null()
		return
	}
	w.OK()
}

// replyValue prints the value that was there before, or null.
func replyValue(w *resp.Writer, r fsm.Result) {
	if !r.Found {
		w.Null()
		return
	}
	w.BulkString(r.Value)
}

// write plans an operation for the log.
func write(op fsm.Op, reply func(*resp.Writer, fsm.Result)) (Plan, error) {
	return Plan{Kind: Write, Op: op, Reply: reply}, nil
}

// read plans a short look at the state.
func read(print func(*resp.Writer, fsm.View)) (Plan, error) {
	return Plan{Kind: Read, Read: print}, nil
}

// local plans what needs neither.
func local(print func(*resp.Writer, Session)) (Plan, error) {
	return Plan{Kind: Local, Local: print}, nil
}

// localOK plans the answer OK, whatever was asked.
func localOK(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, _ Session) { w.OK() })
}
