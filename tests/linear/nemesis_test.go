package linear

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// electionTimeout is the default of the nodes.
const electionTimeout = 500 * time.Millisecond

// nemesis does things to the nodes of a cluster, one at a time, and mends what it has done before it does the next.
type nemesis struct {
	t       *testing.T
	cluster *harness.Cluster
	random  *rand.Rand
	ended   <-chan struct{} // closed when the clients of this round are done
	kinds   []fault
	left    []fault // of kinds, in random order: each has its turn
	count   map[string]int
}

type fault struct {
	name string
	do   func()
}

func newNemesis(t *testing.T, r *rig) *nemesis {
	n := &nemesis{t: t, cluster: r.cluster, random: rand.New(rand.NewPCG(r.seed, 1<<32)), count: map[string]int{}}
	n.kinds = []fault{
		{"leader killed", func() { n.kill(n.cluster.Leader()) }},
		{"follower killed", func() { n.kill(n.cluster.Follower()) }},
		{"majority killed", func() { n.kill(n.most()...) }},
		{"all killed", func() { n.kill(n.cluster.Running()...) }},
		{"leader paused", func() { n.pause(n.cluster.Leader()) }},
		{"leader paused", func() { n.pause(n.cluster.Leader()) }},
		{"follower paused", func() { n.pause(n.cluster.Follower()) }},
		{"leader stopped", func() { n.stop(n.cluster.Leader()) }},
		{"leadership moved", n.transfer},
		{"leadership moved", n.transfer},
		{"vote taken and given", func() { n.demote(n.cluster.Follower()) }},
		{"leader's vote taken and given", func() { n.demote(n.cluster.Leader()) }},
		{"follower replaced", func() { n.replace(n.cluster.Follower()) }},
		{"leader replaced", func() { n.replace(n.cluster.Leader()) }},
	}
	return n
}

// mostFaults is what may happen to one history. Each leaves commands in doubt, and with many the checker has too much to try.
const mostFaults = 2

// partitions are what can happen to a network.
func (n *nemesis) partitions() []fault {
	network := n.cluster.Network
	each := func(do func(s, other *harness.Server), s *harness.Server) {
		for _, other := range n.cluster.Running() {
			if other != s {
				do(s, other)
			}
		}
	}
	deaf := func(s, other *harness.Server) { network.Drop(other, s) }
	return []fault{
		{"leader cut off", func() { n.partition(func() { each(network.Cut, n.cluster.Leader()) }) }},
		{"follower cut off", func() { n.partition(func() { each(network.Cut, n.cluster.Follower()) }) }},
		{"leader deaf", func() { n.partition(func() { each(deaf, n.cluster.Leader()) }) }},
		{"leader mute", func() { n.partition(func() { each(network.Drop, n.cluster.Leader()) }) }},
		{"follower deaf", func() { n.partition(func() { each(deaf, n.cluster.Follower()) }) }},
		{"follower mute", func() { n.partition(func() { each(network.Drop, n.cluster.Follower()) }) }},
		{"leader and follower cut", func() { n.partition(func() { network.Cut(n.cluster.Leader(), n.cluster.Follower()) }) }},
	}
}

func (n *nemesis) partition(cut func()) {
	cut()
	n.rest(electionTimeout, 6*electionTimeout)
	n.cluster.Network.Heal()
}

// rage does one thing, and another one if the clients are not done then.
func (n *nemesis) rage(ended <-chan struct{}) {
	n.t.Helper()
	n.ended = ended
	for range mostFaults {
		if len(n.left) == 0 {
			n.left = slices.Clone(n.kinds)
			n.random.Shuffle(len(n.left), func(i, j int) { n.left[i], n.left[j] = n.left[j], n.left[i] })
		}
		n.rest(0, 300*time.Millisecond)
		next := n.left[0]
		n.left = n.left[1:]
		n.count[next.name]++
		next.do()
		n.cluster.Leader() // it has healed
		select {
		case <-ended:
			return
		default:
		}
	}
	<-ended
}

// rest lets time pass while the clients work.
func (n *nemesis) rest(least, most time.Duration) {
	select {
	case <-time.After(least + time.Duration(n.random.Int64N(int64(most-least)))):
	case <-n.ended:
	}
}

// most is a majority of the nodes, the leader among them.
func (n *nemesis) most() []*harness.Server {
	leader, all := n.cluster.Leader(), n.cluster.Running()
	others := slices.DeleteFunc(slices.Clone(all), func(s *harness.Server) bool { return s == leader })
	return append(others[:len(all)/2], leader)
}

func (n *nemesis) kill(nodes ...*harness.Server) {
	for _, s := range nodes {
		s.Kill()
	}
	n.rest(0, 2*electionTimeout)
	for _, s := range nodes {
		n.cluster.Relaunch(s)
	}
}

func (n *nemesis) stop(s *harness.Server) {
	if code := s.Stop(n.t); code != 0 {
		n.t.Errorf("exit code %d after SIGTERM", code)
	}
	n.cluster.Relaunch(s)
}

// pause lets a node stand still for 0.5 to 5 election timeouts.
func (n *nemesis) pause(s *harness.Server) {
	s.Pause(n.t)
	n.rest(electionTimeout/2, 5*electionTimeout)
	s.Resume(n.t)
}

func (n *nemesis) transfer() {
	to := n.cluster.Follower()
	_ = n.ask("TRANSFER", n.cluster.Node(to)) // It may be refused; what matters is what the clients see.
}

func (n *nemesis) demote(s *harness.Server) {
	id := n.cluster.Node(s)
	n.until("DEMOTE", id, "learner")
	n.rest(0, electionTimeout)
	n.until("PROMOTE", id, "voter")
}

// replace removes a node, and has a new one join.
func (n *nemesis) replace(s *harness.Server) {
	n.until("REMOVE", n.cluster.Node(s), "")
	s.Wait(n.t)
	if err := os.RemoveAll(s.DataDir); err != nil { // A long run replaces many.
		n.t.Error(err)
	}
	added := n.cluster.Node(n.cluster.Join())
	n.cluster.Eventually(added+" to be a voter", func() bool { return n.role(added) == "voter" })
}

// until sends a change of members until the cluster shows what it should lead to.
func (n *nemesis) until(change, id, role string) {
	n.t.Helper()
	reply := ""
	for deadline := time.Now().Add(harness.Patience); n.role(id) != role; {
		if time.Now().After(deadline) {
			n.t.Fatalf("%s %s: not within %s, the last answer is %q", change, id, harness.Patience, reply)
		}
		reply = n.ask(change, id)
	}
}

// ask has a node make a change.
func (n *nemesis) ask(change, id string) string {
	n.t.Helper()
	nodes := n.cluster.Running()
	c, err := harness.Connect(nodes[n.random.IntN(len(nodes))].Addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	reply, err := c.Do("DTKV.CLUSTER", change, id)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(reply)
}

// role is what the leader says that a node is: voter, learner, or nothing.
func (n *nemesis) role(id string) string {
	nodes, err := n.cluster.Leader().Nodes()
	switch {
	case err != nil:
		return "unknown"
	case nodes[id]["role"] == "leader":
		return "voter"
	}
	return nodes[id]["role"]
}

// told is what the nemesis did, for people.
func (n *nemesis) told() string {
	var all []string
	for what, count := range n.count {
		all = append(all, fmt.Sprintf("%s %d", what, count))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
