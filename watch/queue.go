package watch

import "errors"

// Message is one message to one subscriber. Nothing of it may be changed: subscribers share it.
type Message struct {
	Kind    Kind
	Pattern string // that Channel fits; empty unless Kind is Pattern
	Channel string
	Payload []byte
}

// Errors of a Subscriber. The server closes its connection with the reason, as Redis closes that of a slow subscriber: only
// a new connection makes a client look at everything anew.
var (
	ErrTooSlow = errors.New("subscriber is too slow: its output buffer is full")
	ErrRemoved = errors.New("the database was removed from this node")
	ErrMissed  = errors.New("keyspace notifications were missed: the node fell behind or was restored from a snapshot")
)

// itemSize is about what an item takes beside its strings.
const itemSize = 192

// sort says what an item is, and so what may become of it while it waits.
type sort uint8

const (
	plain  sort = iota // of PUBLISH or a keyspace notification: never merged, never dropped
	change             // of a watched key: merged with a newer one, dropped when there is too much
	state              // what a watched key held at first: dropped when there is too much
	lost               // says that something was dropped: neither
)

// item is a message that waits, in one list.
type item struct {
	Message
	of    *subscription
	sort  sort
	key   string // of a change
	index uint64 // of a change: its log entry

	list       *list
	prev, next *item
}

func (i *item) size() int64 {
	return int64(itemSize + len(i.Channel) + len(i.Pattern) + len(i.Payload) + len(i.key))
}

// list is a doubly linked list of items. The zero value is empty.
type list struct{ first, last *item }

func (l *list) push(i *item) {
	i.list, i.prev, i.next = l, l.last, nil
	if l.last == nil {
		l.first = i
	} else {
		l.last.next = i
	}
	l.last = i
}

func (l *list) drop(i *item) {
	if i.prev == nil {
		l.first = i.next
	} else {
		i.prev.next = i.next
	}
	if i.next == nil {
		l.last = i.prev
	} else {
		i.next.prev = i.prev
	}
	i.list, i.prev, i.next = nil, nil, nil
}

// phase says what a watching subscription knows.
type phase uint8

const (
	wanting phase = iota // nothing: the current state is to be read, and changes until then are in it
	reading              // the state is being read: changes are held, for they may be in it or not
	live                 // the state of index floor and every change after it
)

// subscription is one subscriber's share in one topic.
type subscription struct {
	s  *Subscriber
	t  *topic
	at int // in t.subs; guarded by the hub

	// Guarded by s.mu.
	gone    bool // ended: what waits of it is not delivered
	phase   phase
	floor   uint64           // changes of this index or below are known
	held    list             // changes while reading
	pending map[string]*item // the change of each key that a newer one would replace
}

// queue is what waits to be written to one subscriber, guarded by its mu.
//
// What is taken comes from one list and what is new goes to the other; they change places when the first is empty. So a
// change of a key that never rests still comes out: it is merged within the second list only. In each list a merged
// change goes to the end, so indexes only grow.
type queue struct {
	lists   [2]list
	in      int   // the list for what is new
	count   int   // items in both
	waiting int64 // size of what is in both, and of what is held
	awake   bool  // wake was called and not all has been taken since
	err     error
	wants   []*subscription // whose state is to be read once there is room
	taken   []Message
}

// roomy reports whether so little waits that states may be added. If not, there is something to take, and Take looks again.
func (s *Subscriber) roomy() bool { return s.count == 0 || s.waiting <= s.h.output.Load()/4 }

// offer adds a message, if the subscriber is to have it, and reports whether to call wake.
func (s *Subscriber) offer(i *item) (wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := i.of
	if b.gone || s.err != nil {
		return false
	}
	to := &s.lists[s.in]
	if i.sort == change {
		if b.phase == wanting || b.phase == live && i.index <= b.floor {
			return false
		}
		if b.phase == reading {
			to = &b.held
		}
		if old := b.pending[i.key]; old != nil && old.list == to {
			s.remove(old)
			s.h.stats.merged.Add(1)
		}
	}
	if s.waiting > 0 && s.waiting+i.size() > s.h.output.Load() {
		return s.overflow(i)
	}
	s.put(i, to)
	return s.rouse()
}

// put appends an item to a list.
func (s *Subscriber) put(i *item, to *list) {
	to.push(i)
	s.waiting += i.size()
	b := i.of
	if i.sort == change {
		if b.pending == nil {
			b.pending = make(map[string]*item)
		}
		b.pending[i.key] = i
	}
	if to != &b.held {
		s.count++
	}
}

// remove takes an item out of its list.
func (s *Subscriber) remove(i *item) {
	b := i.of
	if i.list != &b.held {
		s.count--
	}
	i.list.drop(i)
	s.waiting -= i.size()
	if i.sort == change && b.pending[i.key] == i {
		delete(b.pending, i.key)
	}
}

// rouse reports whether wake is to be called, now that something may be there.
func (s *Subscriber) rouse() bool {
	if s.awake || s.count == 0 && s.err == nil {
		return false
	}
	s.awake = true
	return true
}

// overflow makes room when i would be too much: what waits for watches is dropped, and those told so. If what is left is
// still too much, the subscriber is lost to plain messages.
func (s *Subscriber) overflow(i *item) (wake bool) {
	for l := range s.lists {
		for j := s.lists[l].first; j != nil; {
			next := j.next
			if j.sort == change || j.sort == state {
				s.remove(j)
				s.lose(j.of)
			}
			j = next
		}
	}
	if i.sort == change {
		s.lose(i.of) // i is dropped like those before it
		return s.rouse()
	}
	if s.waiting > 0 && s.waiting+i.size() > s.h.output.Load() {
		s.fail(ErrTooSlow)
	} else {
		s.put(i, &s.lists[s.in])
	}
	return s.rouse()
}

// lose makes a watching subscription begin anew once there is room, and tells the subscriber so.
func (s *Subscriber) lose(b *subscription) {
	if b.phase == wanting || b.gone {
		return
	}
	s.unknow(b)
	s.wants = append(s.wants, b)
	s.put(&item{Message: lostMessage(b.t), of: b, sort: lost}, &s.lists[s.in])
	s.h.stats.lost.Add(1)
}

// missed makes a watching subscription begin anew after a gap in what the dispatcher saw.
func (s *Subscriber) missed(b *subscription) (wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.lose(b)
	return s.rouse()
}

// end fails the subscriber.
func (s *Subscriber) end(err error) (wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.fail(err)
	return s.rouse()
}

// unknow puts a subscription back to wanting. What it has in the queue stays.
func (s *Subscriber) unknow(b *subscription) {
	for b.held.first != nil {
		s.remove(b.held.first)
	}
	b.phase, b.pending = wanting, nil
}

// fail drops everything and refuses what comes.
func (s *Subscriber) fail(err error) {
	for l := range s.lists {
		for s.lists[l].first != nil {
			s.remove(s.lists[l].first)
		}
	}
	s.err, s.wants, s.awake = err, nil, false // wake is called even if it was: the writer may be stuck
	if err == ErrTooSlow {
		s.h.stats.tooSlow.Add(1)
	}
}

// maxTake is how many bytes of payload end a Take: a bound for what the caller holds in its own buffer.
const maxTake = 1 << 20

// Take returns the messages that come next, at most most and about 1 MiB, none when nothing waits. They are good
// until the next Take. Each call of wake is to be followed by Takes until one returns nothing.
func (s *Subscriber) Take(most int) []Message {
	s.mu.Lock()
	clear(s.taken) // or their payloads would live on
	s.taken = s.taken[:0]
	for bytes := 0; len(s.taken) < most && bytes < maxTake && s.count > 0; {
		if s.lists[1-s.in].first == nil {
			s.in = 1 - s.in
		}
		i := s.lists[1-s.in].first
		s.remove(i)
		if !i.of.gone {
			s.taken = append(s.taken, i.Message)
			bytes += len(i.Payload)
		}
	}
	if s.count == 0 {
		s.awake = false
	}
	wants := s.ready()
	taken := s.taken
	s.mu.Unlock()
	s.h.ask(wants)
	return taken
}

// ready returns the subscriptions whose state may be read now.
func (s *Subscriber) ready() []*subscription {
	if len(s.wants) == 0 || !s.roomy() {
		return nil
	}
	wants := s.wants
	s.wants = nil
	return wants
}

// begin marks that a state is being read for b. It returns false when none is to be read: now, since too much waits, or at
// all. A group has one reader at a time, so until that one is done no other read begins.
func (s *Subscriber) begin(b *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.gone || s.err != nil || b.phase != wanting {
		return false
	}
	if !s.roomy() {
		s.wants = append(s.wants, b)
		return false
	}
	b.phase = reading
	return true
}

// giveUp ends a read that came to nothing, and reports whether the state is still wanted of the hub.
func (s *Subscriber) giveUp(b *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.gone || s.err != nil || b.phase != reading {
		return false
	}
	s.unknow(b)
	return true
}

// install delivers the state of that index, and of the changes held those that came after it.
func (s *Subscriber) install(b *subscription, index uint64, messages []Message) (wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.gone || s.err != nil || b.phase != reading {
		return false
	}
	if !s.roomy() { // states of other subscriptions came between
		s.unknow(b)
		s.wants = append(s.wants, b)
		return false
	}
	in := &s.lists[s.in]
	for _, m := range messages {
		s.put(&item{Message: m, of: b, sort: state}, in)
	}
	b.phase, b.floor = live, index
	for b.held.first != nil {
		i := b.held.first
		s.remove(i)
		if i.index > index {
			s.put(i, in)
		}
	}
	return s.rouse()
}
