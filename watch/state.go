package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time" // to wait before a state that could not be read is asked for again; no meaning depends on it

	"github.com/dtkv/dtkv/fsm"
)

// ErrNoGroup is what Options.State returns for a group that this node does not have. Whoever watches there hears nothing
// until it has it.
var ErrNoGroup = errors.New("no such group on this node")

const (
	// maxReaders is how many goroutines read states, each of another group.
	maxReaders = 16
	// maxReads is how many subscriptions share one read.
	maxReads = 256
	// maxBelow and maxBelowBytes bound the nodes below a directory that follow its state, and the nodes that are compared
	// with a pattern.
	maxBelow      = 10_000
	maxBelowBytes = 8 << 20

	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

// asks is the work of the readers: groups with subscriptions that want the current state.
type asks struct {
	mu      sync.Mutex
	groups  []*group // that nobody serves; each at most once
	readers int
	closed  bool
}

// ask has the state read for subscriptions that want it.
func (h *Hub) ask(want []*subscription) {
	if len(want) == 0 {
		return
	}
	h.asks.mu.Lock()
	defer h.asks.mu.Unlock()
	for _, b := range want {
		g := b.t.group
		g.asked = append(g.asked, b)
		h.enqueue(g)
	}
}

// enqueue sees to it that a reader comes to g, if there is something to do. asks.mu is held.
func (h *Hub) enqueue(g *group) {
	if g.queued || g.unknown || len(g.asked) == 0 || h.asks.closed {
		return
	}
	g.queued = true
	h.asks.groups = append(h.asks.groups, g)
	if h.asks.readers < maxReaders {
		h.asks.readers++
		h.done.Add(1)
		go h.readStates()
	}
}

// revive lets a group be asked again that was not there.
func (h *Hub) revive(g *group) {
	h.asks.mu.Lock()
	defer h.asks.mu.Unlock()
	if g.unknown {
		g.unknown = false
		h.enqueue(g)
	}
}

func (a *asks) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.groups = true, nil
}

// readStates serves groups until there is none left.
func (h *Hub) readStates() {
	defer h.done.Done()
	for pause := minPause; ; {
		h.asks.mu.Lock()
		if len(h.asks.groups) == 0 {
			h.asks.readers--
			h.asks.mu.Unlock()
			return
		}
		g := h.asks.groups[0]
		h.asks.groups = slices.Delete(h.asks.groups, 0, 1)
		n := min(len(g.asked), maxReads)
		batch := slices.Clone(g.asked[:n])
		if g.asked = slices.Delete(g.asked, 0, n); len(g.asked) == 0 {
			g.asked = nil
		}
		h.asks.mu.Unlock()

		again, err := h.readState(g, batch)
		if err == nil {
			pause = minPause
		} else if !errors.Is(err, ErrNoGroup) {
			sleep(h.ctx, pause)
			pause = min(2*pause, maxPause)
		}

		h.asks.mu.Lock()
		g.queued, g.unknown = false, errors.Is(err, ErrNoGroup)
		g.asked = append(g.asked, again...)
		h.enqueue(g)
		h.asks.mu.Unlock()
	}
}

// sleep returns after the pause or when ctx ends.
func sleep(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// image is what a topic is about, in one state.
type image struct {
	self    glimpse // of a channel: its node
	below   []glimpse
	partial bool

	visited int   // nodes looked at
	bytes   int64 // about what the messages will take
}

// glimpse is one node in one state, nil if there is none. Nodes never change, so it may outlive the view.
type glimpse struct {
	key    string
	node   *fsm.Node
	holder fsm.Owner // of a lock, with its token
	token  uint64
}

// readState reads one state for all of the batch and returns those that have to be asked for again.
func (h *Hub) readState(g *group, batch []*subscription) (again []*subscription, err error) {
	want := batch[:0]
	images := make(map[*topic]*image)
	for _, b := range batch {
		if b.s.begin(b) {
			want = append(want, b)
			images[b.t] = nil
		}
	}
	if len(want) == 0 {
		return nil, nil
	}
	h.stats.reads.Add(1)
	var index uint64
	err = h.o.State(h.ctx, g.id, func(v fsm.View) {
		index = v.Index()
		nodes, bytes := maxBelow, int64(maxBelowBytes) // for all, so that apply does not wait long
		for _, b := range want {
			if t := b.t; images[t] == nil && nodes > 0 && bytes > 0 {
				images[t] = t.look(v, h.maxState())
				nodes -= images[t].visited
				bytes -= images[t].bytes
			}
		}
	})
	messages := make(map[*topic][]Message)
	for _, b := range want {
		seen := images[b.t]
		if err != nil || seen == nil {
			if b.s.giveUp(b) {
				again = append(again, b)
			}
			continue
		}
		if messages[b.t] == nil {
			messages[b.t] = seen.messages(b.t, index)
		}
		if b.s.install(b, index, messages[b.t]) {
			b.s.wake()
		}
	}
	return again, err
}

// maxState returns how many bytes of keys and values the state of a directory may have.
func (h *Hub) maxState() int64 { return min(maxBelowBytes, h.output.Load()/8) }

// look takes from v what the topic is about. Below a directory it takes in at most that many bytes.
func (t *topic) look(v fsm.View, room int64) *image {
	m := &image{visited: 1}
	dir := t.key
	if t.kind == Pattern {
		dir = t.dir()
	} else if n, ok := v.Lookup([]byte(t.key)); ok {
		m.self = look(t.key, n)
		m.bytes = int64(len(n.Value))
	} else {
		m.self.key = t.key
	}
	name := string(appendName(nil, fromWatch, t.group.id, ""))
	v.Subtree([]byte(dir), func(n *fsm.Node) bool {
		m.visited++
		fits := t.kind != Pattern || t.glob.matches(name+n.Key)
		if fits {
			m.bytes += int64(itemSize + len(n.Key) + len(n.Value))
		}
		if m.partial = m.visited > maxBelow+1 || m.bytes > room; m.partial {
			return false
		}
		if fits {
			m.below = append(m.below, look(n.Key, n))
		}
		return true
	})
	if m.partial {
		m.below = nil
	}
	return m
}

func look(key string, n *fsm.Node) glimpse {
	g := glimpse{key: key, node: n}
	if n.Kind == fsm.Lock {
		holder, _ := n.Lock().Holder()
		g.holder, g.token = holder.Owner, n.Lock().Token()
	}
	return g
}

// messages puts an image into words. The first message is about the channel's own node or, for a pattern, the root: what
// a watcher knew before ends with it.
func (m *image) messages(t *topic, index uint64) []Message {
	first := Message{Kind: t.kind, Channel: t.name, Payload: stateJSON(&m.self, index, m.partial)}
	if t.kind == Pattern {
		first.Pattern = t.name
		first.Channel = string(appendName(nil, fromWatch, t.group.id, ""))
		first.Payload = stateJSON(&glimpse{node: rootNode}, index, m.partial)
	}
	all := append(make([]Message, 0, 1+len(m.below)), first)
	for i := range m.below {
		next := first
		if t.kind == Pattern {
			next.Channel = string(appendName(nil, fromWatch, t.group.id, m.below[i].key))
		}
		next.Payload = stateJSON(&m.below[i], index, false)
		all = append(all, next)
	}
	return all
}

var rootNode = &fsm.Node{Kind: fsm.Directory}
