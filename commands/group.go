package commands

import (
	"github.com/dtkv/dtkv/resp"
)

// MaxDatabase is the greatest number of a database.
const MaxDatabase = 255

// Group is a Raft group, which is a database, as a node sees it.
type Group struct {
	ID         int
	State      GroupState
	Leader     string   // empty while none is known
	Voters     []string // ids
	Learners   []string // the same
	Keys       int      // values; -1 when the node that answers does not hold the group
	Everywhere bool     // it lives on all nodes
}

// GroupState is how a group is, in one word.
type GroupState string

const (
	GroupOK       GroupState = "ok"
	GroupDegraded GroupState = "degraded" // a member does not answer
	GroupDown     GroupState = "down"     // no leader is known
	GroupOpening  GroupState = "opening"  // the node that answers is about to hold it
)

var groupCommand = Command{
	Name: "dtkv.group", Arity: -2,
	Group: "cluster", Since: "0.1.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about the databases of the cluster",
	Differs: "A database is a Raft group with a log, a leader and members of its own: SELECT turns to it, DTKV.CLUSTER then is about " +
		"its members. Any node answers. Errors promise what those of DTKV.CLUSTER do; DTKV.GROUP LIST shows what is.",
	Sub: []Command{
		{
			Name: "dtkv.group|add", Arity: -3, Flags: clusterFlags,
			Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the number of nodes",
			Summary: "Adds a database, by number from 1 to 255: on all nodes, those that come later too, or on the nodes named, which all " +
				"vote. Waits until it has a leader",
			Syntax: "id [node [node ...]]",
			Plan:   planAddGroup,
		},
		helpOf("dtkv.group", "cluster", "0.1.0"),
		{
			Name: "dtkv.group|list", Arity: 2, Flags: clusterFlags | Loading | Stale,
			Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the number of groups and their members",
			Summary: "Answers a map for each database: its state (ok, degraded: a member does not answer, down: no leader, opening: this " +
				"node is about to hold it), who leads, who votes, how many keys if this node holds it, whether it lives everywhere",
			Plan: func(*resp.Args, Settings) (Plan, error) {
				return Plan{Kind: Administer, Groups: printGroups}, nil
			},
		},
		{
			Name: "dtkv.group|remove", Arity: 3, Flags: clusterFlags,
			Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the number of nodes",
			Summary: "Removes a database and all its data, on all nodes. Not 0. Whoever is connected to it is disconnected",
			Syntax:  "id",
			Plan: func(a *resp.Args, _ Settings) (Plan, error) {
				return planChange(Change{Action: RemoveGroup, Database: groupNumber(a)})
			},
		},
	},
}

func planAddGroup(a *resp.Args, _ Settings) (Plan, error) {
	c := Change{Action: AddGroup, Database: groupNumber(a)}
	for a.More() {
		c.Nodes = append(c.Nodes, a.Text())
	}
	return planChange(c)
}

var errGroupNumber = resp.Errorf("ERR", "a database that can be added or removed has a number from 1 to %d", MaxDatabase)

func groupNumber(a *resp.Args) int {
	id := a.Int()
	if id < 1 || id > MaxDatabase {
		a.Fail(errGroupNumber)
	}
	return int(id)
}

func printGroups(w *resp.Writer, groups []Group) {
	names := func(field string, list []string) {
		w.BulkString(field)
		w.Array(len(list))
		for _, name := range list {
			w.BulkString(name)
		}
	}
	w.Array(len(groups))
	for i := range groups {
		g := &groups[i]
		w.Map(7)
		number(w, "id", g.ID)
		field(w, "state", string(g.State))
		field(w, "leader", g.Leader)
		names("voters", g.Voters)
		names("learners", g.Learners)
		w.BulkString("keys")
		if g.Keys < 0 {
			w.Null()
		} else {
			w.Int(int64(g.Keys))
		}
		w.BulkString("everywhere")
		w.Bool(g.Everywhere)
	}
}
