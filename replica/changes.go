package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// What the leader looks at before it changes the configuration, and how it waits for a change. The library would accept
// changes that leave a cluster without a majority that answers, and takes a new configuration as soon as it is written.

// commit begins a change and waits until it is committed and applied here.
func (g *Group) commit(begin func(wait time.Duration) raft.IndexFuture) error {
	result := make(chan error, 1)
	go func() { result <- begin(g.cfg.ElectionWait).Error() }() // Raft may lose a future at shutdown; then this stays behind
	select {
	case err := <-result:
		return changeVerdict(err)
	case <-time.After(changeWait):
		return fmt.Errorf("%w: no majority has it after %v", ErrInDoubt, changeWait)
	case <-g.stopped:
		return ErrInDoubt
	}
}

// changeVerdict says what Raft's answer to a change means.
func changeVerdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return refuse("an earlier change of membership is not committed yet; try again")
	case strings.HasPrefix(err.Error(), "configuration changed since"): // the library has no value for it
		return fmt.Errorf("%w: the configuration has just changed", ErrNoLeader)
	}
	return verdict(err)
}

// mayAdd refuses a node that would be confused with another one, and reports whether there is nothing left to do.
func (c *configuration) mayAdd(n change, known *acquaintances) (done bool, err error) {
	for _, s := range c.servers {
		same := string(s.ID) == n.ID
		who, met := known.find(n.ID)
		switch {
		case same && n.Incarnation != "" && (met || s.Suffrage == raft.Voter) && n.Incarnation != who.Incarnation:
			return false, refuse("node '%s' is a member already, and not the one that asks. If it lost its data, remove it "+
				"(DTKV.CLUSTER REMOVE %s) and start it on an empty data directory under a new --node-id", n.ID, n.ID)
		case same && string(s.Address) == n.Address:
			return true, nil
		case same:
			return false, refuse("node '%s' is a member already, at %s; remove it first, or choose another id", n.ID, s.Address)
		case string(s.Address) == n.Address:
			return false, refuse("address %s is that of node '%s'", n.Address, s.ID)
		}
	}
	if len(c.servers) >= maxMembers {
		return false, refuse("the group has %d members, which is the most", maxMembers)
	}
	return false, nil
}

// mayMove refuses an address that is taken, and reports whether there is nothing left to do.
func (c *configuration) mayMove(n change) (done bool, err error) {
	for _, s := range c.servers {
		if string(s.Address) == n.Address {
			if string(s.ID) == n.ID {
				return true, nil
			}
			return false, refuse("address %s is that of node '%s'", n.Address, s.ID)
		}
	}
	return false, nil
}

// mayPromote waits until a learner has all that this node had in its log when it was asked.
func (g *Group) mayPromote(ctx context.Context, term uint64, s raft.Server) error {
	goal := g.raft.LastIndex()
	for began := time.Now(); ; {
		last, ok := g.probe(s, term)
		switch {
		case !g.leads(term):
			return ErrNoLeader
		case !ok && time.Since(began) > time.Second:
			return refuse("node '%s' does not answer at %s", s.ID, s.Address)
		case ok && last+promoteLag < goal:
			return refuse("node '%s' lacks %d of the leader's log entries, more than %d; promote it when it has caught up", s.ID, goal-last, promoteLag)
		case ok && last >= goal:
			return nil
		case time.Since(began) > promoteWait:
			return refuse("node '%s' lags behind the leader by more than %v; promote it when it has caught up", s.ID, promoteWait)
		}
		select {
		case <-time.After(probePoll):
		case <-ctx.Done():
			return refuse("the wait for node '%s' to catch up was given up", s.ID)
		case <-g.stopped:
			return ErrClosed
		}
	}
}

// mayLose refuses to take a vote away when the voters that are left could not form a majority. When the vote is this
// node's own, it hands its leadership over and answers errMoved: a leader that takes itself out would count its own disk
// toward a majority that it is no longer part of.
func (g *Group) mayLose(term uint64, now *configuration, s raft.Server, fate string) error {
	left := slices.DeleteFunc(now.voters(), func(v raft.Server) bool { return v.ID == s.ID })
	if len(left) == 0 {
		return refuse("node '%s' is the last voter and cannot be %s", s.ID, fate)
	}
	silent := g.silent(term, left)
	if answer := len(left) - len(silent); answer < len(left)/2+1 {
		return refuse("node '%s' cannot be %s: of the %d voters that would be left only %d would answer; %s does not",
			s.ID, fate, len(left), answer, strings.Join(silent, ", "))
	}
	if s.ID != g.transport.id {
		return nil
	}
	if err := g.handOver(term, now, ""); err != nil {
		return err
	}
	return errMoved
}

// probe asks a member whether it follows this node's term, and where its log ends.
func (g *Group) probe(s raft.Server, term uint64) (last uint64, ok bool) {
	if s.ID == g.transport.id {
		return g.raft.LastIndex(), true
	}
	return g.transport.ask(s, term)
}

// silent returns the ids of those that do not answer.
func (g *Group) silent(term uint64, servers []raft.Server) (ids []string) {
	answers := make([]bool, len(servers))
	done := make(chan struct{})
	for i, s := range servers {
		go func() {
			_, answers[i] = g.probe(s, term)
			done <- struct{}{}
		}()
	}
	for range servers {
		<-done
	}
	for i, s := range servers {
		if !answers[i] {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}

// handOver makes another voter lead: that one, or with an empty id the one whose log is longest. It returns once a
// successor is known.
func (g *Group) handOver(term uint64, now *configuration, id string) error {
	self := string(g.transport.id)
	if id == self {
		return nil
	}
	to, err := g.successor(term, now, id)
	if err != nil {
		return err
	}
	g.transport.quiet.stir() // or Raft would wait for an answer that is held back
	result := make(chan error, 1)
	future := g.raft.LeadershipTransferToServer(to.ID, to.Address)
	go func() { result <- future.Error() }() // see commit
	select {
	case err = <-result:
	case <-time.After(changeWait):
		err = errors.New("no answer")
	case <-g.stopped:
		return ErrClosed
	}
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return ErrNoLeader
	case errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return refuse("leadership is being handed over already")
	case err != nil:
		return refuse("node '%s' has not taken over: %v", to.ID, err)
	}
	for deadline := time.Now().Add(g.cfg.ElectionWait); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		_, leader := g.raft.LeaderWithID()
		switch {
		case leader == to.ID, leader != "" && leader != g.transport.id && id == "":
			return nil
		case leader != "" && leader != g.transport.id:
			return refuse("node '%s' leads now, not '%s'", leader, to.ID)
		}
	}
	return refuse("leadership was given up, and no leader is known yet")
}

// successor chooses who is to lead next.
func (g *Group) successor(term uint64, now *configuration, id string) (best raft.Server, err error) {
	if s, member := now.find(id); id != "" && !member {
		return best, refuse("node '%s' is not a member", id)
	} else if member && s.Suffrage != raft.Voter {
		return best, refuse("node '%s' is a learner and cannot lead; promote it first", id)
	}
	var longest uint64
	others := 0
	for _, s := range now.voters() {
		if s.ID == g.transport.id || id != "" && id != string(s.ID) {
			continue
		}
		others++
		if last, ok := g.probe(s, term); ok && (best.ID == "" || last > longest) {
			best, longest = s, last
		}
	}
	switch goal := g.raft.LastIndex(); {
	case others == 0:
		return best, refuse("there is no other voter to hand leadership to")
	case best.ID == "" && id != "":
		return best, refuse("node '%s' does not answer", id)
	case best.ID == "":
		return best, refuse("no other voter answers")
	case longest+promoteLag < goal:
		return best, refuse("node '%s' lacks %d log entries; it can lead when it has caught up", best.ID, goal-longest)
	}
	return best, nil
}

// HandOver gives leadership away in every group that this node leads and that has another voter. A node that is about to
// stop calls it, so that nobody waits for an election, and nobody's write is in doubt. It takes as long as ctx allows, and
// failure means an election.
func (n *Node) HandOver(ctx context.Context) {
	n.stopping.Store(true)
	var wg sync.WaitGroup
	for _, g := range n.held() {
		if !g.leads(g.ready.Load()) || g.stores.log.sole.Load() {
			continue
		}
		wg.Go(func() {
			if err := g.giveUp(ctx); err != nil {
				g.cfg.Logger.Warn("leadership was not handed over", "group", g.id, "error", err)
			}
		})
	}
	wg.Wait()
}

// giveUp hands leadership over, tries again while that fails, and then waits for the other nodes to turn to their new leader.
// What they have asked here is answered meanwhile; an end of their streams would leave it in doubt.
func (g *Group) giveUp(ctx context.Context) error {
	term := g.ready.Load()
	for {
		err := g.changeHere(ctx, change{Kind: transfer})
		if err == nil {
			break
		}
		if !g.leads(term) {
			return err
		}
		select {
		case <-time.After(probePoll):
		case <-ctx.Done():
			return err
		case <-g.stopped:
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, g.patience()) // a node that stands still will not go
	defer cancel()
	g.answers.deserted(ctx)
	return nil
}
