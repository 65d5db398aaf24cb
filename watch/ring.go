package watch

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dtkv/dtkv/fsm"
)

// ID is the place of an event in its group's log: the N-th change, counted from 1, of the entry with that index. All
// nodes give an event the same ID. {index, 0} is the place before all changes of that entry.
type ID struct{ Index, N uint64 }

// String returns the id as streams write it, "index-n".
func (i ID) String() string { return fmt.Sprintf("%d-%d", i.Index, i.N) }

// Compare orders ids as the log does.
func (i ID) Compare(j ID) int {
	return cmp.Or(cmp.Compare(i.Index, j.Index), cmp.Compare(i.N, j.N))
}

// Prev returns the greatest id below i, the zero ID for the zero ID.
func (i ID) Prev() ID {
	switch {
	case i.N > 0:
		return ID{i.Index, i.N - 1}
	case i.Index > 0:
		return ID{i.Index - 1, math.MaxUint64}
	}
	return ID{}
}

// Record is an event and its place.
type Record struct {
	ID
	fsm.Event
}

// ErrCompacted says that events were asked for that are no longer, or not yet again, in the ring.
type ErrCompacted struct {
	Oldest ID // the least id after which nothing is missing
}

// Error implements error.
func (e ErrCompacted) Error() string { return "oldest is " + e.Oldest.String() }

const (
	// recordSize is about what a record takes beside its key and value.
	recordSize = 128
	// stride is how many records are copied or looked at while the ring is locked: apply never waits for more.
	stride = 256
)

// ring keeps the newest events of one group. One goroutine appends, many read; mu is a leaf.
type ring struct {
	maxEvents int
	maxBytes  int64

	mu      sync.RWMutex
	slots   []Record // the record of number q is at q modulo the length, a power of two
	first   uint64   // number of the oldest record
	next    uint64   // number of the record to come
	bytes   int64
	hidden  int    // records that streams do not show
	evicted ID     // nothing after it is missing
	cursor  uint64 // number of the record that the dispatcher takes next
	gap     gap    // what the dispatcher missed before cursor
}

// gap is why a dispatcher cannot go on where it was. The greater one counts.
type gap uint8

const (
	none    gap = iota
	missed      // events are gone
	removed     // the group is, and what comes is of another one with its number
)

// hidden reports whether an event is for parked connections only.
func hidden(e *fsm.Event) bool { return e.What == fsm.EventWaitEnd }

func cost(e *fsm.Event) int64 {
	n := recordSize + len(e.Key)
	if e.Node != nil {
		n += len(e.Node.Value)
	}
	return int64(n)
}

// append adds the events of one entry, and reports whether the dispatcher is to see them: not while nobody is hearing. It
// looks at hearing under its lock, so that whoever counts himself there and then looks into the ring misses nothing.
func (r *ring) append(index uint64, events []fsm.Event, hearing *atomic.Int64) (heard bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard = hearing.Load() > 0
	idle := !heard && r.cursor == r.next && r.gap == none
	for i := range events {
		e := &events[i]
		r.bytes += cost(e)
		for n := r.next - r.first; n > 0 && (n >= uint64(r.maxEvents) || r.bytes > r.maxBytes); n-- {
			r.evict()
		}
		if r.next-r.first == uint64(len(r.slots)) {
			r.grow()
		}
		*r.slot(r.next) = Record{ID{index, uint64(i) + 1}, *e}
		r.next++
		if hidden(e) {
			r.hidden++
		}
	}
	switch {
	case idle:
		r.cursor = r.next
	case r.cursor < r.first:
		r.cursor, r.gap = r.first, max(r.gap, missed)
	}
	return heard
}

func (r *ring) slot(q uint64) *Record { return &r.slots[q&uint64(len(r.slots)-1)] }

func (r *ring) evict() {
	s := r.slot(r.first)
	r.evicted = s.ID
	r.bytes -= cost(&s.Event)
	if hidden(&s.Event) {
		r.hidden--
	}
	*s = Record{} // or its value would live on
	r.first++
}

func (r *ring) grow() {
	slots := make([]Record, max(64, 2*len(r.slots)))
	for q := r.first; q < r.next; q++ {
		slots[q&uint64(len(slots)-1)] = *r.slot(q)
	}
	r.slots = slots
}

// restart empties the ring: the state is that of index, and how it came about is not known.
func (r *ring) restart(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots, r.first, r.bytes, r.hidden = nil, r.next, 0, 0
	r.evicted = ID{index, math.MaxUint64}
	r.cursor, r.gap = r.next, max(r.gap, missed)
}

// forget empties the ring for a group that begins anew, with an empty log.
func (r *ring) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots, r.first, r.bytes, r.hidden = nil, r.next, 0, 0
	r.evicted = ID{}
	r.cursor, r.gap = r.next, removed
}

// oldest returns the least id after which nothing is missing, in its plainest form.
func (r *ring) oldest() ID {
	switch {
	case r.first < r.next:
		return r.slot(r.first).Prev()
	case r.evicted.N == math.MaxUint64:
		return ID{r.evicted.Index + 1, 0}
	}
	return r.evicted
}

func (r *ring) last() ID {
	if r.first < r.next {
		return r.slot(r.next - 1).ID
	}
	return r.oldest()
}

// seek returns the number of the first record after id.
func (r *ring) seek(id ID) uint64 {
	low, high := r.first, r.next
	for low < high {
		if q := (low + high) / 2; r.slot(q).Compare(id) <= 0 {
			low = q + 1
		} else {
			high = q
		}
	}
	return low
}

// covers reports whether a change of key is one of path: of the node or below it. The empty path is the root. A
// flush, whose key is empty, concerns every path.
func covers(path, key string) bool {
	return path == "" || key == "" ||
		strings.HasPrefix(key, path) && (len(key) == len(path) || key[len(path)] == fsm.Separator)
}

func shows(path string, rec *Record) bool { return !hidden(&rec.Event) && covers(path, rec.Key) }

// read is Hub.Read on this ring.
func (r *ring) read(path string, after ID, most int) ([]Record, ID, error) {
	var found []Record
	for {
		done, err := r.readSome(path, &after, most, &found)
		if err != nil && len(found) > 0 {
			return found, found[len(found)-1].ID, nil // the next read says so
		}
		if done || err != nil {
			return found, after, err
		}
	}
}

func (r *ring) readSome(path string, after *ID, most int, found *[]Record) (done bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if after.Compare(r.evicted) < 0 {
		return false, ErrCompacted{Oldest: r.oldest()}
	}
	q := r.seek(*after)
	for end := min(r.next, q+stride); q < end; q++ {
		rec := r.slot(q)
		*after = rec.ID
		if !shows(path, rec) {
			continue
		}
		if *found = append(*found, *rec); len(*found) == most {
			return true, nil
		}
	}
	return q == r.next, nil
}

// readBack is Hub.ReadBack on this ring.
func (r *ring) readBack(path string, before ID, most int) []Record {
	var found []Record
	for r.readSomeBack(path, &before, most, &found) {
		continue
	}
	return found
}

func (r *ring) readSomeBack(path string, before *ID, most int, found *[]Record) (more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	q := r.seek(before.Prev())
	for end := max(r.first, q-min(q, stride)); q > end; q-- {
		rec := r.slot(q - 1)
		*before = rec.ID
		if !shows(path, rec) {
			continue
		}
		if *found = append(*found, *rec); len(*found) == most {
			return false
		}
	}
	return q > r.first
}

// count returns how many records of path the ring holds.
func (r *ring) count(path string) int {
	if path == "" {
		r.mu.RLock()
		defer r.mu.RUnlock()
		return int(r.next-r.first) - r.hidden
	}
	n, q := 0, uint64(0)
	for {
		r.mu.RLock()
		q = max(q, r.first)
		end := min(r.next, q+stride)
		for ; q < end; q++ {
			if shows(path, r.slot(q)) {
				n++
			}
		}
		done := q == r.next
		r.mu.RUnlock()
		if done {
			return n
		}
	}
}

// take copies to buf the records that the dispatcher has not seen, some hundred of them but whole entries only, and moves
// its cursor behind them. After a gap it copies none, and says which.
func (r *ring) take(buf []Record) ([]Record, gap) {
	for {
		r.mu.Lock()
		if why := r.gap; why != none {
			r.gap = none
			r.mu.Unlock()
			return buf[:0], why
		}
		for end := min(r.next, r.cursor+stride); r.cursor < end; r.cursor++ {
			buf = append(buf, *r.slot(r.cursor))
		}
		whole := r.cursor == r.next || r.slot(r.cursor).Index != buf[len(buf)-1].Index
		r.mu.Unlock() // in a large entry, let apply go on between its parts
		if whole {
			return buf, none
		}
	}
}

// moved reports whether there is something after id, or before it something is missing.
func (r *ring) moved(id ID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return id.Compare(r.last()) < 0 || id.Compare(r.evicted) < 0
}
