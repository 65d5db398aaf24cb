package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Bounds on changes of membership.
const (
	maxMembers  = 64
	maxNodeID   = 64     // bytes
	promoteLag  = 10_000 // entries that a learner may lack when it is to become a voter
	promoteWait = 10 * time.Second
	// changeWait bounds the wait for a change to be committed. After that its outcome is unknown.
	changeWait = 10 * time.Second
	probePoll  = 50 * time.Millisecond
)

// Refusal is a change of membership that makes no sense or would do harm, and has not been made. Its text tells a person
// why, and what to do instead.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return r.Text }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// errMoved: the leader gave its leadership away, because the change is about itself. Its successor is to be asked.
var errMoved = fmt.Errorf("%w: leadership is being handed over", ErrNoLeader)

// configuration is a committed one, and where in the log it stands.
type configuration struct {
	index   uint64
	servers []raft.Server
}

// find returns the server with that id.
func (c *configuration) find(id string) (raft.Server, bool) {
	for _, s := range c.servers {
		if string(s.ID) == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// latest returns the newest configuration, which may not be committed yet.
func (g *Group) latest() *configuration {
	f := g.raft.GetConfiguration()
	return &configuration{f.Index(), f.Configuration().Servers}
}

func (c *configuration) voters() (list []raft.Server) {
	for _, s := range c.servers {
		if s.Suffrage == raft.Voter {
			list = append(list, s)
		}
	}
	return list
}

// configure remembers a committed configuration. The apply goroutine calls it, in the order of the log.
func (g *Group) configure(index uint64, c raft.Configuration) {
	known := &configuration{index, c.Servers}
	g.configured.Store(known)
	g.transport.sent.keep(c.Servers)
	g.turn.changed()
	g.node.keeper.look()
	if g.id != 0 {
		return
	}
	// An older one than the one that took the node in lacks it, too.
	if _, member := known.find(g.node.meta.NodeID); !member && index > g.node.meta.Joined {
		g.node.removed()
	}
}

// changeKind names a change of membership, in words that travel between nodes.
type changeKind string

const (
	addLearner changeKind = "add"
	promote    changeKind = "promote"
	demote     changeKind = "demote"
	remove     changeKind = "remove"
	move       changeKind = "move"
	transfer   changeKind = "transfer"

	// What the leader of group 0 makes of the catalogue.
	addGroup    changeKind = "addgroup"
	removeGroup changeKind = "removegroup"

	// expel removes a node that the catalogue does not want in a group.
	expel changeKind = "expel"
)

// change is one change of membership.
type change struct {
	Kind    changeKind `json:"change"`
	ID      string     `json:"id"`                // of the node concerned; of a transfer: the next leader, empty for any
	Address string     `json:"address,omitempty"` // of a node to be added, or that has moved

	Incarnation string `json:"incarnation,omitempty"` // of a node that asks to be added itself; see identity

	Group int      `json:"group,omitempty"` // to be added or removed
	Nodes []string `json:"nodes,omitempty"` // that are to hold it; none: all
}

// AddLearner makes a node a learner of the group: it is sent the log and has no vote. A node that is a member already, at
// that address, stays what it is. The members of other groups than 0 are members of group 0 too, which knows their addresses.
//
// For this and the other changes: the node that leads makes them, one at a time, wherever they are asked for; each returns
// once it is committed. Errors: *[Refusal] and ErrNoLeader when nothing has changed, ErrInDoubt when nobody knows.
func (g *Group) AddLearner(ctx context.Context, id, address string) error {
	_, err := g.change(ctx, change{Kind: addLearner, ID: id, Address: address})
	return err
}

// Promote gives a learner a vote. One that is far behind is refused, since it would count toward the majority at once and
// could not help to form one.
func (g *Group) Promote(ctx context.Context, id string) error {
	_, err := g.change(ctx, change{Kind: promote, ID: id})
	return err
}

// Demote makes a voter a learner. The leader hands its leadership over first.
func (g *Group) Demote(ctx context.Context, id string) error {
	_, err := g.change(ctx, change{Kind: demote, ID: id})
	return err
}

// Remove takes a node out of the group. The leader hands its leadership over first.
func (g *Group) Remove(ctx context.Context, id string) error {
	_, err := g.change(ctx, change{Kind: remove, ID: id})
	return err
}

// Transfer hands leadership to a voter, or with an empty id to the one that is most up to date. It returns once that one
// leads.
func (g *Group) Transfer(ctx context.Context, id string) error {
	_, err := g.change(ctx, change{Kind: transfer, ID: id})
	return err
}

// change makes a change, wherever the leader is, and returns the index of a configuration that has it. While no leader is
// known it waits, at most for the election wait.
func (g *Group) change(ctx context.Context, c change) (index uint64, err error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(g.cfg.ElectionWait)
	for {
		moved := g.turn.next()
		index, err := g.changeOnce(ctx, c)
		if errors.Is(err, errMoved) {
			deadline = time.Now().Add(g.cfg.ElectionWait)
		}
		if !errors.Is(err, ErrNoLeader) || time.Now().After(deadline) {
			return index, err
		}
		select {
		case <-moved:
		case <-time.After(probePoll):
		case <-g.stopped:
			return 0, ErrClosed
		case <-ctx.Done():
			return 0, err
		}
	}
}

// changeOnce makes a change here if this node leads, and else asks the leader.
func (g *Group) changeOnce(ctx context.Context, c change) (index uint64, err error) {
	if g.leads(g.ready.Load()) {
		return g.changeWhere(ctx, c)
	}
	address, id := g.raft.LeaderWithID()
	if id == "" || id == g.transport.id {
		return 0, ErrNoLeader
	}
	return g.askChange(ctx, raft.Server{ID: id, Address: address}, c)
}

// check refuses what no configuration could allow.
func (c change) check() error {
	switch {
	case c.Kind == transfer && c.ID == "":
		return nil
	case c.Kind == addGroup || c.Kind == removeGroup:
		return c.checkGroup()
	}
	if err := CheckNodeID(c.ID); err != nil {
		return &Refusal{err.Error()}
	}
	if c.Kind != move && (c.Kind != addLearner || c.Address == "") {
		return nil
	}
	if err := CheckAddress(c.Address); err != nil {
		return &Refusal{err.Error()}
	}
	return nil
}

// CheckNodeID says what is wrong with a node's id: it must have 1 to 64 letters, digits, dots, dashes or underscores.
func CheckNodeID(id string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	if id == "" || len(id) > maxNodeID || strings.Trim(id, allowed) != "" {
		return fmt.Errorf("node id %q: want 1 to %d letters, digits, dots, dashes or underscores", id, maxNodeID)
	}
	return nil
}

// CheckAddress says what is wrong with an address that other nodes are to dial: it must be host:port, both of them given.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	n, perr := strconv.Atoi(port)
	switch {
	case err != nil || host == "" || perr != nil || n < 1 || n > 65535 || strings.ContainsAny(host, " @/"):
		return fmt.Errorf("address %q: want host:port, as other nodes reach it", address)
	case net.ParseIP(host).IsUnspecified():
		return fmt.Errorf("address %q: no other node can reach that; want the name or address of the machine", address)
	}
	return nil
}

// changeWhere makes a change on the node that leads, and returns the index up to which the others must have come to see it.
func (g *Group) changeWhere(ctx context.Context, c change) (index uint64, err error) {
	if err := g.changeHere(ctx, c); err != nil {
		return 0, err
	}
	if c.Kind == addGroup || c.Kind == removeGroup {
		return g.applied.Load(), nil
	}
	return g.configured.Load().index, nil
}

// changeHere makes a change on the node that leads.
func (g *Group) changeHere(ctx context.Context, c change) error {
	select {
	case g.changing <- struct{}{}:
		defer func() { <-g.changing }()
	case <-ctx.Done():
		return refuse("another change of membership is under way")
	case <-g.stopped:
		return ErrClosed
	}
	term := g.ready.Load()
	if !g.leads(term) {
		return ErrNoLeader
	}
	switch {
	case c.Kind == addGroup || c.Kind == removeGroup:
		return g.changeGroups(ctx, term, c)
	case g.id == 0:
		return g.changeNodes(ctx, term, c)
	}
	return g.changePlaces(ctx, term, c)
}

// alter changes the configuration.
func (g *Group) alter(ctx context.Context, term uint64, c change) error {
	// All that earlier leaders committed is applied, see ready: so this is the newest committed configuration, and Raft
	// refuses the change if there is one after it.
	now := g.configured.Load()
	s, member := now.find(c.ID)
	if !member && c.Kind != addLearner && c.Kind != transfer {
		return refuse("node '%s' is not a member", c.ID)
	}
	id := raft.ServerID(c.ID)
	switch c.Kind {
	case addLearner:
		if done, err := now.mayAdd(c, g.node.known); done || err != nil {
			return err
		}
		return g.commit(func(wait time.Duration) raft.IndexFuture {
			return g.raft.AddNonvoter(id, raft.ServerAddress(c.Address), now.index, wait)
		})
	case move:
		if done, err := now.mayMove(c); done || err != nil {
			return err
		}
		return g.commit(func(wait time.Duration) raft.IndexFuture {
			if s.Suffrage == raft.Voter {
				return g.raft.AddVoter(id, raft.ServerAddress(c.Address), now.index, wait)
			}
			return g.raft.AddNonvoter(id, raft.ServerAddress(c.Address), now.index, wait)
		})
	case promote:
		if s.Suffrage == raft.Voter {
			return nil
		}
		if err := g.mayPromote(ctx, term, s); err != nil {
			return err
		}
		return g.commit(func(wait time.Duration) raft.IndexFuture { return g.raft.AddVoter(id, s.Address, now.index, wait) })
	case demote:
		if s.Suffrage != raft.Voter {
			return nil
		}
		if err := g.mayLose(term, now, s, "demoted"); err != nil {
			return err
		}
		return g.commit(func(wait time.Duration) raft.IndexFuture { return g.raft.DemoteVoter(id, now.index, wait) })
	case remove:
		if s.Suffrage == raft.Voter {
			if err := g.mayLose(term, now, s, "removed"); err != nil {
				return err
			}
		}
		return g.commit(func(wait time.Duration) raft.IndexFuture { return g.raft.RemoveServer(id, now.index, wait) })
	case transfer:
		return g.handOver(term, now, c.ID)
	}
	return refuse("unknown change %q", c.Kind)
}
