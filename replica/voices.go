package replica

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// What reads of a leader rest on is that a majority of voters, asked after the reads came, hold its term. Who asks through
// Raft waits for Raft's goroutines at both ends, and for its encoding. The term alone can be had for less: Raft sets it,
// on disk and in memory, before it gives a vote or takes an entry of it. So a voter that reads the leader's term in its
// memory has not helped any later leader to commit anything before. See docs/adr/0022-voices.md.
//
// A question is the number of a round and 8 bytes of zeros, its answer the same number and the voter's term, each followed
// by the CRC32C of those 16 bytes. All numbers are little-endian.
const (
	useTerm   = "term"
	voiceSize = 20
)

type voiceFrame [voiceSize]byte

func newVoiceFrame(number, term uint64) (f voiceFrame) {
	le := binary.LittleEndian
	le.PutUint64(f[0:], number)
	le.PutUint64(f[8:], term)
	le.PutUint32(f[16:], crc32.Checksum(f[:16], castagnoli))
	return f
}

func readVoiceFrame(r io.Reader) (number, term uint64, err error) {
	var f voiceFrame
	if _, err := io.ReadFull(r, f[:]); err != nil {
		return 0, 0, err
	}
	le := binary.LittleEndian
	if crc32.Checksum(f[:16], castagnoli) != le.Uint32(f[16:]) {
		return 0, 0, errBadFrame
	}
	return le.Uint64(f[0:]), le.Uint64(f[8:]), nil
}

// answerTerms answers one leader's questions until the stream or the group ends.
func (g *Group) answerTerms(conn net.Conn, _ hello) {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-g.stopped:
		case <-ended:
		}
		conn.Close()
	}()
	for {
		number, _, err := readVoiceFrame(conn)
		if err != nil {
			return
		}
		answer := newVoiceFrame(number, g.raft.CurrentTerm())
		conn.SetWriteDeadline(time.Now().Add(g.patience()))
		if _, err := conn.Write(answer[:]); err != nil {
			return
		}
	}
}

// voices are a leader's streams to the other voters. They are made when reads first need them, and stay.
type voices struct {
	group *Group

	mu     sync.Mutex
	lines  map[raft.ServerID]*voice
	closed bool
	wg     sync.WaitGroup
}

// voice is the stream to one voter.
//
// Goroutine: hear, while there is a stream or one is being made. mu is a leaf; a question is written under it, which
// does not wait, since at most one has no answer and it is shorter than any socket's buffer.
type voice struct {
	group   *Group
	voter   raft.ServerID
	address raft.ServerAddress
	useful  atomic.Uint64 // the newest round that its answer came in time for

	mu      sync.Mutex
	conn    net.Conn // nil while there is none
	hearing bool     // hear runs
	wanted  uint64   // the newest round that wants its answer
	asked   uint64   // the newest round that it was asked for
	waiting bool     // asked has no answer yet
	closed  bool
	rest    time.Time // it is not called before
}

// ask puts the question of a round to some voters but this node, those whose answers were of use lately, or to all. Those
// that it was put to already are not asked again. Voters that are gone lose their stream.
func (v *voices) ask(servers []raft.Server, number uint64, some int) {
	for range v.put(servers, number, some) {
		v.group.heard(number, 0)
	}
}

// put puts the question and returns how many voters cannot be asked now.
func (v *voices) put(servers []raft.Server, number uint64, some int) (silent int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return len(servers)
	}
	lines := v.to(servers)
	for _, line := range lines[:min(some, len(lines))] {
		switch line.ask(number) {
		case voiceBegins:
			v.wg.Go(line.hear)
		case voiceMute:
			silent++
		}
	}
	return silent
}

// to returns the voices of the voters but this node, in the order in which they are to be asked. The caller holds mu.
func (v *voices) to(servers []raft.Server) (lines []*voice) {
	for id, line := range v.lines {
		if !isVoter(servers, id, line.address) {
			line.close()
			delete(v.lines, id)
		}
	}
	for _, s := range servers {
		if s.Suffrage != raft.Voter || s.ID == v.group.transport.id {
			continue
		}
		line := v.lines[s.ID]
		if line == nil {
			line = &voice{group: v.group, voter: s.ID, address: s.Address}
			v.lines[s.ID] = line
		}
		lines = append(lines, line)
	}
	slices.SortStableFunc(lines, func(a, b *voice) int { return cmp.Compare(b.useful.Load(), a.useful.Load()) })
	return lines
}

func isVoter(servers []raft.Server, id raft.ServerID, address raft.ServerAddress) bool {
	for _, s := range servers {
		if s.ID == id {
			return s.Suffrage == raft.Voter && s.Address == address
		}
	}
	return false
}

// close ends all streams.
func (v *voices) close() {
	v.mu.Lock()
	v.closed = true
	for _, line := range v.lines {
		line.close()
	}
	v.mu.Unlock()
	v.wg.Wait()
}

// voiceRest is how long a voter that could not be reached, or whose stream broke, is not called again.
const voiceRest = 50 * time.Millisecond

// What the caller of voice.ask must do.
const (
	voiceHears  = iota // nothing: somebody hears
	voiceBegins        // have somebody hear
	voiceMute          // count the voter as one that gives no answer
)

// ask puts a question, at once or when the one before is answered or the stream stands.
func (v *voice) ask(number uint64) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.wanted == number:
		return voiceHears // it is asked already, or has answered, or was found mute
	case !v.hearing && time.Now().Before(v.rest):
		v.wanted = number
		return voiceMute
	case !v.hearing:
		v.wanted, v.hearing = number, true
		return voiceBegins
	}
	v.wanted = number
	if v.conn != nil && !v.waiting {
		v.put()
	}
	return voiceHears
}

// put writes the question that is wanted. An error ends the stream, and hear learns of it. The caller holds mu.
func (v *voice) put() {
	v.asked, v.waiting = v.wanted, true
	question := newVoiceFrame(v.asked, 0)
	v.conn.SetDeadline(time.Now().Add(v.group.patience()))
	if _, err := v.conn.Write(question[:]); err != nil {
		v.conn.Close()
	}
}

// hear makes the stream and takes the answers. When the stream ends, the round that waits learns that it gets none.
func (v *voice) hear() {
	g := v.group
	h := g.transport.hello
	h.To, h.Use = string(v.voter), useTerm
	if conn, err := dialPeer(g.cfg.dial, string(v.address), h, g.cfg.heartbeat); err == nil {
		if v.begin(conn) {
			for v.next(conn) {
			}
		}
		conn.Close()
	}
	v.mu.Lock()
	wanted, answered := v.wanted, !v.waiting && v.asked == v.wanted
	v.conn, v.hearing, v.waiting = nil, false, false
	v.rest = time.Now().Add(voiceRest)
	v.mu.Unlock()
	if !answered {
		g.heard(wanted, 0)
	}
}

// begin puts the first question of a new stream. It reports false when the voice has been closed meanwhile.
func (v *voice) begin(conn net.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.conn = conn
	v.put()
	return true
}

// next takes one answer, and puts the next question if there is one. It reports false when the stream has ended.
func (v *voice) next(conn net.Conn) bool {
	number, term, err := readVoiceFrame(conn)
	v.mu.Lock()
	if errors.Is(err, os.ErrDeadlineExceeded) && !v.waiting {
		// Nothing was asked for a while. The deadline was the last question's, and nothing of an answer can have come.
		conn.SetDeadline(time.Time{})
		v.mu.Unlock()
		return true
	}
	if err != nil || number != v.asked {
		v.mu.Unlock()
		return false
	}
	v.waiting = false
	if v.wanted > v.asked {
		v.put()
	}
	v.mu.Unlock()
	if v.group.heard(number, term) {
		v.useful.Store(number)
	}
	return true
}

func (v *voice) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	if v.conn != nil {
		v.conn.Close()
	}
}
