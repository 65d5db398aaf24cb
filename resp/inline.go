package resp

import "bytes"

// inline reads the line at r.at as a command typed by a person. ok is false for a blank line, which is passed, and for
// one that is incomplete, which is not.
func (r *Reader) inline() (args [][]byte, ok bool) {
	line := r.buf[r.at:min(r.end, r.at+r.lim.Inline)]
	if !r.spoke && line[0] == tlsHandshake {
		if r.at+1 == r.end {
			return nil, false
		}
		if r.buf[r.at+1] == tlsMajor {
			r.err = ErrTLS
			return nil, false
		}
	}
	i := bytes.IndexByte(line[r.look:], '\n')
	if i < 0 {
		r.look = len(line)
		if len(line) == r.lim.Inline {
			r.fail("too big inline request")
		}
		return nil, false
	}
	i += r.look
	r.look = 0
	next := r.at + i + 1
	line = bytes.TrimSuffix(line[:i], []byte{'\r'})
	if isHTTP(line) {
		r.err = ErrHTTP
		return nil, false
	}

	r.roomForArgs(len(line)/2+1, false)
	first := len(r.args)
	all, balanced := splitLine(r.args, line)
	switch {
	case !balanced:
		r.fail("unbalanced quotes in request")
		return nil, false
	case len(all)-first > r.lim.Args:
		r.fail("too big inline request")
		return nil, false
	}
	r.args = all
	r.pass(next)
	args = all[first:len(all):len(all)]
	return args, len(args) > 0
}

// The first two bytes of every TLS connection: a handshake record, of a version that begins with 3.
const (
	tlsHandshake = 0x16
	tlsMajor     = 0x03
)

// isHTTP reports whether a line begins an HTTP request. Browsers can be made to send one to any port of their own
// machine, with commands in its body: they must not get that far. A key may be called "/", so GET needs the version too.
func isHTTP(line []byte) bool {
	i := bytes.IndexByte(line, ' ')
	if i < 0 || i > len("OPTIONS") {
		return false
	}
	target := line[i+1:]
	switch string(line[:i]) {
	case "POST", "Host:", "host:":
		return true
	case "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return bytes.HasPrefix(target, []byte{'/'}) || bytes.Contains(target, []byte(" HTTP/"))
	case "GET":
		return bytes.Contains(target, []byte(" HTTP/"))
	}
	return false
}

// splitLine cuts a line into words as Redis does and appends them to args. Quoted words are unescaped in place, so the
// words alias the line, whose bytes change. It reports whether all quotes are closed and followed by a space.
func splitLine(args [][]byte, line []byte) (words [][]byte, balanced bool) {
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		first := i
		word, n, ok := cutWord(line[i:])
		if !ok {
			return args, false
		}
		i += n
		args = append(args, line[first:first+word:first+word])
	}
}

// cutWord moves the first word of line, unescaped, to the front of line. It returns the word's length there and the
// bytes it took before.
func cutWord(line []byte) (word, taken int, ok bool) {
	put := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\r', '\n':
			return put, i, true
		case '"', '\'':
			n, used, ok := unquote(line[put:], line[i+1:], c)
			if !ok {
				return 0, 0, false
			}
			return put + n, i + 1 + used, true
		default:
			line[put] = c
			put++
		}
	}
	return put, len(line), true
}

// unquote copies the text up to the closing quote to dst, which may overlap from below. It returns how much it wrote and
// how much of text it used, the closing quote included. The quote must end the word.
func unquote(dst, text []byte, quote byte) (n, used int, ok bool) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == quote {
			return n, i + 1, i+1 == len(text) || isSpace(text[i+1])
		}
		if c == '\\' && i+1 < len(text) {
			switch {
			case quote == '\'':
				if text[i+1] == '\'' {
					c = '\''
					i++
				}
			case text[i+1] == 'x' && i+3 < len(text) && isHex(text[i+2]) && isHex(text[i+3]):
				c = unhex(text[i+2])<<4 | unhex(text[i+3])
				i += 3
			default:
				c = unescape(text[i+1])
				i++
			}
		}
		dst[n] = c
		n++
	}
	return 0, 0, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
