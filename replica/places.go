package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// Who holds a group beside group 0 is said by the catalogue, and the group's leader makes its configuration so. A change is
// written into the catalogue first: whoever leads next carries on from there.

// changePlaces makes a change that somebody asks for: this node leads a group beside group 0.
func (g *Group) changePlaces(ctx context.Context, term uint64, c change) error {
	if c.Kind == transfer || c.Kind == move {
		return g.alter(ctx, term, c)
	}
	if err := g.node.base.barrier(ctx); err != nil {
		return err
	}
	now := g.node.catalogue()
	r, ok := now.find(g.id)
	s, member := g.configured.Load().find(c.ID)
	switch {
	case !ok || r.Generation != g.generation:
		return refuse("group %d has been removed", g.id)
	case c.Kind == expel && !member:
		return nil
	case c.Kind == expel && now.isHolder(r, c.ID):
		return refuse("node '%s' is to hold group %d", c.ID, g.id)
	case c.Kind == expel:
		return g.alter(ctx, term, change{Kind: remove, ID: c.ID})
	case r.Everywhere:
		return refuse("group %d lives on all nodes of the cluster, as group 0 has them: change group 0", g.id)
	}
	role, err := g.mayPlace(ctx, term, now, r, &c)
	if err != nil {
		return err
	}
	if err := g.catalog(ctx, &fsm.SetGroupNode{ID: g.id, Generation: g.generation, Node: c.ID, Role: role}); err != nil {
		return err
	}
	switch {
	case c.Kind == remove && !member:
		return nil
	case c.Kind == addLearner && s.Suffrage == raft.Voter && member:
		return nil
	case c.Kind == addLearner:
		if err := g.awaitOpen(ctx, c); err != nil {
			return err
		}
	}
	return g.alter(ctx, term, c)
}

// mayPlace refuses what the configuration could not follow, and returns what the node is to do in the group. It fills in the
// address of a node that is to be added.
func (g *Group) mayPlace(ctx context.Context, term uint64, now catalogue, r fsm.GroupRecord, c *change) (role fsm.Role, err error) {
	known := g.configured.Load()
	s, member := known.find(c.ID)
	listed := slices.ContainsFunc(r.Nodes, func(n fsm.GroupNode) bool { return n.ID == c.ID })
	if !member && c.Kind != addLearner && !(c.Kind == remove && listed) {
		return 0, refuse("node '%s' is not a member", c.ID)
	}
	switch c.Kind {
	case addLearner:
		home, ok := now.nodes.find(c.ID)
		if !ok || slices.Contains(now.leaving, c.ID) {
			return 0, refuse("node '%s' is not a member of the cluster; add it to group 0 first", c.ID)
		}
		c.Address = string(home.Address)
		if _, err := known.mayAdd(*c, g.node.known); err != nil {
			return 0, err
		}
		if _, err := g.node.base.meet(ctx, home); err != nil {
			return 0, refuse("node '%s' does not answer at %s", c.ID, c.Address)
		}
		if s.Suffrage == raft.Voter && member {
			return fsm.Voter, nil
		}
		return fsm.Learner, nil
	case promote:
		if s.Suffrage != raft.Voter {
			err = g.mayPromote(ctx, term, s)
		}
		return fsm.Voter, err
	case demote, remove:
		if member && s.Suffrage == raft.Voter {
			fate := map[changeKind]string{demote: "demoted", remove: "removed"}[c.Kind]
			err = g.mayLose(term, known, s, fate)
		}
		if c.Kind == demote {
			return fsm.Learner, err
		}
		return fsm.NoRole, err
	}
	return 0, refuse("unknown change %q", c.Kind)
}

// awaitOpen waits until a node that is to be added has opened the group. What is sent to it before is refused, and Raft
// would try again later and later.
func (g *Group) awaitOpen(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		_, err := g.meet(ctx, raft.Server{ID: raft.ServerID(c.ID), Address: raft.ServerAddress(c.Address)})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(probePoll):
		case <-ctx.Done():
			return fmt.Errorf("%w: node '%s' has not opened group %d: %w", ErrInDoubt, c.ID, g.id, err)
		case <-g.stopped:
			return ErrClosed
		}
	}
}

// settle does what is to be done while this node leads: in group 0 it forgets nodes that have left, in other groups it makes
// the configuration what the catalogue says.
func (g *Group) settle(ctx context.Context) error {
	if !g.leads(g.ready.Load()) {
		return nil
	}
	if g.id == 0 {
		return g.forgetLeft(ctx)
	}
	if len(g.unsettled()) == 0 {
		return nil
	}
	// Who acts on a catalogue that is not the newest one might take back what another leader has done.
	if err := g.node.base.barrier(ctx); err != nil {
		return err
	}
	var errs []error
	for _, c := range g.unsettled() {
		if err := g.settleOne(ctx, c); err != nil {
			errs = append(errs, err)
		} else {
			g.stir() // what was added may be promoted
		}
	}
	return errors.Join(errs...)
}

// unsettled returns what is to be changed in the configuration, additions first.
func (g *Group) unsettled() (list []change) {
	now := g.node.catalogue()
	r, ok := now.find(g.id)
	if !ok || r.Generation != g.generation {
		return nil
	}
	known, wanted := g.configured.Load(), now.holders(r)
	var later []change
	for _, w := range wanted {
		s, member := known.find(string(w.ID))
		switch {
		case !member:
			list = append(list, change{Kind: addLearner, ID: string(w.ID), Address: string(w.Address)})
		case w.Suffrage == raft.Voter && s.Suffrage != raft.Voter:
			list = append(list, change{Kind: promote, ID: string(w.ID)})
		case w.Suffrage != raft.Voter && s.Suffrage == raft.Voter:
			later = append(later, change{Kind: demote, ID: string(w.ID)})
		}
	}
	for _, s := range known.servers {
		if !slices.ContainsFunc(wanted, func(w raft.Server) bool { return w.ID == s.ID }) {
			later = append(later, change{Kind: remove, ID: string(s.ID)})
		}
	}
	return append(list, later...)
}

func (g *Group) settleOne(ctx context.Context, c change) error {
	select {
	case g.changing <- struct{}{}:
		defer func() { <-g.changing }()
	case <-g.stopped:
		return ErrClosed
	}
	term := g.ready.Load()
	if !g.leads(term) {
		return nil // the next leader will see to it
	}
	if c.Kind == addLearner {
		if _, err := g.meet(ctx, raft.Server{ID: raft.ServerID(c.ID), Address: raft.ServerAddress(c.Address)}); err != nil {
			return fmt.Errorf("node '%s' has not opened group %d: %w", c.ID, g.id, err)
		}
	}
	err := g.alter(ctx, term, c)
	if errors.Is(err, ErrNoLeader) {
		return nil // likewise, or the configuration has just changed
	}
	return err
}

// forgetLeft clears nodes out of the catalogue that were taken out of the cluster.
func (g *Group) forgetLeft(ctx context.Context) error {
	now := g.node.catalogue()
	for _, id := range now.leaving {
		if _, member := now.nodes.find(id); !member {
			if err := g.catalog(ctx, &fsm.NodeLeaves{Node: id, Step: fsm.Gone}); err != nil {
				return err
			}
		}
	}
	return nil
}
