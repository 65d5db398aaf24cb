package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/ttl"
)

// Bounds on proposals, in bytes of encoded operations.
const (
	// entryTarget is when an entry is full. Larger ones make replication slow, smaller ones waste an fsync.
	entryTarget = 256 << 10
	// MaxProposal bounds one call of Propose; with the envelope it must stay below the 64 MiB of the log stores.
	MaxProposal = 63 << 20
	// maxWaiting bounds all that waits for the log; more is refused with ErrBusy.
	maxWaiting = 256 << 20
	// maxInFlight is how many entries may be on their way through Raft at once. A second one is only worth an fsync of
	// its own when it is full.
	maxInFlight = 2
)

// Proposal is what one caller wants to have in the log: operations that are applied one after the other, in one entry.
// It may be reused after Propose has returned, unless that returned ErrInDoubt.
type Proposal struct {
	Ops     []byte                           // encoded with fsm.Op.AppendTo
	N       int                              // how many operations Ops holds
	Results []fsm.Result                     // filled by Propose, one for each operation
	See     func(op, pos int, view fsm.View) // shown the state inside transactions, see fsm.Machine.Apply; may be nil
	Done    func(error)                      // of Submit: called once, briefly, when the fate is known; must not block
	done    chan error
	first   int // number of the first operation within the entry
}

// batch is one entry in the making and what waits for it.
type batch struct {
	buf     []byte    // fsm.HeaderSize bytes, then operations
	begun   time.Time // when the first of those who wait asked
	ops     int
	waiting []*Proposal
	seq     uint64           // counts the entries that this node has sent on their way
	future  raft.ApplyFuture // nil when the leader is asked to propose it

	origin, number uint64    // what the entry's header says: who made it, and which of his it is
	term           uint64    // of the leader that was to propose it
	link           *link     // on which its answer is still to come; nil if none is
	due            time.Time // when it must have been applied here; zero while its fate is not known

	guest  *guest // the other node that it came from; nil for our own
	answer func([]byte)
}

// proposals gathers what all connections propose into entries.
//
// mu guards everything below it. It is a leaf except for raft.ApplyLog and the queues of streams: both are called under
// it so that entries leave in the order of their numbers, and both only put the entry into a queue with room.
type proposals struct {
	group *Group

	mu       sync.Mutex
	queue    []*batch // not yet proposed, oldest first; only the last one may still grow
	inFlight []*batch // on their way through Raft here, or at the leader; oldest first
	doubtful []*batch // sent to a leader that is lost; never sent again
	guests   []*guest // other nodes whose entries wait; the first one's turn comes next
	credit   int      // how many guests come before this node's own next entry
	newest   uint64   // term of the newest leader whose first entry is applied here
	free     []*batch // finished ones, to be used again
	waiting  int      // bytes in queue, at most limit
	limit    int
	lastSize int // bytes of the newest entry: a guess for the next
	sequence uint64
	clock    ttl.Clock // of the term that group.ready names
	closed   bool

	idle chan struct{} // closed when closed is set and nothing is in flight
}

func newProposals(g *Group) *proposals {
	return &proposals{group: g, limit: maxWaiting, clock: ttl.Clock{Now: g.cfg.now}, idle: make(chan struct{})}
}

// begin opens the gate of a term in which this node leads, and lets its clock go on from the cluster time of the state.
func (q *proposals) begin(term uint64, clusterMillis int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clock.Reset(clusterMillis)
	q.group.ready.Store(term)
}

// clusterMillis returns what an entry would be stamped with now.
func (q *proposals) clusterMillis() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.clock.Peek()
}

// Propose puts p's operations into the log and returns when they have been applied here. Until then p belongs to the
// group. The errors are promises about the write: see the package's errors.
//
// The context bounds the wait for a leader only. Once the operations are on their way, Propose waits for their fate:
// Raft decides it within an election timeout, or the disk watchdog stops the node.
func (g *Group) Propose(ctx context.Context, p *Proposal) error {
	if len(p.Ops) > MaxProposal {
		return ErrTooLarge
	}
	since := time.Now()
	if err := g.leading(ctx); err != nil {
		return err
	}
	return g.propose(p, since)
}

// propose is Propose without a wait for a leader, which the caller may have done since then.
func (g *Group) propose(p *Proposal, since time.Time) error {
	if p.done == nil {
		p.done = make(chan error, 1)
	}
	if err := g.proposals.add(p, since); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-g.stopped:
		select {
		case err := <-p.done:
			return err
		default:
			return ErrInDoubt
		}
	}
}

// Submit proposes what several callers have gathered, without waiting: each proposal's Done is called when its fate is
// known, with what Propose would have returned. Until then the proposal belongs to the group. Submit reports false, having
// done nothing, when the proposals cannot go now; Propose tells why, or waits until they can.
func (g *Group) Submit(list []*Proposal) bool {
	if !g.leads(g.ready.Load()) && g.link.Load() == nil {
		return false
	}
	q := g.proposals
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for _, p := range list {
		size += len(p.Ops)
	}
	if q.closed || size > MaxProposal || q.waiting+size > q.limit {
		return false
	}
	for _, p := range list {
		q.put(p, size)
		size -= len(p.Ops)
	}
	q.send()
	return true
}

// add puts p into the entry that is being gathered, and lets it go if nothing else is on its way.
func (q *proposals) add(p *Proposal, since time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if q.waiting+len(p.Ops) > q.limit {
		return ErrBusy
	}
	if b := q.put(p, len(p.Ops)); since.Before(b.begun) {
		b.begun = since
	}
	q.send()
	return nil
}

// put adds p to the entry that is being gathered, and returns that. It and what the caller will put in next, in this hold of
// mu, are rest bytes.
func (q *proposals) put(p *Proposal, rest int) *batch {
	b := q.gathering(len(p.Ops), rest)
	p.first = b.ops
	b.buf = append(b.buf, p.Ops...)
	b.ops += p.N
	b.waiting = append(b.waiting, p)
	q.waiting += len(p.Ops)
	return b
}

// gathering returns the entry that takes size more bytes, with room for rest bytes as far as they belong into one entry.
func (q *proposals) gathering(size, rest int) *batch {
	if n := len(q.queue); n > 0 {
		if b := q.queue[n-1]; len(b.buf)+size <= entryTarget {
			if len(b.buf)+size > cap(b.buf) {
				b.buf = slices.Grow(b.buf, min(rest, entryTarget-len(b.buf)))
			}
			return b
		}
	}
	var b *batch
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	} else {
		b = &batch{}
	}
	b.begun = time.Now()
	room := min(max(q.lastSize+q.lastSize/8, fsm.HeaderSize+rest), entryTarget)
	b.buf = make([]byte, fsm.HeaderSize, max(room, fsm.HeaderSize+size))
	q.queue = append(q.queue, b)
	return b
}

// send lets go what may. The caller holds mu.
func (q *proposals) send() {
	for len(q.inFlight) < maxInFlight {
		b := q.next()
		if b == nil || !q.propose(b) {
			return
		}
	}
}

// next takes the entry whose turn it is. Of each node's entries any may go when none of that node is on its way, else full
// ones only; other nodes see to that themselves. The caller holds mu.
func (q *proposals) next() *batch {
	own := len(q.queue) > 1 || len(q.queue) == 1 && !q.busy()
	if len(q.guests) > 0 && (!own || q.credit > 0) {
		q.credit = max(q.credit-1, 0)
		return q.nextGuest()
	}
	if !own {
		return nil
	}
	q.credit = len(q.guests)
	b := q.queue[0]
	q.queue = append(q.queue[:0], q.queue[1:]...)
	q.waiting -= len(b.buf) - fsm.HeaderSize
	return b
}

// busy reports whether an entry of this node is on its way.
func (q *proposals) busy() bool {
	for _, b := range q.inFlight {
		if b.guest == nil {
			return true
		}
	}
	return false
}

// mayGo reports whether there is a leader to propose an entry.
func (q *proposals) mayGo() bool {
	g := q.group
	return g.leads(g.ready.Load()) || g.link.Load() != nil
}

// propose stamps one entry and hands it to Raft, if this node leads, or sends it to the leader. It reports false when there
// is none; then the entry waits. The caller holds mu.
func (q *proposals) propose(b *batch) bool {
	g := q.group
	term := g.ready.Load()
	if !g.leads(term) {
		if b.guest != nil {
			q.refuse(b, ErrNoLeader)
			return true
		}
		l := g.link.Load()
		if l == nil {
			q.again(b)
			return false
		}
		if q.forward(b, l) != nil {
			g.unlink(l)
			q.again(b)
			return false
		}
		return true
	}
	q.sequence++
	b.seq, b.term = q.sequence, term
	if b.guest == nil {
		b.origin, b.number = g.origin, b.seq
		q.lastSize = len(b.buf)
	}
	fsm.SealEntry(b.buf, fsm.Header{
		Term:          term,
		ClusterMillis: q.clock.Stamp(),
		WallMillis:    g.cfg.now().UnixMilli(),
		Origin:        b.origin,
		Sequence:      b.number,
		MaxValue:      uint32(g.cfg.MaxValue),
		AutoMkdir:     g.cfg.AutoMkdir,
	}, b.ops)
	b.future = g.raft.ApplyLog(raft.Log{Data: b.buf}, enqueueTimeout)
	q.inFlight = append(q.inFlight, b)
	return true
}

// enqueueTimeout bounds the wait for room in Raft's queue, which has more room than maxInFlight can fill.
const enqueueTimeout = time.Second

// depth returns how much waits here: bytes that wait for their turn, entries in flight, entries in doubt.
func (q *proposals) depth() (queued int64, inFlight, doubtful int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(q.waiting), len(q.inFlight), len(q.doubtful)
}

// take removes an entry from flight when it is applied. It returns nil if nobody here waits for it.
func (q *proposals) take(origin, number uint64) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, b := range q.inFlight {
		if b.number == number && b.origin == origin {
			q.inFlight = slices.Delete(q.inFlight, i, i+1)
			return b
		}
	}
	for i, b := range q.doubtful {
		if b.number == number && b.origin == origin {
			q.doubtful = slices.Delete(q.doubtful, i, i+1)
			return b
		}
	}
	return nil
}

// applied tells everyone in b that it is done, at that place of the log, and lets the next entry go.
func (q *proposals) applied(b *batch, index, term uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.guest != nil {
		q.tell(b, nil, index, term)
	}
	q.finish(b, nil)
	q.send()
}

// failed ends an entry that Raft gave up, unless it was applied all the same. One of ours that never entered the log waits
// for the next leader, and one that may be in it for what the next leader's log says.
func (q *proposals) failed(seq uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.inFlight, func(b *batch) bool { return b.seq == seq })
	if i >= 0 {
		b := q.inFlight[i]
		q.inFlight = slices.Delete(q.inFlight, i, i+1)
		switch {
		case b.guest != nil:
			q.tell(b, err, 0, 0)
			q.finish(b, err)
		case errors.Is(err, ErrNoLeader):
			q.again(b)
		case errors.Is(err, raft.ErrLeadershipLost):
			q.doubt(b) // the next leader may have it
		default:
			q.finish(b, err)
		}
	}
	q.send()
}

// finish answers all that wait for b and keeps b for another entry. Its buffer stays with Raft for as long as a
// follower may need it. The caller holds mu.
func (q *proposals) finish(b *batch, err error) {
	if errors.Is(err, ErrInDoubt) {
		q.group.counts.inDoubt.Add(uint64(len(b.waiting)))
	}
	if err == nil && b.guest == nil {
		q.group.timings.propose.Observe(time.Since(b.begun), 1)
	}
	for i, p := range b.waiting {
		if p.Done != nil {
			p.Done(err)
		} else {
			p.done <- err
		}
		b.waiting[i] = nil
	}
	*b = batch{waiting: b.waiting[:0]}
	if len(q.free) < maxInFlight {
		q.free = append(q.free, b)
	}
	q.signalIdle()
}

func (q *proposals) signalIdle() {
	if q.closed && len(q.inFlight)+len(q.doubtful) == 0 {
		select {
		case <-q.idle:
		default:
			close(q.idle)
		}
	}
}

// close refuses new proposals and fails those that did not enter the log yet. When nothing is in flight any more, idle
// is closed.
func (q *proposals) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	waiting := q.queue
	q.queue, q.waiting = nil, 0
	for _, b := range waiting {
		q.finish(b, ErrClosed)
	}
	for _, g := range q.guests {
		for _, b := range g.queue {
			q.refuse(b, ErrClosed)
		}
		g.queue = nil
	}
	q.guests = nil
	q.signalIdle()
}

// abandon tells those whose entries are still in flight that nobody will know what becomes of them.
func (q *proposals) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range slices.Concat(q.inFlight, q.doubtful) {
		if b.guest != nil {
			q.tell(b, ErrInDoubt, 0, 0)
		}
		q.finish(b, ErrInDoubt)
	}
	q.inFlight, q.doubtful = nil, nil
}

// followFates looks after entries that are in flight for long, so that nobody waits for ever for one that Raft gave up.
// The apply callback delivers results and needs no future: to wait for each would wake a goroutine twice per entry for
// nothing. Raft may lose futures when it shuts down; then this goroutine stays behind, and stopped releases those who
// wait.
//
// It also gives up what has waited for a leader for too long.
func (g *Group) followFates() {
	defer close(g.fates)
	tick := time.NewTicker(fatePoll)
	defer tick.Stop()
	var last uint64
	for {
		deposed := false
		select {
		case <-g.stopped:
			return
		case <-g.deposed:
			deposed = true // Raft has decided about all that it had
		case <-tick.C:
			g.proposals.overdue()
		}
		for {
			seq, future := g.proposals.oldest()
			if future == nil || seq != last && !deposed {
				last = seq
				break
			}
			last = seq
			err := future.Error()
			if err != nil {
				g.proposals.failed(seq, verdict(err))
			}
			if err == nil || !deposed {
				break
			}
		}
	}
}

// fatePoll is how long an entry is in flight before its future is looked at, at the least; twice that at the most.
const fatePoll = 50 * time.Millisecond

// oldest returns the entry that has been with Raft for longest.
func (q *proposals) oldest() (uint64, raft.ApplyFuture) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.inFlight {
		if b.future != nil {
			return b.seq, b.future
		}
	}
	return 0, nil
}
