package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lookTime bounds how long one node may take for all that it is asked.
const lookTime = 3 * time.Second

// picture is a cluster as its nodes describe it.
type picture struct {
	asked   string // address of the node that was asked first
	cluster string
	groups  []groupView // ordered by id
	nodes   []nodeView  // members of group 0
}

// groupView is a group as the node that was asked first sees it.
type groupView struct {
	id      int
	record           // of DTKV.GROUP LIST, or as much as DTKV.CLUSTER STATUS tells
	members []record // of DTKV.CLUSTER NODES
}

// nodeView is a member of the cluster.
type nodeView struct {
	record          // of DTKV.CLUSTER NODES at the node that was asked first
	err      error  // it could not be asked itself, at its client address; and then nothing below is known
	info     record // INFO
	config   record // CONFIG GET
	sees     []record
	ahead    time.Duration // its wall clock beside ours; wrong by half of took at the most
	took     time.Duration
	answered bool

	asked     bool  // it is the node that was asked first
	announced error // what is wrong with the address that it announces, though it was asked at another one
}

// name is what the node is called.
func (n *nodeView) name() string { return n.record["id"] }

// errNoAddress: nobody has heard of the node since the one that was asked has started.
var errNoAddress = errors.New("its client address is not known")

// look asks one node about the cluster, and then all nodes about themselves.
func (p program) look(addr string) (*picture, error) {
	c, err := p.askSoon(addr)
	if err != nil {
		return nil, err
	}
	defer c.close()
	status, err := c.do("DTKV.CLUSTER", "STATUS")
	if err != nil {
		return nil, err
	}
	seen := &picture{asked: addr, cluster: recordOf(status)["cluster"]}
	if err := seen.lookAtGroups(c, recordOf(status)); err != nil {
		return nil, err
	}
	seen.nodes = make([]nodeView, len(seen.groups[0].members))
	var wg sync.WaitGroup
	for i, m := range seen.groups[0].members {
		seen.nodes[i].record = m
		n, at := &seen.nodes[i], m["client"]
		if n.asked = m["id"] == recordOf(status)["node"]; n.asked {
			at = addr // whatever it is called by others
			wg.Go(func() { n.announced = p.checkAnnounced(m["client"], m["id"]) })
		}
		wg.Go(func() { p.lookAtNode(n, at) })
	}
	wg.Wait()
	return seen, nil
}

// askSoon connects to a node that is to answer soon.
func (p program) askSoon(addr string) (*client, error) {
	if addr == "" {
		return nil, errNoAddress
	}
	c, err := p.ask(addr)
	if err == nil {
		c.due = time.Now().Add(lookTime)
	}
	return c, err
}

// lookAtGroups lists the groups and their members.
func (s *picture) lookAtGroups(c *client, status record) error {
	reply, err := c.do("DTKV.GROUP", "LIST")
	list := records(reply)
	var refused errReply
	switch {
	case errors.As(err, &refused): // a node that has one group only
		list = []record{{"id": "0", "leader": status["leader"], "state": status["state"]}}
	case err != nil:
		return err
	}
	for _, g := range list {
		id, _ := strconv.Atoi(g["id"])
		view := groupView{id: id, record: g}
		if _, err := c.do("SELECT", g["id"]); err == nil {
			reply, err := c.do("DTKV.CLUSTER", "NODES")
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			view.members = records(reply)
		}
		s.groups = append(s.groups, view)
	}
	if len(s.groups) == 0 || s.groups[0].id != 0 {
		return errors.New("the node tells nothing of group 0")
	}
	_, err = c.do("SELECT", "0")
	return err
}

// checkAnnounced tells what is wrong with the address that a node announces to clients.
func (p program) checkAnnounced(at, id string) error {
	c, err := p.askSoon(at)
	if err != nil {
		return fmt.Errorf("nobody answers (%w)", err)
	}
	defer c.close()
	reply, err := c.do("INFO", "raft")
	if err != nil {
		return err
	}
	if who := infoOf(plain(reply))["raft_node_id"]; who != id {
		return fmt.Errorf("answers %s", dash(who))
	}
	return nil
}

// lookAtNode asks a node about itself.
func (p program) lookAtNode(n *nodeView, at string) {
	c, err := p.askSoon(at)
	if err != nil {
		n.err = err
		return
	}
	defer c.close()
	began := time.Now()
	reply, err := c.do("TIME")
	n.took = time.Since(began)
	if parts, ok := reply.([]any); err == nil && ok && len(parts) == 2 {
		seconds, _ := strconv.ParseInt(plain(parts[0]), 10, 64)
		micros, _ := strconv.ParseInt(plain(parts[1]), 10, 64)
		n.ahead = time.Unix(seconds, micros*1000).Sub(began.Add(n.took / 2).Round(0))
	}
	if reply, err = c.do("INFO", "all"); err == nil {
		n.info = infoOf(plain(reply))
		if reply, err = c.do("CONFIG", "GET", "max*"); err == nil {
			n.config = recordOf(reply)
			reply, err = c.do("DTKV.CLUSTER", "NODES")
			n.sees = records(reply)
		}
	}
	n.err, n.answered = err, err == nil
}

// state is the worst of the groups' states.
func (s *picture) state() string {
	worst := "ok"
	for _, g := range s.groups {
		switch {
		case g.record["state"] == "down":
			return "down"
		case g.record["state"] != "ok":
			worst = g.record["state"]
		}
	}
	return worst
}

// last is the newest index that a member of the group has.
func (g *groupView) last() (most int64) {
	for _, m := range g.members {
		most = max(most, m.number("last-index"))
	}
	return most
}

// names are the members with that role; voters include the leader.
func (g *groupView) names(voters bool) string {
	var list []string
	for _, m := range g.members {
		if (m["role"] != "learner") == voters {
			list = append(list, m["id"])
		}
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, " ")
}
