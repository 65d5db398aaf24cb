package resp

import (
	"errors"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/redcon"
)

// Writer appends replies to a buffer in the connection's version of the protocol. It does no I/O: who owns the
// connection sends Buf and calls [Writer.Reset]. The zero Writer speaks version 2.
type Writer struct {
	Buf   []byte // replies not yet sent
	Proto int    // 3 for RESP3; anything else is RESP2
}

// OK appends +OK.
func (w *Writer) OK() { w.Buf = append(w.Buf, "+OK\r\n"...) }

// Simple appends a status of one line. It is for texts of our own, but keeps to one line whatever s holds.
func (w *Writer) Simple(s string) {
	w.Buf = append(w.Buf, '+')
	w.line(s)
}

// Error appends err as a refusal. An [*Error], even a wrapped one, prints its own prefix and text; any other error
// prints as "ERR" and its message. Line ends become spaces, as in Redis, and other unprintable bytes become \xHH.
func (w *Writer) Error(err error) {
	e, ok := err.(*Error) // the usual case; errors.As would allocate
	if !ok {
		e = asError(err)
	}
	w.Buf = append(w.Buf, '-')
	w.Buf = appendPrintable(w.Buf, e.Prefix)
	w.Buf = append(w.Buf, ' ')
	w.line(e.Text)
}

// Int appends an integer.
func (w *Writer) Int(n int64) { w.Buf = redcon.AppendInt(w.Buf, n) }

// Bulk appends a string of any bytes.
func (w *Writer) Bulk(b []byte) { w.Buf = redcon.AppendBulk(w.Buf, b) }

// BulkString appends a string of any bytes.
func (w *Writer) BulkString(s string) { w.Buf = redcon.AppendBulkString(w.Buf, s) }

// Null appends the absence of a value; in RESP2, of a string.
func (w *Writer) Null() {
	if w.Proto == 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "$-1\r\n"...)
}

// NullArray appends the absence of a value; in RESP2, of an array.
func (w *Writer) NullArray() {
	if w.Proto == 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "*-1\r\n"...)
}

// Array announces n elements, which the caller appends next.
func (w *Writer) Array(n int) { w.Buf = redcon.AppendArray(w.Buf, n) }

// Map announces n pairs, which the caller appends next, key before value. In RESP2 it is an array of 2n elements.
func (w *Writer) Map(n int) {
	if w.Proto == 3 {
		w.header('%', n)
		return
	}
	w.Array(2 * n)
}

// Set announces n elements without order. In RESP2 it is an array.
func (w *Writer) Set(n int) {
	if w.Proto == 3 {
		w.header('~', n)
		return
	}
	w.Array(n)
}

// Push announces a message of n elements that answers no command. In RESP2 it is an array.
func (w *Writer) Push(n int) {
	if w.Proto == 3 {
		w.header('>', n)
		return
	}
	w.Array(n)
}

// Double appends a floating-point number with as few digits as give it back exactly. In RESP2 it is a string.
func (w *Writer) Double(f float64) {
	var space [32]byte
	text := appendFloat(space[:0], f)
	if w.Proto == 3 {
		w.Buf = append(w.Buf, ',')
		w.Buf = append(w.Buf, text...)
		w.Buf = append(w.Buf, "\r\n"...)
		return
	}
	w.Bulk(text)
}

// Bool appends a truth value. In RESP2 it is 1 or 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.Proto == 3 && b:
		w.Buf = append(w.Buf, "#t\r\n"...)
	case w.Proto == 3:
		w.Buf = append(w.Buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Verbatim appends a text for people, with a type of three letters such as "txt". In RESP2 it is a string without type.
func (w *Writer) Verbatim(ext, text string) {
	if w.Proto != 3 {
		w.BulkString(text)
		return
	}
	if len(ext) != 3 {
		ext = "txt"
	}
	w.header('=', len(text)+4)
	w.Buf = append(w.Buf, ext...)
	w.Buf = append(w.Buf, ':')
	w.Buf = append(w.Buf, text...)
	w.Buf = append(w.Buf, "\r\n"...)
}

// Raw appends replies that are encoded already.
func (w *Writer) Raw(b []byte) { w.Buf = append(w.Buf, b...) }

// Len returns how many bytes wait to be sent.
func (w *Writer) Len() int { return len(w.Buf) }

// Sizes up to which a buffer outlives the replies it held, in bytes: always, and while replies fill a quarter of it.
const (
	writerKeep    = 64 << 10
	writerKeepHot = 1 << 20
)

// Reset forgets what was sent. The buffer stays for the next replies, unless it is much larger than they need.
func (w *Writer) Reset() {
	size := cap(w.Buf)
	if size > writerKeepHot || size > writerKeep && len(w.Buf) < size/4 {
		w.Buf = nil
		return
	}
	w.Buf = w.Buf[:0]
}

func asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{"ERR", err.Error()}
	}
	return e
}

func (w *Writer) header(kind byte, n int) {
	w.Buf = append(w.Buf, kind)
	w.Buf = strconv.AppendInt(w.Buf, int64(n), 10)
	w.Buf = append(w.Buf, "\r\n"...)
}

func (w *Writer) line(s string) {
	w.Buf = appendPrintable(w.Buf, s)
	w.Buf = append(w.Buf, "\r\n"...)
}

// appendFloat writes whole numbers and others of a common size without an exponent, as clients expect them.
func appendFloat(dst []byte, f float64) []byte {
	switch size := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case size != 0 && (size < 1e-4 || size >= 1e17):
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// appendPrintable appends s fit for one line of a terminal. A line end let through raw would end the reply, and the rest
// of what one client wrote could pass for a reply to another command.
func appendPrintable(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	plain := 0
	for plain < len(s) && ' ' <= s[plain] && s[plain] <= '~' {
		plain++
	}
	dst, s = append(dst, s[:plain]...), s[plain:]
	for i := 0; i < len(s); {
		c := s[i]
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case c == '\r' || c == '\n':
			dst = append(dst, ' ')
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			for _, c := range []byte(s[i : i+size]) {
				dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			}
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}
