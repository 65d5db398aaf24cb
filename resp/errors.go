package resp

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a refusal as a client sees it: "-PREFIX text". Prefix is one upper-case word without spaces; clients decide by
// it whether to retry. Text may hold anything, a [Writer] makes it fit for one line.
type Error struct{ Prefix, Text string }

func (e *Error) Error() string { return e.Prefix + " " + e.Text }

// Errorf makes an [Error] whose text is formatted as by [fmt.Sprintf].
func Errorf(prefix, format string, args ...any) *Error {
	return &Error{Prefix: prefix, Text: fmt.Sprintf(format, args...)}
}

// ProtocolError says that a client broke the protocol. Nothing more can be read from it: the connection is to be closed
// once the error was sent. Text is what Redis prints after "-ERR Protocol error: ".
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return "Protocol error: " + e.Text }

// Errors of a client that does not speak Redis at all. No reply of ours would mean anything to it: close the connection
// without one.
var (
	ErrHTTP = errors.New("resp: the client speaks HTTP")
	ErrTLS  = errors.New("resp: the client speaks TLS on a port without it")
)

// Refusals that many commands share, with the texts of Redis to the byte.
var (
	ErrSyntax          = &Error{"ERR", "syntax error"}
	ErrNotInteger      = &Error{"ERR", "value is not an integer or out of range"}
	ErrNotFloat        = &Error{"ERR", "value is not a valid float"}
	ErrNotPositive     = &Error{"ERR", "value is out of range, must be positive"}
	ErrOffset          = &Error{"ERR", "offset is out of range"}
	ErrOverflow        = &Error{"ERR", "increment or decrement would overflow"}
	ErrNaNOrInfinity   = &Error{"ERR", "increment would produce NaN or Infinity"}
	ErrNoSuchKey       = &Error{"ERR", "no such key"}
	ErrSameObject      = &Error{"ERR", "source and destination objects are the same"}
	ErrInvalidCursor   = &Error{"ERR", "invalid cursor"}
	ErrDBIndex         = &Error{"ERR", "DB index is out of range"}
	ErrNestedMulti     = &Error{"ERR", "MULTI calls can not be nested"}
	ErrExecNoMulti     = &Error{"ERR", "EXEC without MULTI"}
	ErrDiscardNoMulti  = &Error{"ERR", "DISCARD without MULTI"}
	ErrWatchInMulti    = &Error{"ERR", "WATCH inside MULTI is not allowed"}
	ErrMaxClients      = &Error{"ERR", "max number of clients reached"}
	ErrExecAbort       = &Error{"EXECABORT", "Transaction discarded because of previous errors."}
	ErrWrongType       = &Error{"WRONGTYPE", "Operation against a key holding the wrong kind of value"}
	ErrNoAuth          = &Error{"NOAUTH", "Authentication required."}
	ErrWrongPass       = &Error{"WRONGPASS", "invalid username-password pair or user is disabled."}
	ErrProtocolVersion = &Error{"NOPROTO", "unsupported protocol version"}
)

// WrongArity refuses a command for the number of its arguments. A subcommand is named "client|setname".
func WrongArity(name string) *Error {
	return Errorf("ERR", "wrong number of arguments for '%s' command", strings.ToLower(name))
}

// InvalidExpire refuses a time to live that is not positive or too far away.
func InvalidExpire(name string) *Error {
	return Errorf("ERR", "invalid expire time in '%s' command", strings.ToLower(name))
}

// quoted is how much of what a client typed an error repeats, in bytes.
const quoted = 128

// UnknownCommand refuses a command that is not there, and repeats at most 128 bytes of the name and of the arguments.
// Clients match the text: it is how they learn that a server is older than they are.
func UnknownCommand(argv [][]byte) *Error {
	var b strings.Builder
	b.WriteString("unknown command '")
	if len(argv) > 0 {
		b.Write(head(argv[0], quoted))
		argv = argv[1:]
	}
	b.WriteString("', with args beginning with: ")
	for start := b.Len(); len(argv) > 0 && b.Len()-start < quoted; argv = argv[1:] {
		b.WriteByte('\'')
		b.Write(head(argv[0], quoted-(b.Len()-1-start)))
		b.WriteString("' ")
	}
	return &Error{"ERR", b.String()}
}

// UnknownSubcommand refuses the subcommand of a command that has others, such as CLIENT.
func UnknownSubcommand(command string, sub []byte) *Error {
	return Errorf("ERR", "unknown subcommand '%s'. Try %s HELP.", head(sub, quoted), strings.ToUpper(command))
}

func head(b []byte, n int) []byte { return b[:min(len(b), n)] }
