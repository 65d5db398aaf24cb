package resp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of a Reader's memory. Large reads are what makes pipelines fast; small buffers are what makes ten thousand idle
// connections cheap. So a buffer rests at a size that follows the traffic, and is larger only while one command needs it.
const (
	restSmall = 4 << 10  // bytes: the resting size of a buffer at first, and when reads are small
	restLarge = 64 << 10 // bytes: the resting size when reads fill the buffer
	smallRead = restSmall / 2
	calmReads = 64   // small reads in a row that bring the small buffer back
	argsBlock = 4096 // arguments that share one allocation, 96 KiB: what a full buffer of ordinary commands needs
	argsShare = 8    // bytes of buffer for each argument there may be room for; more room than that is given back
	idleReads = 100  // reads in a row that may bring nothing
)

// Reader cuts what a client sends into commands, and holds the client to its [Limits].
//
// Call [Reader.Next] until it wants more, then [Reader.Fill]. Nothing else blocks. A command that has arrived in part is
// parsed as far as it goes, once: the next call goes on where the last one stopped.
type Reader struct {
	src io.Reader
	lim Limits
	all Limits // lim, when the reader is not on guard
	err error  // the failure that ended the conversation

	buf   []byte // buf[start:end] has arrived and was not yet returned
	start int    // where the command begins that is being received
	at    int    // how far it is parsed: where an argument or the command itself begins; start <= at <= end
	end   int
	want  int  // arguments it still lacks; 0 before its first line
	look  int  // bytes of the long line at buf[at] that are known not to end it
	spoke bool // the client has sent a command or a blank line: it is no TLS client

	args    [][]byte // arguments returned since the last Fill, and room for more
	rest    int      // size the buffer returns to, from restSmall to restLarge
	calm    int      // small reads in a row
	pending error    // came from the source together with bytes; the next Fill returns it
}

// NewReader returns a Reader of what src delivers. It takes memory with the first call of [Reader.Fill].
func NewReader(src io.Reader, l Limits) *Reader {
	l = l.withDefaults()
	return &Reader{src: src, lim: l, all: l, rest: restSmall}
}

// What a client may send before it has logged in.
const (
	guardArgs = 10
	guardBulk = 16 << 10 // bytes
)

// Guard holds the client to what logging in takes, ten arguments of 16 KiB each, or no longer does. It is for commands that
// Next has not looked at yet.
func (r *Reader) Guard(on bool) {
	r.lim = r.all
	if on {
		r.lim.Args, r.lim.Bulk = min(guardArgs, r.all.Args), min(guardBulk, r.all.Bulk)
	}
}

// word is why a length is refused.
func (r *Reader) word(otherwise string) string {
	if r.lim != r.all {
		return "unauthenticated"
	}
	return otherwise
}

// Buffered returns how many bytes have arrived and were not yet returned by [Reader.Next].
func (r *Reader) Buffered() int { return r.end - r.start }

// Take returns a copy of what has arrived and was not yet returned by [Reader.Next], and forgets it.
func (r *Reader) Take() []byte {
	taken := bytes.Clone(r.buf[r.start:r.end])
	r.start, r.at, r.end, r.want, r.look = 0, 0, 0, 0, 0
	return taken
}

// Next returns the next command that has arrived in full; args[0] is its name. ok is false when the command is incomplete:
// call [Reader.Fill]. Blank lines and commands of no arguments are passed over.
//
// args and the bytes it refers to stay as they are until the next Fill, also while further commands are taken.
//
// The error is a [*ProtocolError], [ErrHTTP] or [ErrTLS]. It is final.
func (r *Reader) Next() (args [][]byte, ok bool, err error) {
	for r.err == nil && r.at < r.end {
		from := r.at
		whole := false
		if r.want > 0 {
			r.walk(false)
			if r.want > 0 {
				break
			}
			// All of it is here: this is its second and last reading, and now its count may be trusted.
			r.at, whole = r.start, true
		}
		if r.buf[r.at] == '*' {
			args, ok = r.multibulk(whole)
		} else {
			args, ok = r.inline()
		}
		if ok {
			return args, true, nil
		}
		if r.want > 0 || r.at == from {
			break
		}
	}
	return nil, false, r.err
}

// multibulk reads the command at r.at. ok is false for an empty one, which is passed, and for one that is incomplete,
// which is passed as far as it goes. A command that is known to be whole gets its room for arguments at once.
func (r *Reader) multibulk(whole bool) (args [][]byte, ok bool) {
	n, next := quickCount(r.buf[:r.end], r.at, '*')
	if next == 0 {
		n, next = r.count(r.at, "too big mbulk count string", "invalid multibulk length")
		if next == 0 {
			return nil, false
		}
	}
	if n > r.lim.Args {
		r.fail(r.word("invalid") + " multibulk length")
		return nil, false
	}
	if n <= 0 {
		r.pass(next)
		return nil, false
	}
	r.roomForArgs(n, whole)
	first := len(r.args)
	r.at, r.want = next, n
	r.walk(true)
	if r.want > 0 || r.err != nil {
		r.args = r.args[:first]
		return nil, false
	}
	r.pass(r.at)
	return r.args[first:len(r.args):len(r.args)], true
}

// walk passes those arguments of the command at r.start that have arrived, and appends them to r.args if they are to be
// kept. Afterwards r.want tells how many the command still lacks.
func (r *Reader) walk(keep bool) {
	b, at, want, args := r.buf[:r.end], r.at, r.want, r.args
	for want > 0 {
		n, first := quickCount(b, at, '$')
		if first == 0 {
			if n, first = r.bulkCount(at); first == 0 {
				break
			}
		}
		last := first + n
		if n > r.lim.Bulk {
			r.fail(r.word("invalid") + " bulk length")
			break
		}
		if last+2-r.start > r.lim.Command {
			r.fail("command too large")
			break
		}
		if last+2 > len(b) {
			break
		}
		if b[last] != '\r' || b[last+1] != '\n' {
			r.fail("invalid bulk length")
			break
		}
		if keep {
			args = append(args, b[first:last:last])
		}
		at = last + 2
		want--
	}
	r.at, r.want, r.args = at, want, args
}

// bulkCount reads the line at buf[at] that announces an argument, where the quick way gave up.
func (r *Reader) bulkCount(at int) (n, next int) {
	if at-r.start >= r.lim.Command {
		r.fail("command too large")
		return 0, 0
	}
	if at == r.end {
		return 0, 0
	}
	if c := r.buf[at]; c != '$' {
		r.fail(fmt.Sprintf("expected '$', got '%s'", appendPrintable(nil, string([]byte{c}))))
		return 0, 0
	}
	n, next = r.count(at, "too big bulk count string", "invalid bulk length")
	if next > 0 && n < 0 {
		r.fail("invalid bulk length")
		return 0, 0
	}
	return n, next
}

// quickCount reads the line b[at:], a kind and a count of at most nine digits. next is where the line after it begins; 0
// means that the line is incomplete, or out of the ordinary, or wrong.
func quickCount(b []byte, at int, kind byte) (n, next int) {
	if at+4 <= len(b) {
		// Most counts have one digit: then the line is one word of four bytes.
		word := binary.LittleEndian.Uint32(b[at:])
		if word&^0xff00 == uint32(kind)|'\r'<<16|'\n'<<24 {
			if d := byte(word>>8) - '0'; d <= 9 {
				return int(d), at + 4
			}
		}
	}
	return longCount(b, at, kind)
}

func longCount(b []byte, at int, kind byte) (n, next int) {
	i := at + 1
	for ; i < len(b) && i <= at+9; i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int(d)
	}
	if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' && b[at] == kind && i > at+1 && b[at+1] != '0' {
		return n, i + 2
	}
	return 0, 0
}

// shortLine is longer than any line of the framing that quickCount accepts, in bytes. Up to here a line is searched anew
// for its end; beyond, r.look remembers how far it was.
const shortLine = 32

// count reads any line of a kind and a count at buf[at]. next is 0 when the line is incomplete, or wrong and r.err set.
func (r *Reader) count(at int, big, bad string) (n, next int) {
	limit := min(at+r.lim.Inline, r.start+r.lim.Command)
	line := r.buf[at:min(r.end, limit)]
	i := bytes.IndexByte(line[r.look:], '\r')
	switch {
	case i < 0 && at+len(line) < limit:
		if len(line) > shortLine {
			r.look = len(line)
		}
		return 0, 0
	case i < 0 && len(line) == r.lim.Inline:
		r.fail(big)
		return 0, 0
	case i < 0 || at+r.look+i+2-r.start > r.lim.Command:
		r.fail("command too large")
		return 0, 0
	}
	i += r.look
	if at+i+1 == r.end {
		return 0, 0
	}
	r.look = 0
	count, ok := ParseInt(line[1:i])
	if !ok || r.buf[at+i+1] != '\n' || int64(int(count)) != count {
		r.fail(bad)
		return 0, 0
	}
	return int(count), at + i + 2
}

func (r *Reader) fail(text string) { r.err = &ProtocolError{text} }

// pass marks everything before next as returned.
func (r *Reader) pass(next int) { r.start, r.at, r.spoke = next, next, true }

// roomForArgs begins a new block for the arguments of a command when the current one is about to be full. The old one is
// left to whoever holds arguments of it. The count of a command that is not yet whole is a mere claim and gets no room.
func (r *Reader) roomForArgs(n int, whole bool) {
	switch used := len(r.args); {
	case whole && n > cap(r.args)-used:
		r.args = make([][]byte, 0, n)
	case used > argsBlock/2 && n > argsBlock-used:
		r.args = make([][]byte, 0, argsBlock)
	}
}

// Fill waits for one read of the source and keeps what it brought. All that Next has returned becomes invalid.
//
// The error is that of the source. Whether more can be read after it is for the source to say. [bufio.ErrBufferFull]
// means that Fill was called although Next still had a command to return.
func (r *Reader) Fill() error {
	if r.err != nil {
		return r.err
	}
	if err := r.pending; err != nil {
		r.pending = nil
		return err
	}
	if err := r.makeRoom(); err != nil {
		return err
	}
	for range idleReads {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			r.pending = err
			r.adapt(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// adapt lets the resting size follow the traffic.
func (r *Reader) adapt(n int) {
	switch {
	case r.end == len(r.buf):
		r.rest = min(2*r.rest, restLarge)
		r.calm = 0
	case n > smallRead:
		r.calm = 0
	default:
		r.calm++
		if r.calm == calmReads {
			r.calm = 0
			r.rest = restSmall
		}
	}
}

// makeRoom moves what is left of a command to the front, into a larger or smaller buffer if that is what is needed now.
func (r *Reader) makeRoom() error {
	held := r.end - r.start
	size := len(r.buf)
	switch {
	case held <= r.rest/2:
		size = r.rest
	case held == size && held >= r.lim.Command:
		return bufio.ErrBufferFull
	case held == size:
		size = max(2*size, r.rest)
	}
	buf := r.buf
	if size != len(buf) {
		buf = make([]byte, size)
		r.args = nil // they refer to the old buffer, which is to be free
	}
	if r.start > 0 || size != len(r.buf) {
		copy(buf, r.buf[r.start:r.end])
	}
	r.buf, r.at, r.end, r.start = buf, r.at-r.start, held, 0
	if cap(r.args) > size/argsShare {
		r.args = nil
	}
	r.args = r.args[:0]
	return nil
}
