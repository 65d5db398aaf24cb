package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// catalogue is which groups there are and which nodes, as group 0 has it here.
type catalogue struct {
	records []fsm.GroupRecord
	leaving []string       // nodes that are to leave all groups
	nodes   *configuration // of group 0
}

func (n *Node) catalogue() (c catalogue) {
	n.base.mu.RLock()
	v := n.base.machine.View()
	c.records, c.leaving = v.Groups(), v.Leaving()
	n.base.mu.RUnlock()
	c.nodes = n.base.configured.Load()
	return c
}

// find returns the record of a group other than 0.
func (c catalogue) find(id int) (fsm.GroupRecord, bool) {
	i := slices.IndexFunc(c.records, func(r fsm.GroupRecord) bool { return r.ID == id })
	if i < 0 {
		return fsm.GroupRecord{}, false
	}
	return c.records[i], true
}

// current reports whether the catalogue has the group in that generation.
func (c catalogue) current(p place) bool {
	r, ok := c.find(p.id)
	return ok && r.Generation == p.generation
}

// place returns what tells a group from others.
func (c catalogue) place(id int) (place, bool) {
	if id == 0 {
		return place{}, true
	}
	r, ok := c.find(id)
	return place{id: r.ID, generation: r.Generation}, ok
}

// holders returns the nodes that are to hold a group, with the vote that they are to have.
func (c catalogue) holders(r fsm.GroupRecord) (list []raft.Server) {
	for _, s := range c.nodes.servers {
		i := slices.IndexFunc(r.Nodes, func(n fsm.GroupNode) bool { return n.ID == string(s.ID) })
		if slices.Contains(c.leaving, string(s.ID)) || i < 0 && !r.Everywhere {
			continue
		}
		if i >= 0 {
			s.Suffrage = suffrage(r.Nodes[i].Voter)
		}
		list = append(list, s)
	}
	return list
}

func suffrage(voter bool) raft.ServerSuffrage {
	if voter {
		return raft.Voter
	}
	return raft.Nonvoter
}

// isHolder reports whether a node is to hold a group.
func (c catalogue) isHolder(r fsm.GroupRecord, node string) bool {
	return slices.ContainsFunc(c.holders(r), func(s raft.Server) bool { return string(s.ID) == node })
}

// founders returns the first configuration of a group, if the node is to make it. One that left the group since then must
// not: what it knew of the group it has forgotten.
func founders(r fsm.GroupRecord, node string) (servers []raft.Server) {
	self := false
	for _, f := range r.Founders {
		self = self || f.ID == node && !f.Left
		servers = append(servers, raft.Server{ID: raft.ServerID(f.ID), Address: raft.ServerAddress(f.Address), Suffrage: suffrage(f.Voter)})
	}
	if !self {
		return nil
	}
	return servers
}

// checkGroup refuses what the catalogue could not hold.
func (c change) checkGroup() error {
	if c.Group < 1 || c.Group > fsm.MaxGroup {
		return refuse("group %d: want a number from 1 to %d", c.Group, fsm.MaxGroup)
	}
	for i, id := range c.Nodes {
		if err := CheckNodeID(id); err != nil {
			return &Refusal{err.Error()}
		}
		if slices.Contains(c.Nodes[:i], id) {
			return refuse("node '%s' is named twice", id)
		}
	}
	return nil
}

// changeGroups adds or removes a group. This node leads group 0, and its members do not change meanwhile.
func (g *Group) changeGroups(ctx context.Context, term uint64, c change) error {
	if g.id != 0 {
		return refuse("group %d has no catalogue", g.id)
	}
	now := g.node.catalogue()
	r, exists := now.find(c.Group)
	switch {
	case c.Kind == removeGroup && !exists:
		return refuse("group %d does not exist", c.Group)
	case c.Kind == removeGroup:
		return g.catalog(ctx, &fsm.RemoveGroup{ID: r.ID, Generation: r.Generation})
	case exists:
		return refuse("group %d exists already", c.Group)
	}
	op := &fsm.AddGroup{ID: c.Group, Everywhere: len(c.Nodes) == 0}
	var voters []raft.Server
	for _, s := range now.nodes.servers {
		named := slices.Contains(c.Nodes, string(s.ID))
		switch {
		case slices.Contains(now.leaving, string(s.ID)) || !named && !op.Everywhere:
			continue
		case named:
			s.Suffrage = raft.Voter
		}
		if s.Suffrage == raft.Voter {
			voters = append(voters, s)
		}
		op.Founders = append(op.Founders, fsm.Founder{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	for _, id := range c.Nodes {
		if !slices.ContainsFunc(op.Founders, func(f fsm.Founder) bool { return f.ID == id }) {
			return refuse("node '%s' is not a member of the cluster", id)
		}
	}
	if silent := g.silent(term, voters); len(voters)-len(silent) < len(voters)/2+1 {
		return refuse("group %d would have no majority: %s of its %d voters do not answer", c.Group, strings.Join(silent, ", "), len(voters))
	}
	return g.catalog(ctx, op)
}

// catalog changes the catalogue, wherever the leader of group 0 is, and returns when the change is applied here.
func (g *Group) catalog(ctx context.Context, op fsm.Op) error {
	p := &Proposal{Ops: op.AppendTo(nil), N: 1}
	if err := g.node.base.Propose(ctx, p); err != nil {
		return err
	}
	if err := p.Results[0].Err; err != nil {
		return refuse("the catalogue of groups refuses to %s: %v", op, err)
	}
	return nil
}

// changeNodes changes the members of the cluster: this node leads group 0. Who is to go leaves all other groups first.
func (g *Group) changeNodes(ctx context.Context, term uint64, c change) error {
	now := g.node.catalogue()
	leaving := slices.Contains(now.leaving, c.ID)
	s, member := now.nodes.find(c.ID)
	switch {
	case c.Kind == addLearner && c.Address == "":
		return refuse("node '%s' needs an address", c.ID)
	case c.Kind == addLearner && leaving && member: // it was to be removed and is not, see below
		if err := g.catalog(ctx, &fsm.NodeLeaves{Node: c.ID, Step: fsm.Stays}); err != nil {
			return err
		}
	case c.Kind == addLearner && leaving:
		if err := g.catalog(ctx, &fsm.NodeLeaves{Node: c.ID, Step: fsm.Gone}); err != nil {
			return err
		}
	case c.Kind == remove && member && len(now.records) > 0:
		if s.Suffrage == raft.Voter {
			if err := g.mayLose(term, now.nodes, s, "removed"); err != nil {
				return err
			}
		}
		if err := g.vacate(ctx, c.ID); err != nil {
			return err
		}
	}
	if err := g.alter(ctx, term, c); err != nil || c.Kind != remove {
		return err
	}
	g.stir() // to clear up
	return nil
}

// vacate takes a node out of all groups but group 0. If one cannot do without it, it stays in all.
func (g *Group) vacate(ctx context.Context, node string) error {
	if err := g.catalog(ctx, &fsm.NodeLeaves{Node: node, Step: fsm.Leaves}); err != nil {
		return err
	}
	now := g.node.catalogue()
	for _, r := range now.records {
		held := slices.ContainsFunc(r.Nodes, func(n fsm.GroupNode) bool { return n.ID == node })
		if !held && !r.Everywhere {
			continue
		}
		if err := g.node.order(ctx, now, r, change{Kind: expel, ID: node}); err != nil {
			back := g.catalog(ctx, &fsm.NodeLeaves{Node: node, Step: fsm.Stays})
			if back != nil {
				return fmt.Errorf("group %d: %w (and node '%s' may be missing in other groups: %w)", r.ID, err, node, back)
			}
			return refuse("group %d: %v", r.ID, err)
		}
	}
	return nil
}

// order lets the leader of a group make a change, whether this node holds the group or not.
func (n *Node) order(ctx context.Context, now catalogue, r fsm.GroupRecord, c change) error {
	if g, ok := n.Group(r.ID); ok && g.generation == r.Generation {
		_, err := g.change(ctx, c)
		return err
	}
	err := fmt.Errorf("%w: nobody holds the group", ErrNoLeader)
	for _, s := range now.nodes.servers {
		if !r.Everywhere && !slices.ContainsFunc(r.Nodes, func(n fsm.GroupNode) bool { return n.ID == string(s.ID) }) {
			continue
		}
		var o outcome
		sent, failed := n.ask(ctx, s, place{id: r.ID, generation: r.Generation}, useOrder, c, &o)
		switch {
		case failed == nil && o.Verdict == "":
			return nil
		case failed == nil:
			err = o.error()
		case sent:
			err = fmt.Errorf("%w: %w", ErrInDoubt, failed)
		default:
			err = fmt.Errorf("%w: %w", ErrNoLeader, failed)
		}
		if failed == nil && o.Verdict == "refused" {
			return err
		}
	}
	return err
}
