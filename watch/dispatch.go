package watch

import "github.com/dtkv/dtkv/fsm"

// keptRecords is how many records the dispatcher keeps room for between two batches.
const keptRecords = 4 * stride

// dispatch takes what the rings have, group by group, until the hub closes.
func (h *Hub) dispatch() {
	defer h.done.Done()
	d := dispatcher{h: h, latest: make(map[string]int)}
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.signal:
		}
		for more := true; more && h.ctx.Err() == nil; {
			more = false
			h.eachGroup(func(g *group) { more = d.step(g) || more })
		}
	}
}

// dispatcher is what the goroutine of that name uses again and again.
type dispatcher struct {
	h       *Hub
	records []Record
	latest  map[string]int // of a key, in the entry in hand: its last change
	name    []byte
	found   []*topic
	woken   []*Subscriber
}

// step dispatches some records of one group and reports whether there were any.
func (d *dispatcher) step(g *group) bool {
	records, why := g.ring.take(d.records[:0])
	if why != none {
		d.gap(g, why)
		return true
	}
	if len(records) == 0 {
		return false
	}
	d.h.revive(g)
	for entry := records; len(entry) > 0; {
		n := 1
		for n < len(entry) && entry[n].Index == entry[0].Index {
			n++
		}
		d.entry(g, entry[:n])
		entry = entry[n:]
	}
	d.h.stats.dispatched.Add(uint64(len(records)))
	clear(records)
	if d.records = records; cap(records) > keptRecords {
		d.records = nil
	}
	return true
}

// entry dispatches the changes of one log entry. A watcher hears of each key once: what it held in between was never
// to be seen by anybody.
func (d *dispatcher) entry(g *group, records []Record) {
	d.h.mu.RLock()
	watched := len(g.watch)+len(g.patterns) > 0 // who comes later reads a state that has all of this
	d.h.mu.RUnlock()
	flush := -1
	if watched {
		flush = d.survey(records)
	}
	for i := range records {
		r := &records[i]
		g.serve(r)
		d.h.mu.RLock()
		d.announce(g, r)
		switch {
		case !watched || i < flush:
		case r.What == fsm.EventFlush:
			d.flushed(g, r.Index, records)
		case watchable(r.What) && (len(records) == 1 || d.latest[r.Key] == i):
			d.changed(g, r, flush >= 0)
		}
		d.h.mu.RUnlock()
		d.wake()
	}
}

// survey finds the last flush among the changes of one entry, -1 if there is none, and the last change of each key
// after it.
func (d *dispatcher) survey(records []Record) (flush int) {
	if len(d.latest) > keptRecords {
		d.latest = make(map[string]int)
	}
	clear(d.latest)
	flush = -1
	for i := len(records) - 1; i >= 0 && flush < 0; i-- {
		if records[i].What == fsm.EventFlush {
			flush = i
		}
	}
	if len(records) == 1 {
		return flush
	}
	for i := flush + 1; i < len(records); i++ {
		if watchable(records[i].What) {
			d.latest[records[i].Key] = i
		}
	}
	return flush
}

// watchable reports whether watch channels tell of such a change: it is of the node, not of its lifetime or its waiters.
func watchable(w fsm.What) bool {
	switch w {
	case fsm.EventExpire, fsm.EventPersist, fsm.EventWaitEnd, fsm.EventFlush:
		return false
	}
	return true
}

// send offers one message to all who are subscribed to t.
func (d *dispatcher) send(t *topic, sort sort, m Message, key string, index uint64) {
	d.woken = t.send(sort, m, key, index, d.woken)
}

// send offers one message to all who are subscribed and appends those to woken who are to be woken.
func (t *topic) send(sort sort, m Message, key string, index uint64, woken []*Subscriber) []*Subscriber {
	m.Kind = t.kind
	if t.kind == Pattern {
		m.Pattern = t.name
	}
	for _, b := range t.subs {
		if b.s.offer(&item{Message: m, of: b, sort: sort, key: key, index: index}) {
			woken = append(woken, b.s)
		}
	}
	return woken
}

// wake wakes those to whom something was sent. No lock is held.
func (d *dispatcher) wake() {
	for i, s := range d.woken {
		s.wake()
		d.woken[i] = nil
	}
	d.woken = d.woken[:0]
}

// announce publishes the keyspace notifications of an event.
func (d *dispatcher) announce(g *group, r *Record) {
	flags, of := d.h.Notify(), class(r.What)
	if flags&of == 0 {
		return
	}
	event := r.What.String()
	if flags&keyspace != 0 {
		d.notice(g, fromKeyspace, r.Key, event)
	}
	if flags&keyevent != 0 {
		d.notice(g, fromKeyevent, event, r.Key)
	}
}

func (d *dispatcher) notice(g *group, from source, rest, text string) {
	var payload []byte
	if t := g.index(from)[rest]; t != nil {
		payload = []byte(text)
		d.send(t, plain, Message{Channel: t.name, Payload: payload}, "", 0)
	}
	name := d.candidates(&d.h.plain, g, from, rest)
	for _, t := range d.found {
		if d.h.fits(t, name) {
			if payload == nil {
				payload = []byte(text)
			}
			d.send(t, plain, Message{Channel: name, Payload: payload}, "", 0)
		}
	}
}

// candidates finds the patterns that may fit a channel of events, and returns its name if there are any.
func (d *dispatcher) candidates(in *trie, g *group, from source, rest string) string {
	d.found = d.found[:0]
	if in.empty() {
		return ""
	}
	d.name = appendName(d.name[:0], from, g.id, rest)
	if d.found = in.find(d.name, d.found); len(d.found) == 0 {
		return ""
	}
	return string(d.name)
}

// fits compares a name with a pattern.
func (h *Hub) fits(t *topic, name string) bool {
	h.stats.compared.Add(1)
	return t.glob.matches(name)
}

// changed tells the watchers of the node and of every directory above it, and of patterns that fit the node. After a flush
// in the same entry those of the very node know already.
func (d *dispatcher) changed(g *group, r *Record, flushed bool) {
	var payload []byte
	if len(g.watch) > 0 {
		for path := r.Key; ; path = above(path) {
			if t := g.watch[path]; t != nil && !(flushed && path == r.Key) {
				if payload == nil {
					payload = changeJSON(r)
				}
				d.send(t, change, Message{Channel: t.name, Payload: payload}, r.Key, r.Index)
			}
			if path == "" {
				break
			}
		}
	}
	name := d.candidates(&d.h.watched, g, fromWatch, r.Key)
	for _, t := range d.found {
		if d.h.fits(t, name) {
			if payload == nil {
				payload = changeJSON(r)
			}
			d.send(t, change, Message{Channel: name, Payload: payload}, r.Key, r.Index)
		}
	}
}

// above returns the directory that holds key; empty is the root.
func above(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == fsm.Separator {
			return key[:i]
		}
	}
	return ""
}

// flushSlot is what a flush is merged under: no node has that key. It says more than that one key is gone, so no
// later change of that key may take its place.
const flushSlot = "."

// flushed tells every watcher of the group that everything is gone, and what its key is after the entry, which may have
// made it anew.
func (d *dispatcher) flushed(g *group, index uint64, records []Record) {
	for key, t := range g.watch {
		now := Record{Event: fsm.Event{Key: key}}
		if again, ok := d.latest[key]; ok {
			now = records[again]
		}
		d.send(t, change, Message{Channel: t.name, Payload: flushJSON(&now, index)}, flushSlot, index)
	}
	for t := range g.patterns {
		m := Message{Channel: string(appendName(nil, fromWatch, g.id, "")), Payload: flushJSON(&Record{}, index)}
		d.send(t, change, m, flushSlot, index)
	}
}

// gap tells everybody whom events of the group may concern that some were missed, or those who asked for events of this very
// group that it is gone.
func (d *dispatcher) gap(g *group, why gap) {
	err, lose := ErrMissed, d.lose
	if why == removed {
		err, lose = ErrRemoved, func(t *topic) { d.fail(t, ErrRemoved) }
	} else {
		d.h.stats.gaps.Add(1)
	}
	d.h.mu.RLock()
	for _, t := range g.watch {
		lose(t)
	}
	for t := range g.patterns {
		lose(t)
	}
	for _, t := range g.keyspace {
		d.fail(t, err)
	}
	for _, t := range g.keyevent {
		d.fail(t, err)
	}
	for _, t := range d.h.channels[Pattern] {
		if t.from == fromNobody && t.mayNotify(g.id) && (why == missed || t.names(g.id)) {
			d.fail(t, err)
		}
	}
	d.h.mu.RUnlock()
	d.wake()
	if why == missed {
		d.h.revive(g)
	}
	g.wakeAll(Unknown)
}

func (d *dispatcher) lose(t *topic) {
	for _, b := range t.subs {
		if b.s.missed(b) {
			d.woken = append(d.woken, b.s)
		}
	}
}

func (d *dispatcher) fail(t *topic, err error) {
	for _, b := range t.subs {
		if b.s.end(err) {
			d.woken = append(d.woken, b.s)
		}
	}
}

// Publish sends a message to a channel and returns how many received it: subscriptions to the channel and to patterns
// that fit it. The payload is copied.
func (h *Hub) Publish(channel string, payload []byte) int {
	return h.publish(Channel, channel, payload)
}

// SPublish does so for a shard channel.
func (h *Hub) SPublish(channel string, payload []byte) int { return h.publish(Shard, channel, payload) }

func (h *Hub) publish(k Kind, channel string, payload []byte) int {
	var to []*topic
	h.mu.RLock()
	if t := h.channels[k][channel]; t != nil {
		to = append(to, t)
	}
	if k == Channel {
		direct := len(to)
		to = h.plain.find([]byte(channel), to)
		to = h.watched.find([]byte(channel), to)
		fitting := to[:direct]
		for _, t := range to[direct:] {
			if h.fits(t, channel) {
				fitting = append(fitting, t)
			}
		}
		to = fitting
	}
	receivers := 0
	var woken []*Subscriber
	if len(to) > 0 {
		m := Message{Channel: channel, Payload: append(make([]byte, 0, len(payload)), payload...)}
		for _, t := range to {
			receivers += len(t.subs)
			woken = t.send(plain, m, "", 0, woken)
		}
	}
	h.mu.RUnlock()
	for _, s := range woken {
		s.wake()
	}
	return receivers
}
