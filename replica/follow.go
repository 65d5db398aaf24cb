package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// What a node asks the leader of a group. Kinds from 16 on are for changes of membership.
const (
	kindReady     byte = 1 // are you the leader, and ready? asked with the own origin; answer: its term
	kindReadIndex byte = 2 // what must I have applied to read? answer: an announcement
	kindWrite     byte = 3 // propose this entry; see forward.go for the answers
)

// link is the way to a leader that is ready in a term.
type link struct {
	*stream
	leader  raft.ServerID
	address raft.ServerAddress
	term    uint64
}

// announcement is what a leader says of its log: this is committed.
type announcement struct{ term, index, logTerm uint64 }

const announcementSize = 24

func (a announcement) appendTo(buf []byte) []byte {
	le := binary.LittleEndian
	return le.AppendUint64(le.AppendUint64(le.AppendUint64(buf, a.term), a.index), a.logTerm)
}

func readAnnouncement(data []byte) (announcement, error) {
	if len(data) != announcementSize {
		return announcement{}, fmt.Errorf("an answer of %d bytes: %w", len(data), errDamaged)
	}
	le := binary.LittleEndian
	return announcement{le.Uint64(data), le.Uint64(data[8:]), le.Uint64(data[16:])}, nil
}

// announce says how far this node has come as the leader of term. What it has applied is committed for ever.
func (g *Group) announce(term uint64) announcement {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return announcement{term, g.tip.index, g.tip.term}
}

// believe tells Raft what the leader has announced.
func (l *link) believe(g *Group, a announcement) {
	g.transport.tell(hint{l.leader, l.address, a.term, a.index, a.logTerm})
}

// listen sets what this node answers as a leader.
func (g *Group) listen() {
	g.answers.handleInOrder(kindReady, func(s *session, payload []byte, answer func([]byte, error)) {
		g.proposals.welcome(s)
		g.answers.wg.Go(func() { answer(g.answerReady(s, payload)) })
	})
	g.answers.handle(kindReadIndex, g.answerReadIndex)
	g.answers.handleInOrder(kindWrite, g.proposals.takeWrite)
	g.answers.ended = g.proposals.dismiss
}

// admitMember lets in the streams of nodes that are in the group's configuration.
func (g *Group) admitMember(h hello) error {
	f := g.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	for _, s := range f.Configuration().Servers {
		if string(s.ID) == h.From {
			return nil
		}
	}
	return fmt.Errorf("node %q is not a member of group %d", h.From, g.id)
}

// answerReady waits until this node, once elected, may serve. It remembers who asks.
func (g *Group) answerReady(s *session, payload []byte) ([]byte, error) {
	if len(payload) != 8 {
		return nil, fmt.Errorf("an origin of %d bytes: %w", len(payload), errDamaged)
	}
	ctx, cancel := context.WithTimeout(s.ctx, g.cfg.ElectionWait)
	defer cancel()
	for {
		changed := g.turn.next()
		if term := g.ready.Load(); g.leads(term) {
			g.crew.note(term, s.hello.From, binary.LittleEndian.Uint64(payload))
			return binary.LittleEndian.AppendUint64(nil, term), nil
		}
		if g.raft.State() != raft.Leader {
			return nil, ErrNoLeader
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ErrNoLeader
		case <-g.stopped:
			return nil, ErrClosed
		}
	}
}

// answerReadIndex runs, or joins, a round of this node's own reads.
func (g *Group) answerReadIndex(ctx context.Context, _ []byte) ([]byte, error) {
	term := g.ready.Load()
	if !g.leads(term) {
		return nil, ErrNoLeader
	}
	confirmed := make(chan error, 1)
	g.join(waitingRead{time.Now(), func(err error) { confirmed <- err }})
	select {
	case err := <-confirmed:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !g.leads(term) {
		return nil, ErrNoLeader // the round may have asked another leader
	}
	g.counts.readIndexes.Add(1)
	return g.announce(term).appendTo(nil), nil
}

// askReadIndex makes a round of reads here current: the leader has confirmed, after the round began, that it leads, and
// all that it had committed then is applied here.
func (g *Group) askReadIndex(r *round, l *link) {
	failed := func(err error) {
		g.unlink(l)
		g.end(r, fmt.Errorf("%w: the leader gave no read index: %w", ErrNoLeader, err))
	}
	_, err := l.start(kindReadIndex, nil, func(answer []byte, _ bool, err error) {
		if err != nil {
			failed(err)
			return
		}
		a, err := readAnnouncement(answer)
		if err != nil {
			failed(err)
			return
		}
		l.believe(g, a)
		g.arrive(r, a.index)
	})
	if err != nil {
		failed(err)
	}
}

// unlink forgets a link that did not serve; follow makes a new one.
func (g *Group) unlink(l *link) {
	if g.link.CompareAndSwap(l, nil) {
		select {
		case g.unlinked <- struct{}{}:
		default:
		}
	}
}

// Bounds on how soon follow tries again.
const (
	followPoll = 100 * time.Millisecond
	firstRetry = 2 * time.Millisecond
	lastRetry  = 250 * time.Millisecond
)

// follow keeps a stream to whoever leads the group, unless this node does.
func (g *Group) follow() {
	changes := make(chan raft.Observation, 16)
	observer := raft.NewObserver(changes, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	g.raft.RegisterObserver(observer)
	defer g.raft.DeregisterObserver(observer)
	tick := time.NewTicker(followPoll)
	defer tick.Stop()
	f := follower{Group: g, pause: firstRetry}
	defer f.leave()
	for {
		var retry <-chan time.Time
		if !f.reach() {
			retry = time.After(f.pause)
			f.pause = min(2*f.pause, lastRetry)
		}
		f.succeed()
		var broken <-chan struct{}
		if f.stream != nil {
			broken = f.stream.done
		}
		select {
		case <-g.stopped:
			return
		case <-changes:
			f.pause = firstRetry
		case <-g.unlinked:
			f.rest()
		case <-broken:
		case <-tick.C:
		case <-retry:
		}
	}
}

// follower is the state of follow: the stream to the node that Raft last called the leader.
type follower struct {
	*Group
	leader  raft.ServerID
	address raft.ServerAddress
	stream  *stream
	linked  time.Time     // when it last served
	gone    time.Time     // when it was found that the leader's process is gone; zero while nothing says so
	pause   time.Duration // before the next try
}

// rest makes a pause before a leader that did not serve is asked again.
func (f *follower) rest() {
	if time.Since(f.linked) > lastRetry {
		f.pause = firstRetry
	}
	select {
	case <-time.After(f.pause):
	case <-f.stopped:
	}
	f.pause = min(2*f.pause, lastRetry)
}

// leave gives the stream up. What was asked on it may still be answered, for as long as requests wait.
func (f *follower) leave() {
	if f.stream == nil {
		return
	}
	s := f.stream
	f.stream = nil
	f.link.Store(nil)
	f.proposals.strand(s)
	f.wg.Go(func() {
		tick := time.NewTicker(fatePoll / 5)
		defer tick.Stop()
		for left := time.Now(); s.waiting() && time.Since(left) < f.cfg.ElectionWait; {
			select {
			case <-tick.C:
			case <-f.stopped:
				s.close()
				return
			}
		}
		s.close()
	})
}

// reach makes a link to the leader if there is one and none stands. It reports false when it should be called again soon.
func (f *follower) reach() bool {
	address, leader := f.raft.LeaderWithID()
	if f.stream != nil && (leader != f.leader || address != f.address || f.stream.ended() != nil) {
		f.leave()
	}
	if leader == "" || leader == f.transport.id {
		return true
	}
	if f.link.Load() != nil {
		return true
	}
	if f.stream == nil {
		h := f.transport.hello
		h.To, h.Use = string(leader), useForward
		conn, err := dialPeer(f.cfg.dial, string(address), h, f.cfg.heartbeat)
		if err != nil {
			f.suspect(leader, address, err)
			return false
		}
		f.leader, f.address, f.gone = leader, address, time.Time{}
		f.stream = newStream(conn, string(leader), f.patience())
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.cfg.heartbeat)
	defer cancel()
	data, _, err := f.stream.call(ctx, kindReady, binary.LittleEndian.AppendUint64(nil, f.origin))
	if err != nil || len(data) != 8 {
		return false
	}
	f.linked = time.Now()
	f.link.Store(&link{f.stream, leader, address, binary.LittleEndian.Uint64(data)})
	f.turn.changed()
	f.proposals.kick()
	return true
}

// succession is how much later than the one before it each voter stands for election when the leader's process is gone.
const succession = 200 * time.Millisecond

// suspect notes that a stream to the leader could not be made. When nobody listens where this node had one, its process is gone.
func (f *follower) suspect(leader raft.ServerID, address raft.ServerAddress, err error) {
	if f.gone.IsZero() && leader == f.leader && address == f.address && errors.Is(err, syscall.ECONNREFUSED) {
		f.gone = time.Now()
	}
}

// succeed has this node stand for election when the leader's process is gone and nothing has come from it for as long as
// heartbeats are apart. Raft would wait for a heartbeat timeout, which is there as ever for all other ways to lose a leader.
//
// The voters do so one after the other, by their ids, or they would split the vote; the first may lack an entry that the next
// one has. See docs/adr/0027-succession.md.
func (f *follower) succeed() {
	silence := f.cfg.heartbeat / 5
	if f.gone.IsZero() || time.Since(f.gone) < silence || time.Since(f.raft.LastContact()) < silence {
		return // a vote given is a contact, too
	}
	if _, leader := f.raft.LeaderWithID(); leader != "" && leader != f.leader {
		f.gone = time.Time{}
		return
	}
	future := f.raft.GetConfiguration()
	if f.raft.State() != raft.Follower || future.Error() != nil {
		return
	}
	var heirs []raft.ServerID
	for _, s := range future.Configuration().Servers {
		if s.Suffrage == raft.Voter && s.ID != f.leader {
			heirs = append(heirs, s.ID)
		}
	}
	slices.Sort(heirs)
	if rank := slices.Index(heirs, f.transport.id); rank >= 0 && time.Since(f.gone) >= silence+time.Duration(rank)*succession {
		f.gone = time.Time{}
		f.transport.electNow()
	}
}

// patience is how long a stream to another node may be silent.
func (g *Group) patience() time.Duration { return max(2*g.cfg.heartbeat, minRPCTimeout) }
