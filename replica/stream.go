package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A stream carries requests of one node to another and their answers, any number of them at a time, in frames:
//
//	offset  size  field
//	0       4     length of the payload, little-endian like all numbers
//	4       1     kind: what the request asks for; 0 is a sign of life
//	5       1     status: request, answer or refusal
//	6       2     zero
//	8       8     id of the request, counted by who asks
//	16      4     CRC32C of the payload
//	20      4     CRC32C of the 20 bytes before
//
// Requests arrive in the order in which they were sent. Answers come in any order.
const (
	frameHeader  = 24
	maxFrame     = MaxProposal + 4096    // bytes of payload
	maxAnswer    = 1 << 20               // bytes of payload in an answer
	maxRequests  = 64                    // of one stream that have no answer yet
	maxRequested = 2*MaxProposal + 2<<20 // bytes of payload in them
)

// What a frame is.
const (
	statusRequest = iota
	statusAnswer
	statusRefusal // the payload is the reason, for people
)

// kindAlive is a frame that only says that its sender lives.
const kindAlive = 0

var (
	// errStreamFull: the bounds on what is in flight are reached. The request was not sent.
	errStreamFull = errors.New("too many requests are waiting for answers")
	// errStreamClosed: this node ended the stream.
	errStreamClosed = errors.New("the stream is closed")
)

type frame struct {
	kind, status byte
	id           uint64
	payload      []byte
	request      *request // at the asking end
	weight       int      // at the answering end: bytes of the request that this answers
}

// framer is what both ends of a stream share: frames go out in order, and either end notices within its patience that
// the other one is gone.
//
// Goroutines: write, from start to end. Reading is done by the owner. mu is a leaf.
type framer struct {
	conn     net.Conn
	patience time.Duration // how long reading or writing may stand still

	mu       sync.Mutex
	queue    []frame
	err      error // why the stream ended
	requests int   // without answer
	bytes    int   // in them

	wake chan struct{}
	done chan struct{} // closed when the stream has ended
	wg   sync.WaitGroup
}

func newFramer(conn net.Conn, patience time.Duration) *framer {
	return &framer{conn: conn, patience: patience, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// end breaks the stream. The first reason counts.
func (f *framer) end(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
		close(f.done)
	}
	f.mu.Unlock()
	f.conn.Close()
}

// ended returns why the stream ended, nil while it stands.
func (f *framer) ended() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// reserve makes room for a request within the bounds. The caller holds mu.
func (f *framer) reserve(size int) bool {
	if f.requests >= maxRequests || f.bytes+size > maxRequested {
		return false
	}
	f.requests++
	f.bytes += size
	return true
}

// release gives the room back. The caller holds mu.
func (f *framer) release(size int) {
	f.requests--
	f.bytes -= size
}

// push queues a frame. The caller holds mu.
func (f *framer) push(fr frame) {
	f.queue = append(f.queue, fr)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take empties the queue. Whatever it returns counts as sent; nothing does once the stream has ended.
func (f *framer) take() []frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil
	}
	list := f.queue
	f.queue = nil
	for _, fr := range list {
		if fr.request != nil {
			fr.request.sent = true
		}
		if fr.status != statusRequest {
			f.release(fr.weight)
		}
	}
	return list
}

// write sends what is queued, and a sign of life when nothing is.
func (f *framer) write() {
	life := time.NewTicker(f.patience / 4)
	defer life.Stop()
	var buf []byte
	for {
		list := []frame(nil)
		select {
		case <-f.done:
			return
		case <-life.C:
			list = []frame{{kind: kindAlive}}
		case <-f.wake:
			list = f.take()
		}
		var err error
		if buf, err = f.writeFrames(buf[:0], list); err != nil {
			f.end(err)
			return
		}
	}
}

// Bounds of the writer, in bytes.
const (
	inline     = 16 << 10 // a shorter payload is copied behind its header
	writePiece = 1 << 20  // what is written under one deadline
)

func (f *framer) writeFrames(buf []byte, list []frame) ([]byte, error) {
	for _, fr := range list {
		buf = appendFrameHeader(buf, fr)
		if len(fr.payload) <= inline {
			buf = append(buf, fr.payload...)
			if len(buf) < 4*inline {
				continue
			}
		}
		if err := f.writeAll(buf); err != nil {
			return buf, err
		}
		buf = buf[:0]
		if len(fr.payload) > inline {
			if err := f.writeAll(fr.payload); err != nil {
				return buf, err
			}
		}
	}
	return buf, f.writeAll(buf)
}

func (f *framer) writeAll(data []byte) error {
	for piece := range slices.Chunk(data, writePiece) {
		if err := f.conn.SetWriteDeadline(time.Now().Add(f.patience)); err != nil {
			return err
		}
		if _, err := f.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func appendFrameHeader(buf []byte, fr frame) []byte {
	at := len(buf)
	le := binary.LittleEndian
	buf = le.AppendUint32(buf, uint32(len(fr.payload)))
	buf = append(buf, fr.kind, fr.status, 0, 0)
	buf = le.AppendUint64(buf, fr.id)
	buf = le.AppendUint32(buf, crc32.Checksum(fr.payload, castagnoli))
	return le.AppendUint32(buf, crc32.Checksum(buf[at:], castagnoli))
}

// patient reads from a connection that must not stand still.
type patient struct{ *framer }

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// read hands frames to use, signs of life too, one after the other, until the stream ends, and returns why. A payload
// belongs to use.
func (f *framer) read(limit int, use func(frame) error) error {
	r := bufio.NewReaderSize(patient{f}, 64<<10)
	for {
		fr, err := readFrame(r, limit)
		if err != nil {
			return err
		}
		if err := use(fr); err != nil {
			return err
		}
	}
}

// errBadFrame means that the bytes of a stream are not frames.
var errBadFrame = fmt.Errorf("a frame on the stream is %w", errDamaged)

func readFrame(r io.Reader, limit int) (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	le := binary.LittleEndian
	if crc32.Checksum(h[:20], castagnoli) != le.Uint32(h[20:]) || h[5] > statusRefusal || h[6]|h[7] != 0 {
		return frame{}, errBadFrame
	}
	size := le.Uint32(h[0:])
	if int64(size) > int64(limit) {
		return frame{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", errBadFrame, size, limit)
	}
	fr := frame{kind: h[4], status: h[5], id: le.Uint64(h[8:])}
	var err error
	if fr.payload, err = readPayload(r, int(size)); err != nil {
		return frame{}, err
	}
	if crc32.Checksum(fr.payload, castagnoli) != le.Uint32(h[16:]) {
		return frame{}, errBadFrame
	}
	return fr, nil
}

// firstRead is how much room is made on the word of a header; the rest is made as bytes arrive.
const firstRead = 512 << 10

func readPayload(r io.Reader, size int) ([]byte, error) {
	buf := make([]byte, 0, min(size, firstRead))
	for len(buf) < size {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(size-len(buf), len(buf)))
		}
		from := len(buf)
		buf = buf[:min(size, cap(buf))]
		if _, err := io.ReadFull(r, buf[from:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
