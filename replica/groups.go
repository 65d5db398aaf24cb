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

// Bounds on the wait for the leader of a new group.
const (
	addWait = 10 * time.Second
	addPoll = 20 * time.Millisecond
)

// GroupInfo is a group as this node knows it.
type GroupInfo struct {
	ID         int
	Generation uint64   // tells the group from an earlier one with that id; 0 for group 0
	Everywhere bool     // it lives on all nodes of the cluster
	Held       bool     // this node is to hold it
	Open       bool     // [Node.Group] returns it
	Holders    []Member // who is to hold it; where the group is open here, its newest configuration
}

// GroupSighting is a group as those who hold it see it.
type GroupSighting struct {
	Leader  string // id; empty while none is known
	Members []Sighting
}

// Groups returns all groups of the cluster in the order of their ids, as far as this node has learned of them. Group 0 always
// is among them.
func (n *Node) Groups() []GroupInfo {
	now := n.catalogue()
	list := []GroupInfo{{Everywhere: true, Held: true, Open: true, Holders: n.base.latest().members()}}
	for _, r := range now.records {
		list = append(list, n.groupInfo(now, r))
	}
	return list
}

func (n *Node) groupInfo(now catalogue, r fsm.GroupRecord) GroupInfo {
	info := GroupInfo{ID: r.ID, Generation: r.Generation, Everywhere: r.Everywhere, Held: now.isHolder(r, n.meta.NodeID)}
	known := &configuration{servers: now.holders(r)}
	if g, ok := n.Group(r.ID); ok && g.generation == r.Generation {
		info.Open = true
		if newest := g.latest(); len(newest.servers) > 0 {
			known = newest
		}
	}
	info.Holders = known.members()
	return info
}

// led returns the groups that this node leads.
func (n *Node) led() []*Group {
	return slices.DeleteFunc(n.held(), func(g *Group) bool { return !g.leads(g.ready.Load()) })
}

// AddGroup adds a group to the cluster: on those nodes, which all vote, or with no nodes on all, those that join later
// too, with the vote that they have in group 0. It returns once the group has a leader. Errors: *[Refusal] and ErrNoLeader
// when nothing has changed, ErrInDoubt when nobody knows, or when the group was added and has no leader yet.
func (n *Node) AddGroup(ctx context.Context, id int, nodes []string) error {
	if err := n.changeGroups(ctx, change{Kind: addGroup, Group: id, Nodes: nodes}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, addWait)
	defer cancel()
	for {
		led, err := n.hasLeader(ctx, id)
		if led || err != nil {
			return err
		}
		select {
		case <-time.After(addPoll):
		case <-n.base.stopped:
			return fmt.Errorf("%w: group %d was added, and this node is stopping", ErrInDoubt, id)
		case <-ctx.Done():
			return fmt.Errorf("%w: group %d was added and has no leader yet", ErrInDoubt, id)
		}
	}
}

// hasLeader reports whether a group that was added may be used.
func (n *Node) hasLeader(ctx context.Context, id int) (bool, error) {
	now := n.catalogue()
	r, ok := now.find(id)
	if !ok {
		return false, refuse("group %d was added, and has been removed again", id)
	}
	g, open := n.Group(id)
	switch held := now.isHolder(r, n.meta.NodeID); {
	case held && open:
		return g.leads(g.ready.Load()) || g.link.Load() != nil, nil
	case held:
		return false, nil
	}
	seen, err := n.SurveyGroup(ctx, id)
	return err == nil && seen.Leader != "", nil
}

// RemoveGroup removes a group and its data, on all nodes. It returns once that is decided and this node knows; a node that
// does not run now removes its data when it comes back. Errors as for AddGroup.
func (n *Node) RemoveGroup(ctx context.Context, id int) error {
	return n.changeGroups(ctx, change{Kind: removeGroup, Group: id})
}

// changeGroups returns when this node knows of the change.
func (n *Node) changeGroups(ctx context.Context, c change) error {
	index, err := n.base.change(ctx, c)
	if err != nil {
		return err
	}
	if err := n.base.await(ctx, index); err != nil {
		return fmt.Errorf("%w: this node has not heard of it yet: %w", ErrInDoubt, err)
	}
	return nil
}

// SurveyGroup asks those who hold a group how it is. It works on any node. Errors: *[Refusal] when there is no such group;
// ErrNoLeader when nobody who holds it answers.
func (n *Node) SurveyGroup(ctx context.Context, id int) (GroupSighting, error) {
	if g, ok := n.Group(id); ok && len(g.latest().servers) > 0 {
		return GroupSighting{Leader: g.Status().LeaderID, Members: g.Survey(ctx)}, nil
	}
	now := n.catalogue()
	r, ok := now.find(id)
	if !ok {
		return GroupSighting{}, refuse("group %d does not exist", id)
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	members, said := survey(now.holders(r), func(s raft.Server) (introduction, error) {
		return n.meetIn(ctx, place{id: r.ID, generation: r.Generation}, s)
	})
	var newest introduction
	for _, i := range said {
		if i.Term > newest.Term || i.Term == newest.Term && i.Leader != "" {
			newest = i
		}
	}
	if newest.Term == 0 {
		return GroupSighting{Members: members}, fmt.Errorf("%w: nobody who holds group %d answers", ErrNoLeader, id)
	}
	for i, m := range members {
		at := slices.IndexFunc(newest.Members, func(k Member) bool { return k.ID == m.ID })
		members[i].Voter = at >= 0 && newest.Members[at].Voter
	}
	return GroupSighting{Leader: newest.Leader, Members: members}, nil
}

// meetIn asks a node how a group is that this node does not hold.
func (n *Node) meetIn(ctx context.Context, group place, s raft.Server) (i introduction, err error) {
	if s.ID == raft.ServerID(n.meta.NodeID) {
		return i, errors.New("this node has not opened the group")
	}
	self := introduction{Client: n.cfg.Client, Version: n.cfg.Version}
	if _, err = n.ask(ctx, s, group, useMeet, self, &i); err == nil {
		n.clients.note(string(s.ID), i.Client)
	}
	return i, err
}
