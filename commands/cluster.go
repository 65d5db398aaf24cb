package commands

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dtkv/dtkv/resp"
)

// Change is a change of the members of a group, the one of the connection's database, or of the groups that there are.
type Change struct {
	Action  Action
	Node    string // its id; empty in a TransferLeadership to anybody
	Address string // of an AddNode: where other nodes reach it, host:port; empty: as in group 0
	Learner bool   // of an AddNode: it is not to get a vote

	Database int      // of an AddGroup or RemoveGroup
	Nodes    []string // of an AddGroup: the ids of those who are to hold it; none: all, for ever
}

// Action says what a [Change] does.
type Action uint8

const (
	AddNode Action = iota + 1
	PromoteNode
	DemoteNode
	RemoveNode
	TransferLeadership
	AddGroup
	RemoveGroup
)

// Cluster is what a node sees of its cluster. Indexes and terms are Raft's.
type Cluster struct {
	ID     string
	Node   string // the one that answers
	Group  int
	Leader string // empty while none is known
	Term   uint64

	Committed, Applied uint64 // at the node that answers
	Members            []ClusterNode
}

// ClusterNode is one member of a group.
type ClusterNode struct {
	ID      string
	Address string // where other nodes reach it
	Client  string // where clients reach it; empty when not known
	Voter   bool
	Up      bool   // it answers the node that was asked
	Last    uint64 // index of its newest log entry, 0 when it does not answer
	Version string // release; empty when not known
}

func (n *ClusterNode) state() string {
	if n.Up {
		return "up"
	}
	return "down"
}

// role is what a member does.
func (c *Cluster) role(n *ClusterNode) string {
	switch {
	case n.ID == c.Leader:
		return "leader"
	case n.Voter:
		return "voter"
	}
	return "learner"
}

// state is the group's in one word: down while it has no leader, degraded while a member does not answer, else ok.
func (c *Cluster) state() string {
	if c.Leader == "" {
		return "down"
	}
	for i := range c.Members {
		if !c.Members[i].Up {
			return "degraded"
		}
	}
	return "ok"
}

const clusterFlags = Admin | NoScript | NoMulti

var clusterCommand = Command{
	Name: "dtkv.cluster", Arity: -2,
	Group: "cluster", Since: "0.1.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about the nodes of the cluster",
	Differs: "Any node answers, and lets the leader make the change. A change is made when it is answered with OK. An error that " +
		"begins with ERR says why it was not made, CLUSTERDOWN that there is no leader to make it, INDOUBT that nobody knows: look " +
		"at DTKV.CLUSTER NODES.",
	Sub: []Command{
		{
			Name: "dtkv.cluster|add", Arity: -3, Flags: clusterFlags,
			Group: "cluster", Since: "0.1.0", Complexity: "O(1)",
			Summary: "Adds a node, which other nodes reach at that address (host:port), and gives it a vote once it has caught up, for " +
				"which the command waits up to 20 seconds; with LEARNER it gets none",
			Syntax: "node [address] [LEARNER]",
			Differs: "A node started with --join adds itself, and asks for its vote by itself unless it was started with --learner. To another " +
				"database than 0 only nodes of the cluster can be added, and no address is given.",
			Plan: planAddNode,
		},
		nodeCommand("demote", "Takes a node's vote away; it stays as a learner. The leader hands its leadership over first", DemoteNode),
		helpOf("dtkv.cluster", "cluster", "0.1.0"),
		{
			Name: "dtkv.cluster|nodes", Arity: 2, Flags: clusterFlags | Loading | Stale,
			Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the number of nodes",
			Summary: "Answers a map for each node: id, role, addresses, whether it answers, how far its log goes, release",
			Plan:    planSurvey(printNodes),
		},
		nodeCommand("promote", "Gives a learner a vote; it must have caught up, for which the command waits up to 10 seconds", PromoteNode),
		nodeCommand("remove", "Removes a node for good. The leader hands its leadership over first. A node that was removed "+
			"stops, and comes back only with an empty data directory", RemoveNode),
		{
			Name: "dtkv.cluster|status", Arity: -2, Flags: clusterFlags | Loading | Stale,
			Group: "cluster", Since: "0.1.0", Complexity: "O(N) in the number of nodes",
			Summary: "Answers a map about the group of the database: its state (ok, degraded: a member does not answer, down: no " +
				"leader), who leads, how many vote; with TABLE a table for people, which has the members too",
			Syntax: "[TABLE]",
			Plan:   planStatus,
		},
		{
			Name: "dtkv.cluster|transfer", Arity: -2, Flags: clusterFlags,
			Group: "cluster", Since: "0.1.0", Complexity: "O(1)",
			Summary: "Hands leadership to a voter, or to the one that is most up to date",
			Syntax:  "[node]",
			Plan:    planTransfer,
		},
	},
}

// nodeCommand is a subcommand that does one thing to one node.
func nodeCommand(name, summary string, action Action) Command {
	return Command{
		Name: "dtkv.cluster|" + name, Arity: 3, Flags: clusterFlags,
		Group: "cluster", Since: "0.1.0", Complexity: "O(1)",
		Summary: summary,
		Syntax:  "node",
		Plan: func(a *resp.Args, _ Settings) (Plan, error) {
			return planChange(Change{Action: action, Node: a.Text()})
		},
	}
}

func planChange(c Change) (Plan, error) { return Plan{Kind: Administer, Change: &c}, nil }

func planAddNode(a *resp.Args, _ Settings) (Plan, error) {
	c := Change{Action: AddNode, Node: a.Text()}
	words := a.Rest()
	if n := len(words); n > 0 && equalFold(words[n-1], "learner") {
		c.Learner, words = true, words[:n-1]
	}
	switch len(words) {
	case 0:
	case 1:
		if c.Address = string(words[0]); c.Address == "-" {
			c.Address = ""
		}
	default:
		return Plan{}, resp.ErrSyntax
	}
	return planChange(c)
}

func planTransfer(a *resp.Args, _ Settings) (Plan, error) {
	c := Change{Action: TransferLeadership}
	if a.More() {
		c.Node = a.Text()
	}
	return planChange(c)
}

func planSurvey(print func(*resp.Writer, Cluster)) func(*resp.Args, Settings) (Plan, error) {
	return func(*resp.Args, Settings) (Plan, error) { return Plan{Kind: Administer, Survey: print}, nil }
}

func planStatus(a *resp.Args, s Settings) (Plan, error) {
	switch words := a.Rest(); {
	case len(words) == 0:
		return planSurvey(printCluster)(a, s)
	case len(words) == 1 && equalFold(words[0], "table"):
		return planSurvey(printTable)(a, s)
	}
	return Plan{}, resp.ErrSyntax
}

// voters counts the members that vote, and those of them that answer.
func (c *Cluster) voters() (all, up int) {
	for i := range c.Members {
		if n := &c.Members[i]; n.Voter {
			all++
			if n.Up {
				up++
			}
		}
	}
	return all, up
}

// printTable prints lines for people, an array of statuses like those of HELP: redis-cli shows them as they are.
func printTable(w *resp.Writer, c Cluster) {
	voters, up := c.voters()
	var text strings.Builder
	fmt.Fprintf(&text, "cluster %s, group %d: %s; leader %s, term %d; %d of %d voters answer, %d are needed\n",
		c.ID, c.Group, c.state(), cmp.Or(c.Leader, "-"), c.Term, up, voters, voters/2+1)
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tROLE\tSTATE\tCLIENTS AT\tPEERS AT\tLAST INDEX\tRELEASE")
	for i := range c.Members {
		n := &c.Members[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.ID, c.role(n), n.state(), cmp.Or(n.Client, "-"), n.Address, n.Last, cmp.Or(n.Version, "-"))
	}
	_ = t.Flush() // a strings.Builder takes everything
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	w.Array(len(lines))
	for _, line := range lines {
		w.Simple(line)
	}
}

func printCluster(w *resp.Writer, c Cluster) {
	voters, up := c.voters()
	count := func(name string, n int) {
		w.BulkString(name)
		w.Int(int64(n))
	}
	w.Map(12)
	field(w, "state", c.state())
	field(w, "cluster", c.ID)
	field(w, "node", c.Node)
	count("group", c.Group)
	field(w, "leader", c.Leader)
	count("term", int(c.Term))
	count("voters", voters)
	count("voters-up", up)
	count("quorum", voters/2+1)
	count("learners", len(c.Members)-voters)
	count("commit-index", int(c.Committed))
	count("applied-index", int(c.Applied))
}

func printNodes(w *resp.Writer, c Cluster) {
	w.Array(len(c.Members))
	for i := range c.Members {
		n := &c.Members[i]
		w.Map(7)
		field(w, "id", n.ID)
		field(w, "role", c.role(n))
		field(w, "state", n.state())
		field(w, "address", n.Address)
		field(w, "client", n.Client)
		w.BulkString("last-index")
		w.Int(int64(n.Last))
		field(w, "version", n.Version)
	}
}
