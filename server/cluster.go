package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/resp"
)

// Bounds on the commands about the cluster.
const (
	catchUpTime  = 20 * time.Second // for a node that was just added
	catchUpPoll  = 200 * time.Millisecond
	transferTime = 3 * time.Second // of leadership, before a stop
)

// members is a group whose members can be seen and changed. *replica.Group is one.
type members interface {
	AddLearner(ctx context.Context, id, address string) error
	Promote(ctx context.Context, id string) error
	Demote(ctx context.Context, id string) error
	Remove(ctx context.Context, id string) error
	Transfer(ctx context.Context, id string) error
	Survey(ctx context.Context) []replica.Sighting
}

var _ members = (*replica.Group)(nil)

// administer runs a command about the cluster, which may take seconds.
func (c *conn) administer(p *commands.Plan) {
	g, ok := c.group.(members)
	switch {
	case p.Backup:
		c.backUp()
	case p.Groups != nil:
		p.Groups(&c.out, c.srv.listGroups(c.srv.ctx))
	case p.Change != nil && p.Change.Database > 0:
		if err := c.srv.changeGroups(c.srv.ctx, p.Change); err != nil {
			c.out.Error(changeVerdict(err, "DTKV.GROUP LIST"))
			return
		}
		c.out.OK()
	case !ok:
		c.out.Error(writeVerdict(errLoading))
	case p.Survey != nil:
		p.Survey(&c.out, c.survey(g))
	default:
		if err := change(c.srv.ctx, g, *p.Change); err != nil {
			c.out.Error(changeVerdict(err, "DTKV.CLUSTER NODES"))
			return
		}
		c.out.OK()
	}
}

func change(ctx context.Context, g members, c commands.Change) error {
	switch c.Action {
	case commands.AddNode:
		if err := g.AddLearner(ctx, c.Node, c.Address); err != nil || c.Learner {
			return err
		}
		return promoteLater(ctx, g, c.Node)
	case commands.PromoteNode:
		return g.Promote(ctx, c.Node)
	case commands.DemoteNode:
		return g.Demote(ctx, c.Node)
	case commands.RemoveNode:
		return g.Remove(ctx, c.Node)
	case commands.TransferLeadership:
		return g.Transfer(ctx, c.Node)
	}
	return fmt.Errorf("unknown action %d", c.Action)
}

// promoteLater promotes a node that was just added, as soon as it has caught up.
func promoteLater(ctx context.Context, g members, id string) error {
	deadline := time.Now().Add(catchUpTime)
	for {
		err := g.Promote(ctx, id)
		var refusal *replica.Refusal
		if err == nil || !errors.As(err, &refusal) {
			return err
		}
		if time.Now().After(deadline) {
			return &replica.Refusal{Text: fmt.Sprintf("node '%s' was added and is a learner, but has no vote yet: %s; promote it later", id, refusal.Text)}
		}
		select {
		case <-time.After(catchUpPoll):
		case <-ctx.Done():
			return err
		}
	}
}

// changeVerdict is the reply to a change of members or groups that failed with err. look is the command that shows them.
func changeVerdict(err error, look string) *resp.Error {
	var refusal *replica.Refusal
	if errors.As(err, &refusal) {
		return &resp.Error{Prefix: "ERR", Text: refusal.Text}
	}
	if reply := writeVerdict(err); reply != inDoubt {
		return reply
	}
	return resp.Errorf("INDOUBT", "the change may or may not have been made; %s shows it", look)
}

// survey is the cluster as this node sees it.
func (c *conn) survey(g members) commands.Cluster {
	status := c.group.Status()
	view := commands.Cluster{
		Group: status.Group, Leader: status.LeaderID, Term: status.Term, Committed: status.Committed, Applied: status.Applied,
	}
	if n := c.srv.node; n != nil {
		view.ID, view.Node = n.ClusterID(), n.ID()
	}
	for _, m := range g.Survey(c.srv.ctx) {
		view.Members = append(view.Members, commands.ClusterNode{
			ID: m.ID, Address: m.Address, Client: m.Client, Voter: m.Voter, Up: m.Up, Last: m.Last, Version: m.Version,
		})
	}
	return view
}

// handOver gives leadership away before a stop.
func (s *Server) handOver() {
	if s.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, transferTime)
	defer cancel()
	s.node.HandOver(ctx)
}
