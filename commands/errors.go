package commands

import (
	"errors"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// ErrNotInMulti refuses a command with the NoMulti flag inside MULTI. The other refusals of a transaction's steps are
// package resp's.
var ErrNotInMulti = resp.Errorf("ERR", "Command not allowed inside a transaction")

var (
	errBadKey      = resp.Errorf("BADKEY", "a key is 1 to 8192 bytes, without leading, trailing or doubled dots")
	errTooDeep     = resp.Errorf("BADKEY", "a key has at most %d segments, parted by dots", fsm.MaxDepth)
	errBadDigest   = resp.Errorf("ERR", "Digest must be exactly 16 hexadecimal characters")
	errTooLong     = resp.Errorf("ERR", "string exceeds maximum allowed size (max-value-size)")
	errLongPattern = resp.Errorf("ERR", "pattern is longer than %d bytes", maxPattern)
)

// RefusalError turns the error of an operation's result into the reply that tells the client.
func RefusalError(err error) *resp.Error {
	var r *fsm.Refusal
	if !errors.As(err, &r) {
		return resp.Errorf("ERR", "%s", err)
	}
	switch r.Code {
	case fsm.WrongType:
		return resp.ErrWrongType
	case fsm.NoParent:
		return resp.Errorf("NOPARENT", "parent directory '%s' does not exist", r.Path)
	case fsm.NotDir:
		return resp.Errorf("NOTDIR", "'%s' is not a directory", r.Path)
	case fsm.NotEmpty:
		return resp.Errorf("NOTEMPTY", "'%s' has children", r.Path)
	case fsm.BadKey:
		return errBadKey
	case fsm.TooDeep:
		return errTooDeep
	case fsm.NotInteger:
		return resp.ErrNotInteger
	case fsm.NotFloat:
		return resp.ErrNotFloat
	case fsm.Overflow:
		return resp.ErrOverflow
	case fsm.NaNOrInf:
		return resp.ErrNaNOrInfinity
	case fsm.TooLong:
		return errTooLong
	case fsm.NoSuchKey:
		return resp.ErrNoSuchKey
	case fsm.BadDigest:
		return errBadDigest
	case fsm.BadOffset:
		return resp.ErrOffset
	case fsm.TempNode:
		return onNode("TEMPNODE", r.Path, "is temporary: this command is not for it")
	case fsm.NotOwner:
		return onNode("NOTOWNER", r.Path, "does not belong to this owner")
	case fsm.NotTemp:
		return onNode("NOTTEMP", r.Path, "is not temporary")
	case fsm.UnderTemp:
		return onNode("UNDERTEMP", r.Path, "is temporary: it can hold neither temporary nodes nor locks")
	}
	return resp.Errorf("ERR", "%s", err)
}

// notYet refuses what Redis has and this server is going to have.
func notYet(what, because string) *resp.Error {
	return resp.Errorf("ERR", "%s is not supported yet: %s", what, because)
}

// onNode is a refusal that names the node in the way.
func onNode(prefix, path, text string) *resp.Error {
	return resp.Errorf(prefix, "'%s' %s", path, text)
}
