package fsm

// Code says why an operation was refused.
type Code uint8

// The reasons for a refusal. A refused operation changes nothing.
const (
	WrongType  Code = iota + 1 // the key holds another kind of node than the operation works on
	NoParent                   // a directory on the way to the key is missing; Path names the first one missing
	NotDir                     // a node on the way to the key is not a directory; Path names it
	NotEmpty                   // a directory to be removed has children; Path names it
	BadKey                     // the key breaks the rules of CheckKey on bytes and dots
	NotInteger                 // the value or argument is not a 64-bit signed integer in decimal
	NotFloat                   // the value or argument is not a decimal number
	Overflow                   // the sum does not fit in 64 bits
	NaNOrInf                   // the sum is not a finite number
	TooLong                    // the value would be longer than Header.MaxValue
	NoSuchKey                  // the key to rename does not exist
	Exists                     // the target of a directory's rename exists; Path names it
	IntoItself                 // a directory cannot move below itself; Path names it
	BadDigest                  // a digest to compare with is not 16 hexadecimal characters
	BadOffset                  // an offset is negative
	Invalid                    // the arguments make no sense together
	TooDeep                    // the key has more than MaxDepth segments
	TempNode                   // a plain write or a comparison meets a temporary node, or one with a deadline; Path names it
	NotOwner                   // a temporary node or a lock belongs to somebody else; Path names it
	NotTemp                    // the node is not temporary; Path names it
	UnderTemp                  // a temporary node or a lock below a temporary directory; Path names the directory
)

// Sentinels for errors.Is, which compares codes only and ignores paths.
var (
	ErrWrongType  = &Refusal{Code: WrongType}
	ErrNoParent   = &Refusal{Code: NoParent}
	ErrNotDir     = &Refusal{Code: NotDir}
	ErrNotEmpty   = &Refusal{Code: NotEmpty}
	ErrBadKey     = &Refusal{Code: BadKey}
	ErrNotInteger = &Refusal{Code: NotInteger}
	ErrNotFloat   = &Refusal{Code: NotFloat}
	ErrOverflow   = &Refusal{Code: Overflow}
	ErrNaNOrInf   = &Refusal{Code: NaNOrInf}
	ErrTooLong    = &Refusal{Code: TooLong}
	ErrNoSuchKey  = &Refusal{Code: NoSuchKey}
	ErrExists     = &Refusal{Code: Exists}
	ErrIntoItself = &Refusal{Code: IntoItself}
	ErrBadDigest  = &Refusal{Code: BadDigest}
	ErrBadOffset  = &Refusal{Code: BadOffset}
	ErrInvalid    = &Refusal{Code: Invalid}
	ErrTooDeep    = &Refusal{Code: TooDeep}
	ErrTempNode   = &Refusal{Code: TempNode}
	ErrNotOwner   = &Refusal{Code: NotOwner}
	ErrNotTemp    = &Refusal{Code: NotTemp}
	ErrUnderTemp  = &Refusal{Code: UnderTemp}
)

// Refusal is an operation's answer that it did nothing, and why. It is a promise: the state is as it was before
// the operation.
type Refusal struct {
	Code Code
	Path string // the node in the way, where Code names one; any bytes a key may hold, line ends among them
}

// Error returns the reason in words, where Redis has them in Redis's words, without an error prefix.
func (r *Refusal) Error() string {
	switch r.Code {
	case WrongType:
		return "Operation against a key holding the wrong kind of value"
	case NoParent:
		return "parent directory '" + r.Path + "' does not exist"
	case NotDir:
		return "'" + r.Path + "' is not a directory"
	case NotEmpty:
		return "directory '" + r.Path + "' has children"
	case BadKey:
		return "a key is 1 to 8192 bytes without leading, trailing or doubled '.'"
	case NotInteger:
		return "value is not an integer or out of range"
	case NotFloat:
		return "value is not a valid float"
	case Overflow:
		return "increment or decrement would overflow"
	case NaNOrInf:
		return "increment would produce NaN or Infinity"
	case TooLong:
		return "string exceeds maximum allowed size"
	case NoSuchKey:
		return "no such key"
	case Exists:
		return "target key '" + r.Path + "' exists"
	case IntoItself:
		return "directory '" + r.Path + "' cannot move into itself"
	case BadDigest:
		return "digest must be exactly 16 hexadecimal characters"
	case BadOffset:
		return "offset is out of range"
	case Invalid:
		return "expected and new value cannot both be empty"
	case TooDeep:
		return "a key has at most 128 segments, parted by '.'"
	case TempNode:
		return "'" + r.Path + "' has a limited lifetime"
	case NotOwner:
		return "'" + r.Path + "' belongs to another owner"
	case NotTemp:
		return "'" + r.Path + "' is not temporary"
	case UnderTemp:
		return "directory '" + r.Path + "' is temporary and holds neither temporary nodes nor locks"
	}
	return "refused"
}

// Is makes errors.Is compare refusals by Code.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code
}
