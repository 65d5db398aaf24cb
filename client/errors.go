package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// What an error says of a write. Each error of this package is ErrInDoubt or ErrNotApplied, never both; what is
// ErrNotApplied is also ErrRefused or ErrUnavailable. Test with errors.Is.
var (
	ErrInDoubt     = errors.New("the write may or may not have been applied")
	ErrNotApplied  = errors.New("nothing was changed")
	ErrRefused     = errors.New("refused")
	ErrUnavailable = errors.New("not run")
)

// Reasons of [ErrRefused] that this package itself gives.
var (
	ErrNotFound = errors.New("there is no such key")
	ErrClosed   = errors.New("closed")
	ErrHeld     = errors.New("this lock is held already, and is not re-entrant")
	ErrBusy     = errors.New("another operation of this lock is running")
	ErrLost     = errors.New("the lock is not held, or not any more")
	ErrCanceled = errors.New("ended by Unlock, Resign or Close")
)

// failure is every error that this package returns.
type failure struct {
	op      string // the command and its key, or the method; never a value or an owner
	verdict error  // ErrInDoubt, ErrRefused or ErrUnavailable
	cause   error
}

func (f *failure) Error() string {
	return "dtkv: " + f.op + ": " + f.verdict.Error() + ": " + f.cause.Error()
}

func (f *failure) Unwrap() error { return f.cause }

func (f *failure) Is(target error) bool {
	return target == f.verdict || target == ErrNotApplied && f.verdict != ErrInDoubt
}

func refuse(op, why string) error { return &failure{op, ErrRefused, errors.New(why)} }

// Word is the word with which the server answered, for instance NOPARENT, or empty if it was not the server that
// answered. docs/errors.md lists all of them.
func Word(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	return word
}

var (
	// refusals are the words with which a server refuses a command that it did not run.
	refusals = []string{
		"ERR", "WRONGTYPE", "BADKEY", "NOPARENT", "NOTDIR", "NOTEMPTY", "TEMPNODE", "NOTTEMP", "NOTOWNER", "UNDERTEMP",
		"COMPACTED", "EXECABORT", "NOPROTO", "WRONGPASS", "NOAUTH", "NOPERM", "CROSSSLOT", "NOSCRIPT",
	}
	// postponed are the words for a command that was not run, and may be run later or elsewhere. The last five are not
	// dtkv's, but those of what may stand before it, or of a Redis that was mistaken for it.
	postponed = []string{
		"CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MOVED", "ASK",
	}
)

// verdict says what an error of go-redis means for a write: the table in the package comment. What is not listed is in
// doubt.
func verdict(err error) error {
	var reply redis.Error
	var dial *net.OpError
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &reply):
		word, _, _ := strings.Cut(reply.Error(), " ")
		switch {
		case slices.Contains(postponed, word), strings.HasPrefix(reply.Error(), "ERR max number of clients"):
			return ErrUnavailable
		case slices.Contains(refusals, word):
			return ErrRefused
		}
		return ErrInDoubt
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &name), errors.As(err, &cert),
		errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return ErrUnavailable
	case errors.Is(err, redis.ErrClosed):
		return ErrRefused
	}
	return ErrInDoubt
}

// classify makes a failure of what go-redis returned for a command. A read is never in doubt.
func classify(op string, write bool, err error) error {
	v := verdict(err)
	if v == ErrInDoubt && !write {
		v = ErrUnavailable
	}
	return &failure{op, v, err}
}

// gaveUp is the failure of a caller who stopped waiting. What was not sent has not happened.
func gaveUp(ctx context.Context, op string, sent bool) error {
	cause := context.Cause(ctx)
	var f *failure
	if errors.As(cause, &f) {
		cause = f.cause // Its verdict is of something else.
	}
	if sent {
		return &failure{op, ErrInDoubt, cause}
	}
	return &failure{op, ErrUnavailable, cause}
}

// unexpected is the failure of a reply that is not of the kind that the command has.
func unexpected(op string, reply any) error {
	return &failure{op, ErrInDoubt, fmt.Errorf("unexpected reply of type %T", reply)}
}
