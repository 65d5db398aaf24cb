package server

import (
	"context"
	"net"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// catalogue is what a node knows of the groups of its cluster, and its way to those that live elsewhere. *replica.Node is
// one; tests have another.
type catalogue interface {
	// Groups are all groups of the cluster, in the order of their ids, as far as this node has learned of them.
	Groups() []replica.GroupInfo
	AddGroup(ctx context.Context, id int, nodes []string) error
	RemoveGroup(ctx context.Context, id int) error
	SurveyGroup(ctx context.Context, id int) (replica.GroupSighting, error)
	// Dial opens a stream to a node that holds a group.
	Dial(ctx context.Context, node, use string, group int) (net.Conn, error)
	ID() string
}

var _ catalogue = (*replica.Node)(nil)

// alone is the catalogue of a server without a node: while it loads, and in tests.
type alone struct{}

func (alone) Groups() []replica.GroupInfo {
	return []replica.GroupInfo{{Everywhere: true, Held: true, Open: true}}
}
func (alone) AddGroup(context.Context, int, []string) error { return errLoading }
func (alone) RemoveGroup(context.Context, int) error        { return errLoading }
func (alone) SurveyGroup(context.Context, int) (replica.GroupSighting, error) {
	return replica.GroupSighting{}, errLoading
}
func (alone) Dial(context.Context, string, string, int) (net.Conn, error) { return nil, errLoading }
func (alone) ID() string                                                  { return "" }

// known returns what this node knows of a group. ok is false when it has not heard of one.
func (s *Server) known(db int) (info replica.GroupInfo, ok bool) {
	for _, info := range s.catalogue().Groups() {
		if info.ID == db {
			return info, true
		}
	}
	return info, false
}

// find is known, but a group that was added before the call, wherever, is found. The error is that of a read.
func (s *Server) find(ctx context.Context, db int) (info replica.GroupInfo, ok bool, err error) {
	if info, ok = s.known(db); ok || db < 0 || db > commands.MaxDatabase {
		return info, ok, nil
	}
	if err := s.group(0).Read(ctx, func(fsm.View) {}); err != nil {
		return info, false, err
	}
	info, ok = s.known(db)
	return info, ok, nil
}

// databases is one more than the greatest number of a database, for tools that ask how many there are.
func (s *Server) databases() int {
	groups := s.catalogue().Groups()
	return groups[len(groups)-1].ID + 1
}

// onGroups is told by the node that a group has opened or closed here; -1 is none.
func (s *Server) onGroups(opened, closed int) {
	if opened >= 0 {
		s.hub.Opened(opened)
	}
	if closed < 0 {
		return
	}
	s.hub.Removed(closed)
	for _, c := range s.clients.all() {
		if c.database() == closed {
			c.orphan()
		}
	}
}
