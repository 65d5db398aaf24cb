package server

import (
	"context"
	"errors"
	"sync"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// changeGroups adds or removes a group.
func (s *Server) changeGroups(ctx context.Context, c *commands.Change) error {
	if c.Action == commands.AddGroup {
		return s.catalogue().AddGroup(ctx, c.Database, c.Nodes)
	}
	return s.catalogue().RemoveGroup(ctx, c.Database)
}

// listGroups looks at all groups, side by side.
func (s *Server) listGroups(ctx context.Context) []commands.Group {
	groups := s.catalogue().Groups()
	list := make([]commands.Group, len(groups))
	var looking sync.WaitGroup
	for i := range groups {
		looking.Go(func() { list[i] = s.lookAt(ctx, &groups[i]) })
	}
	looking.Wait()
	return list
}

// lookAt asks those who hold a group how it is.
func (s *Server) lookAt(ctx context.Context, info *replica.GroupInfo) commands.Group {
	g := commands.Group{ID: info.ID, State: commands.GroupOK, Keys: -1, Everywhere: info.Everywhere}
	if here := s.group(info.ID); here != nil {
		_ = here.Stale(func(v fsm.View) { g.Keys = v.Len() }) // if it has just been closed: not known
	}
	seen, err := s.catalogue().SurveyGroup(ctx, info.ID)
	members := make([]replica.Member, 0, len(seen.Members))
	for _, m := range seen.Members {
		members = append(members, m.Member)
		if !m.Up {
			g.State = commands.GroupDegraded
		}
	}
	if err != nil {
		members = info.Holders
	}
	for _, m := range members {
		if m.Voter {
			g.Voters = append(g.Voters, m.ID)
		} else {
			g.Learners = append(g.Learners, m.ID)
		}
	}
	var refusal *replica.Refusal
	switch g.Leader = seen.Leader; {
	case errors.As(err, &refusal), info.Held && !info.Open && g.Leader == "":
		g.State = commands.GroupOpening
	case err != nil, g.Leader == "":
		g.State = commands.GroupDown
	}
	return g
}
