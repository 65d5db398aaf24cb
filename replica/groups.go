package replica

import (
	"context"
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
	g, _ := n.Group(0)
	return []GroupInfo{{Everywhere: true, Held: true, Open: true, Holders: g.Status().Members}}
}

// AddGroup adds a group to the cluster: on those nodes, which all vote, or with no nodes on all, those that join later
// too, with the vote that they have in group 0. It returns once the group has a leader. Errors: *[Refusal] and ErrNoLeader
// when nothing has changed, ErrInDoubt when nobody knows, or when the group was added and has no leader yet.
func (n *Node) AddGroup(_ context.Context, id int, _ []string) error {
	return refuse("group %d cannot be added yet", id)
}

// RemoveGroup removes a group and its data, on all nodes. It returns once that is decided and this node knows; a node that
// does not run now removes its data when it comes back. Errors as for AddGroup.
func (n *Node) RemoveGroup(_ context.Context, id int) error {
	return refuse("group %d does not exist", id)
}

// SurveyGroup asks those who hold a group how it is. It works on any node. Errors: *[Refusal] when there is no such group;
// ErrNoLeader when nobody who holds it answers.
func (n *Node) SurveyGroup(ctx context.Context, id int) (GroupSighting, error) {
	g, ok := n.Group(id)
	if !ok {
		return GroupSighting{}, refuse("group %d does not exist", id)
	}
	return GroupSighting{Leader: g.Status().LeaderID, Members: g.Survey(ctx)}, nil
}
