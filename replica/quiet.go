package replica

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// quietAfter is how many messages without news a follower is sent, one every 10 to 20 ms, until the leader slows down.
	quietAfter = 50
	// quietPause is how far apart they are then. A leader that lost its followers may notice so much later.
	quietPause = 250 * time.Millisecond
)

// quiet slows an idle leader down. Every 10 to 20 ms Raft tells each follower how far the log is committed, whether that has
// changed or not, and heartbeats are sent besides. With many groups in which nothing happens, that is most of what a node
// does. So when nothing has happened for a while, Raft gets the answers to these messages later; the next thing that happens
// gives it the answer at once, so that no write waits.
//
// mu is a leaf.
type quiet struct {
	stirs   atomic.Uint64 // counts what happens: entries stored here, or at a follower
	holding atomic.Int32  // answers that are held back
	news    turn
	ended   chan struct{}
	ending  sync.Once

	mu    sync.Mutex
	calms map[raft.ServerID]calm
}

// calm is how many messages without news a follower was sent since something happened.
type calm struct {
	stirs    uint64
	messages int
}

func newQuiet() *quiet {
	return &quiet{ended: make(chan struct{}), calms: map[raft.ServerID]calm{}}
}

// stir says that something happens. It costs one addition while nobody waits.
func (q *quiet) stir() {
	q.stirs.Add(1)
	if q.holding.Load() > 0 {
		q.news.changed()
	}
}

// end lets everybody go for good.
func (q *quiet) end() { q.ending.Do(func() { close(q.ended) }) }

// idle counts a message to a follower, and reports whether its answer may be held back.
func (q *quiet) idle(to raft.ServerID, m *raft.AppendEntriesRequest) bool {
	if len(m.Entries) > 0 || m.PrevLogEntry == 0 { // news, or a heartbeat
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	c := calm{stirs: q.stirs.Load()}
	if was, known := q.calms[to]; known && was.stirs == c.stirs {
		c.messages = was.messages + 1
	}
	q.calms[to] = c
	return c.messages > quietAfter
}

// hold waits until something happens, but no longer than quietPause.
func (q *quiet) hold(to raft.ServerID) {
	news := q.news.next()
	q.holding.Add(1)
	defer q.holding.Add(-1)
	q.mu.Lock()
	stirred := q.calms[to].stirs != q.stirs.Load()
	q.mu.Unlock()
	if stirred {
		return
	}
	pause := time.NewTimer(quietPause)
	defer pause.Stop()
	select {
	case <-news:
	case <-pause.C:
	case <-q.ended:
	}
}
