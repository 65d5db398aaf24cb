package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// useJoin: a node that has no cluster yet asks to be taken in.
const useJoin = "join"

const (
	joinWait = 30 * time.Second // for a member to answer
	joinTime = 5 * time.Second  // for one answer
	joinPoll = 500 * time.Millisecond
	// keepPoll is how often a node looks whether the cluster sees it as it sees itself.
	keepPoll = time.Second
)

// joining is what a node says that asks to be taken in; who it is, its hello says.
type joining struct {
	Address string `json:"address"`
}

// welcome is the answer.
type welcome struct {
	outcome
	Cluster string `json:"cluster"`
}

// join asks the members that the configuration names to take this node in, as a learner, until one has. It may be repeated,
// also by a later start, until the node knows that it is in.
func (n *Node) join() error {
	ctx, cancel := context.WithTimeout(context.Background(), joinWait)
	defer cancel()
	var last error
	for {
		for _, at := range n.cfg.Join {
			w, err := n.askIn(ctx, at)
			var refusal *Refusal
			switch {
			case errors.As(err, &refusal):
				return fmt.Errorf("join %s: %w", at, err)
			case err != nil:
				last = fmt.Errorf("%s: %w", at, err)
				continue
			}
			n.cfg.Logger.Info("taken into the cluster", "cluster", w.Cluster, "by", at)
			return n.record(func(m *metadata) {
				m.ClusterID, m.Joined, m.Joining = w.Cluster, w.Index, false
			})
		}
		n.cfg.Logger.Warn("not taken into a cluster yet", "error", last)
		select {
		case <-time.After(joinPoll):
		case <-n.cfg.Stop:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("join: nobody has taken this node in within %v: %w", joinWait, last)
		}
	}
}

func (n *Node) askIn(ctx context.Context, at string) (w welcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	h := n.hello("", place{}, useJoin)
	h.known = nil // whoever answers
	if _, err := putQuestion(ctx, n.cfg.dial, at, h, joining{n.address}, &w); err != nil {
		return w, err
	}
	return w, w.error()
}

// answerJoin takes a node in.
func (g *Group) answerJoin(ctx context.Context, from hello, question []byte) any {
	var j joining
	if err := json.Unmarshal(question, &j); err != nil {
		return welcome{outcome: outcomeOf(0, refuse("not a request to join: %v", err))}
	}
	index, err := g.change(ctx, change{Kind: addLearner, ID: from.From, Address: j.Address, Incarnation: from.Incarnation})
	return welcome{outcomeOf(index, err), g.node.meta.ClusterID}
}

// record changes the metadata, on disk first.
func (n *Node) record(change func(*metadata)) error {
	n.metaMu.Lock()
	defer n.metaMu.Unlock()
	m := n.meta
	change(&m)
	if err := m.write(n.cfg.DataDir); err != nil {
		return err
	}
	change(&n.meta)
	return nil
}

// recordGroup writes down that this node holds a group, or does not any more.
func (n *Node) recordGroup(p place, held bool) error {
	n.metaMu.Lock()
	at, listed := slices.BinarySearch(n.meta.Groups, p.name())
	n.metaMu.Unlock()
	if p.id == 0 || listed == held { // only one goroutine comes here at a time
		return nil
	}
	return n.record(func(m *metadata) {
		if m.Groups = slices.Clone(m.Groups); held {
			m.Groups = slices.Insert(m.Groups, at, p.name())
		} else {
			m.Groups = slices.Delete(m.Groups, at, at+1)
		}
	})
}

// wantsVote reports whether the node is to ask for a vote.
func (n *Node) wantsVote() bool {
	n.metaMu.Lock()
	defer n.metaMu.Unlock()
	return n.meta.WantsVote
}

// keepPlace looks after this node's place in the group: it has its address changed when it has moved, and while it leads a
// group beside group 0, it makes the members those that the catalogue names. In group 0 it also asks for the vote that the
// node came for, introduces the node to those it has not met, and ends it when it was removed.
func (g *Group) keepPlace() {
	tick := time.NewTicker(keepPoll)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g.wg.Go(func() {
		<-g.stopped
		cancel()
	})
	met := map[raft.ServerID]bool{}
	said := ""
	for {
		select {
		case <-g.stopped:
			return
		case <-tick.C:
		case <-g.stirred:
		}
		if g.id == 0 {
			g.meetOthers(ctx, met)
		}
		// It will be tried for as long as it takes.
		if err := errors.Join(g.claim(ctx), g.settle(ctx)); err != nil && err.Error() != said {
			said = err.Error()
			g.cfg.Logger.Info("the members are not yet as they should be", "group", g.id, "error", err)
		}
	}
}

// stir lets keepPlace look at once.
func (g *Group) stir() {
	select {
	case g.stirred <- struct{}{}:
	default:
	}
}

// claim asks for what this node lacks.
func (g *Group) claim(ctx context.Context) error {
	self, member := g.configured.Load().find(g.node.meta.NodeID)
	switch {
	case !member:
		return nil
	case self.Address != g.transport.LocalAddr():
		_, err := g.change(ctx, change{Kind: move, ID: string(self.ID), Address: string(g.transport.LocalAddr())})
		return err
	case g.id != 0 || !g.node.wantsVote():
		return nil
	case self.Suffrage != raft.Voter:
		if err := g.Promote(ctx, string(self.ID)); err != nil {
			return err
		}
	}
	return g.node.record(func(m *metadata) { m.WantsVote = false })
}

// meetOthers introduces this node to members that it has not met since its start, and to all while it knows no leader: one
// of them may tell it that it was removed.
func (g *Group) meetOthers(ctx context.Context, met map[raft.ServerID]bool) {
	_, leader := g.raft.LeaderWithID()
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID == g.transport.id || met[s.ID] && leader != "" {
			continue
		}
		wait, cancel := context.WithTimeout(ctx, surveyTime)
		i, err := g.meet(wait, s)
		cancel()
		switch {
		case errors.Is(err, errLost):
			g.node.fail(fmt.Errorf("%w; see DTKV.CLUSTER REMOVE, and start it on an empty data directory under a new --node-id", err))
		case err == nil && !i.Member && i.Configured > g.node.meta.Joined:
			g.node.removed()
		}
		met[s.ID] = err == nil
	}
}

// removed ends a node that is no member any more.
func (n *Node) removed() {
	err := n.record(func(m *metadata) { m.Removed = true })
	n.fail(errors.Join(fmt.Errorf("node '%s' %w", n.meta.NodeID, errRemoved), err))
}

var errRemoved = errors.New("was removed from the cluster. To bring the machine back, start it on an empty data directory under a new id")

// announce is the address that other nodes are told.
func announce(cfg Config, listener net.Listener) string {
	for _, p := range cfg.Peers {
		if p.ID == cfg.NodeID {
			return p.Address
		}
	}
	if cfg.Advertise != "" {
		return cfg.Advertise
	}
	return listener.Addr().String()
}
