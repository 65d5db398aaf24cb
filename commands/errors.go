package commands

import (
	"errors"
	"strings"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// Refusals of the server's transaction steps (see [TxnAction]) and gates, with Redis's texts.
var (
	ErrNestedMulti         = resp.Errorf("ERR", "MULTI calls can not be nested")
	ErrExecWithoutMulti    = resp.Errorf("ERR", "EXEC without MULTI")
	ErrDiscardWithoutMulti = resp.Errorf("ERR", "DISCARD without MULTI")
	ErrWatchInMulti        = resp.Errorf("ERR", "WATCH inside MULTI is not allowed")
	ErrNotInMulti          = resp.Errorf("ERR", "Command not allowed inside a transaction")
	ErrExecAbort           = resp.Errorf("EXECABORT", "Transaction discarded because of previous errors.")
	ErrNoAuth              = resp.Errorf("NOAUTH", "Authentication required.")
)

var (
	errWrongPass     = resp.Errorf("WRONGPASS", "invalid username-password pair or user is disabled.")
	errBadDatabase   = resp.Errorf("ERR", "DB index is out of range")
	errNotFloat      = resp.Errorf("ERR", "value is not a valid float")
	errBadKey        = resp.Errorf("BADKEY", "a key is 1 to 8192 bytes, without leading, trailing or doubled dots")
	errBadDigest     = resp.Errorf("ERR", "Digest must be exactly 16 hexadecimal characters")
	errTooLong       = resp.Errorf("ERR", "string exceeds maximum allowed size (max-value-size)")
	errWrongType     = resp.Errorf("WRONGTYPE", "Operation against a key holding the wrong kind of value")
	errNoSuchKey     = resp.Errorf("ERR", "no such key")
	errOverflow      = resp.Errorf("ERR", "increment or decrement would overflow")
	errNaN           = resp.Errorf("ERR", "increment would produce NaN or Infinity")
	errPatternLength = resp.Errorf("ERR", "pattern is longer than %d bytes", maxPattern)
)

// RefusalError turns an operation's error into the reply that tells the client.
func RefusalError(err error) *resp.Error {
	var r *fsm.Refusal
	if !errors.As(err, &r) {
		return resp.Errorf("ERR", "%s", err)
	}
	switch r.Code {
	case fsm.WrongType:
		return errWrongType
	case fsm.NoParent:
		return resp.Errorf("NOPARENT", "parent directory '%s' does not exist", r.Path)
	case fsm.NotDir:
		return resp.Errorf("NOTDIR", "'%s' holds a value", r.Path)
	case fsm.NotEmpty:
		return resp.Errorf("NOTEMPTY", "'%s' has children", r.Path)
	case fsm.BadKey:
		return errBadKey
	case fsm.NotInteger:
		return resp.ErrNotInteger
	case fsm.NotFloat:
		return errNotFloat
	case fsm.Overflow:
		return errOverflow
	case fsm.NaNOrInf:
		return errNaN
	case fsm.TooLong:
		return errTooLong
	case fsm.NoSuchKey:
		return errNoSuchKey
	case fsm.BadDigest:
		return errBadDigest
	}
	return resp.Errorf("ERR", "%s", err)
}

// unknownCommand quotes what was sent as Redis does: the name up to 128 bytes, then arguments while they fit in 128 more.
func unknownCommand(argv [][]byte) *resp.Error {
	var args strings.Builder
	for _, a := range argv[1:] {
		if args.Len() >= 128 {
			break
		}
		args.WriteByte('\'')
		args.WriteString(quoted(a, 128-args.Len()+1))
		args.WriteString("' ")
	}
	return resp.Errorf("ERR", "unknown command '%s', with args beginning with: %s", quoted(argv[0], 128), args.String())
}

func unknownSubcommand(container *Command, sent []byte) *resp.Error {
	return resp.Errorf("ERR", "unknown subcommand '%s'. Try %s HELP.", quoted(sent, 128), strings.ToUpper(container.Name))
}

// quoted cuts what a client sent for use in an error text: at most limit bytes, and, as in C, nothing after a zero byte.
func quoted(sent []byte, limit int) string {
	sent = sent[:min(len(sent), limit)]
	for i, b := range sent {
		if b == 0 {
			return string(sent[:i])
		}
	}
	return string(sent)
}

// notYet refuses what Redis has and we shall have.
func notYet(what, because string) *resp.Error {
	return resp.Errorf("ERR", "%s is not supported yet: %s", what, because)
}
