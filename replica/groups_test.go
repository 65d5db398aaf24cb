package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// holds returns the node's part of a group.
func (c *cluster) holds(i, id int) *Group {
	if c.nodes[i] == nil {
		return nil
	}
	g, _ := c.nodes[i].Group(id)
	return g
}

// groupIs waits until the group has those members, wherever it is open, and a leader, and nobody else has it open.
func (c *cluster) groupIs(id int, want string) {
	c.t.Helper()
	var got []string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("group %d: %s", id, strings.Join(got, "; "))
		}
	}()
	eventually(c.t, fmt.Sprintf("group %d on %s", id, want), func() bool {
		got = nil
		led, right := false, true
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			is := ""
			if g := c.holds(i, id); g != nil {
				led = led || g.Status().Ready
				for _, m := range g.Status().Members {
					is += " " + m.ID + map[bool]string{true: "v", false: "l"}[m.Voter]
				}
				is = strings.Join(slices.Sorted(slices.Values(strings.Fields(is))), " ")
			}
			got = append(got, n.ID()+" has "+is)
			if member := strings.Contains(want+" ", n.ID()+"v ") || strings.Contains(want+" ", n.ID()+"l "); member && is != want || !member && is != "" {
				right = false
			}
		}
		return right && (led || want == "")
	})
}

func (c *cluster) addGroup(by, id int, nodes ...string) {
	c.t.Helper()
	c.leader(-1)
	if err := c.nodes[by].AddGroup(testContext(c.t), id, nodes); err != nil {
		c.t.Fatalf("add group %d: %v", id, err)
	}
}

func (c *cluster) removeGroup(by, id int) {
	c.t.Helper()
	if err := c.nodes[by].RemoveGroup(testContext(c.t), id); err != nil {
		c.t.Fatalf("remove group %d: %v", id, err)
	}
}

// setIn writes in a group through a node that holds it.
func (c *cluster) setIn(i, id int, key, value string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("write in group %d at n%d", id, i+1), func() bool {
		g := c.holds(i, id)
		p := proposal(setTo(key, value))
		return g != nil && g.Propose(testContext(c.t), p) == nil && p.Results[0].Err == nil
	})
}

// seenIn waits until a node has the value.
func (c *cluster) seenIn(i, id int, key, value string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s in group %d at n%d", value, id, i+1), func() bool {
		g := c.holds(i, id)
		return g != nil && strings.Contains(contents(g), fmt.Sprintf("%s value %q ", key, value))
	})
}

// directories returns what lies below groups, once nothing more goes.
func (c *cluster) directories(i int) string {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.configs[i].DataDir, groupDir))
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// onlyGroup0 waits until nothing is left of other groups.
func (c *cluster) onlyGroup0(i int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("end of the data of removed groups at n%d", i+1), func() bool { return c.directories(i) == "0" })
}

func TestAGroupLivesEverywhere(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.addGroup(1, 3)
	c.groupIs(3, "n1v n2v n3v")
	for i := range 3 {
		c.setIn(i, 3, "k", fmt.Sprint("from ", i))
		for j := range 3 {
			c.seenIn(j, 3, "k", fmt.Sprint("from ", i))
		}
	}
	if s := contents(c.group(0)); strings.Contains(s, "from") {
		t.Errorf("group 0 has keys of group 3: %s", s)
	}
	infos := c.nodes[2].Groups()
	if len(infos) != 2 || infos[1].ID != 3 || infos[1].Generation == 0 || !infos[1].Everywhere || !infos[1].Held || !infos[1].Open || len(infos[1].Holders) != 3 {
		t.Errorf("n3 knows of %+v", infos)
	}

	// Nodes that join later hold it too, with the vote that they have.
	i := c.grow(nil)
	c.start(i)
	j := c.grow(func(cfg *Config) { cfg.Learner = true })
	c.start(j)
	c.membersAre("n1v n2v n3v n4v n5l")
	c.groupIs(3, "n1v n2v n3v n4v n5l")
	c.seenIn(j, 3, "k", "from 2")
	c.must(0, change{Kind: promote, ID: "n5"})
	c.groupIs(3, "n1v n2v n3v n4v n5v")
	c.must(0, change{Kind: demote, ID: "n1"})
	c.groupIs(3, "n1l n2v n3v n4v n5v")
	c.must(1, change{Kind: remove, ID: "n1"})
	c.fatal(0, "was removed from the cluster")
	c.groupIs(3, "n2v n3v n4v n5v")

	// A restart finds it where it was.
	for i := 1; i < 5; i++ {
		c.stop(i)
	}
	for i := 1; i < 5; i++ {
		c.start(i)
		if c.holds(i, 3) == nil {
			t.Errorf("n%d has not opened the group when it is open", i+1)
		}
	}
	c.groupIs(3, "n2v n3v n4v n5v")
	c.seenIn(4, 3, "k", "from 2")

	c.removeGroup(3, 3)
	for i := 1; i < 5; i++ {
		c.onlyGroup0(i)
	}
	if infos := c.nodes[3].Groups(); len(infos) != 1 {
		t.Errorf("n4 still knows of %+v", infos)
	}
}

func TestAGroupLivesOnSomeNodes(t *testing.T) {
	c := startCluster(t, 3, nil)
	i := c.grow(func(cfg *Config) { cfg.Learner = true })
	c.start(i)
	c.addGroup(0, 7, "n2", "n3", "n4") // n4 has a vote there although it has none in group 0
	c.groupIs(7, "n2v n3v n4v")
	c.setIn(1, 7, "k", "v")
	if info := c.nodes[0].Groups()[1]; info.Held || info.Open || info.Everywhere || len(info.Holders) != 3 {
		t.Errorf("n1 knows of %+v", info)
	}
	seen, err := c.nodes[0].SurveyGroup(testContext(t), 7)
	if err != nil || seen.Leader == "" || len(seen.Members) != 3 || !seen.Members[0].Up || !seen.Members[2].Voter {
		t.Errorf("n1 sees %+v, %v", seen, err)
	}

	in := func(id string, kind changeKind) change { return change{Kind: kind, ID: id} }
	steps := []struct {
		change
		want string
	}{
		{in("n1", addLearner), "n1l n2v n3v n4v"},
		{in("n1", addLearner), "n1l n2v n3v n4v"},
		{in("n1", promote), "n1v n2v n3v n4v"},
		{in("n4", demote), "n1v n2v n3v n4l"},
		{in("n4", remove), "n1v n2v n3v"},
		{in("n2", remove), "n1v n3v"},
		{in("n2", addLearner), "n1v n2l n3v"}, // a founder that left and comes back founds nothing
		{in("n2", promote), "n1v n2v n3v"},
	}
	for _, s := range steps {
		at := 2
		if _, err := c.holds(at, 7).change(testContext(t), s.change); err != nil {
			t.Fatalf("%s %s: %v", s.Kind, s.ID, err)
		}
		c.groupIs(7, s.want)
	}
	c.onlyGroup0(3)
	c.seenIn(1, 7, "k", "v")
	// A node that goes from the cluster goes from this group first.
	c.must(2, change{Kind: remove, ID: "n2"})
	c.fatal(1, "was removed from the cluster")
	c.groupIs(7, "n1v n3v")
	eventually(t, "end of what the catalogue says of n2", func() bool {
		now := c.nodes[0].catalogue()
		r, _ := now.find(7)
		return len(now.leaving) == 0 && len(r.Nodes) == 2
	})
}

func TestChangesOfGroupsThatMakeNoSenseAreRefused(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.addGroup(0, 1)
	c.addGroup(0, 2, "n1")
	c.groupIs(2, "n1v")
	ctx := testContext(t)
	n := c.nodes[2]
	for _, tt := range []struct {
		name string
		do   func() error
		want string
	}{
		{"group 0", func() error { return n.AddGroup(ctx, 0, nil) }, "want a number from 1 to 255"},
		{"too great a number", func() error { return n.AddGroup(ctx, 256, nil) }, "want a number from 1 to 255"},
		{"one that is there", func() error { return n.AddGroup(ctx, 1, nil) }, "exists already"},
		{"on a stranger", func() error { return n.AddGroup(ctx, 3, []string{"n1", "n9"}) }, "node 'n9' is not a member"},
		{"on a node twice", func() error { return n.AddGroup(ctx, 3, []string{"n1", "n1"}) }, "named twice"},
		{"on a bad name", func() error { return n.AddGroup(ctx, 3, []string{"n 1"}) }, "want 1 to 64 letters"},
		{"removal of group 0", func() error { return n.RemoveGroup(ctx, 0) }, "want a number from 1 to 255"},
		{"removal of nothing", func() error { return n.RemoveGroup(ctx, 9) }, "does not exist"},
		{"another member of a group everywhere", func() error { return c.holds(0, 1).Demote(ctx, "n1") }, "lives on all nodes"},
		{"a stranger as a member", func() error { return c.holds(0, 2).AddLearner(ctx, "n9", "") }, "not a member of the cluster"},
		{"promotion of one that is none", func() error { return c.holds(0, 2).Promote(ctx, "n2") }, "is not a member"},
		{"removal of one that is none", func() error { return c.holds(0, 2).Remove(ctx, "n2") }, "is not a member"},
		{"the last voter of a group", func() error { return c.holds(0, 2).Remove(ctx, "n1") }, "last voter"},
		{"a node that a group cannot do without", func() error { return c.group(0).Remove(ctx, "n1") }, "group 2: node 'n1' is the last voter"},
		{"a look at nothing", func() error { _, err := n.SurveyGroup(ctx, 9); return err }, "does not exist"},
	} {
		var refusal *Refusal
		if err := tt.do(); !errors.As(err, &refusal) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a refusal with %q", tt.name, err, tt.want)
		}
	}
	// What was refused changed nothing in the end.
	c.membersAre("n1v n2v n3v")
	c.groupIs(1, "n1v n2v n3v")
	c.groupIs(2, "n1v")
	eventually(t, "catalogue of two groups that nobody leaves, at a node that may hear of it last", func() bool {
		now := n.catalogue()
		return len(now.leaving) == 0 && len(now.records) == 2
	})
	c.stop(1)
	c.leader(-1)
	if err := n.AddGroup(ctx, 3, []string{"n2"}); err == nil || !strings.Contains(err.Error(), "no majority: n2") {
		t.Errorf("on a node that does not answer: %v", err)
	}
}

// A group's id may come back. Who was away then finds another group under it.
func TestALateNodeFindsAnotherGeneration(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.addGroup(0, 5)
	c.groupIs(5, "n1v n2v n3v")
	c.setIn(0, 5, "k", "old")
	c.seenIn(2, 5, "k", "old")
	old := c.holds(2, 5).place
	c.stop(2)
	c.removeGroup(1, 5)
	c.addGroup(1, 5)
	c.setIn(1, 5, "k", "new")
	if err := c.nodes[0].RemoveGroup(testContext(t), 9); err == nil {
		t.Error("a group that is not there was removed")
	}
	conn, err := dialPeer(c.configs[0].dial, c.configs[1].PeerAddr, c.nodes[0].hello("n2", old, useMeet), time.Second)
	if err == nil || !strings.Contains(err.Error(), "generation") {
		t.Errorf("a stream of the old generation: %v, %v", conn, err)
	}
	c.start(2)
	c.groupIs(5, "n1v n2v n3v")
	c.seenIn(2, 5, "k", "new")
	c.stop(0) // its vote counts again
	c.setIn(2, 5, "k", "newer")
	eventually(t, "one directory of the group", func() bool { return c.directories(2) == "0 "+c.holds(2, 5).name() })
}

// What a crash leaves of opening or removing a group is cleared up by the next start.
func TestCrashesWhileGroupsOpenAndGo(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.addGroup(0, 4)
	c.groupIs(4, "n1v n2v n3v")
	c.setIn(0, 4, "k", "v")
	c.seenIn(2, 4, "k", "v")
	p := c.holds(2, 4).place
	dir := filepath.Join(c.configs[2].DataDir, groupDir)
	listed := func(names ...string) {
		t.Helper()
		cfg := c.configs[2].withDefaults()
		lock, meta, err := openDataDir(cfg)
		if err != nil {
			t.Fatal(err)
		}
		meta.Groups = names
		if err := errors.Join(meta.write(cfg.DataDir), lock.Close()); err != nil {
			t.Fatal(err)
		}
	}
	rest := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, name, walDir), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, walDir, "x"), make([]byte, 3*discardStep))
	}

	for _, tt := range []struct {
		name  string
		crash func()
	}{
		{"between the directory and the list: half a directory", func() {
			listed()
			if err := os.RemoveAll(filepath.Join(dir, p.name())); err != nil {
				t.Fatal(err)
			}
			rest(p.name())
		}},
		{"between the directory and the list: a founded group", func() { listed() }},
		{"after the list, before the group was closed: a removed group", func() { listed(p.name()); rest("9-1") }},
		{"after the directory was renamed", func() { listed(p.name()); rest("9-1.abc" + goneSuffix) }},
	} {
		c.stop(2)
		tt.crash()
		c.start(2)
		c.groupIs(4, "n1v n2v n3v")
		c.seenIn(2, 4, "k", "v")
		eventually(t, "tidy directory after a crash "+tt.name, func() bool { return c.directories(2) == "0 "+p.name() })
	}

	// What was promised there is lost.
	c.stop(2)
	if err := os.Rename(filepath.Join(dir, p.name()), filepath.Join(t.TempDir(), "away")); err != nil {
		t.Fatal(err)
	}
	c.refusedStart(2, p.name()+" is missing")
	listed(p.name(), "no group")
	c.refusedStart(2, "is damaged")
}

// A founder that comes late founds the group as the others did; one that was taken out meanwhile does not.
func TestFoundersThatComeLate(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.leader(-1)
	c.stop(2)
	c.addGroup(0, 2)
	c.setIn(1, 2, "k", "v")
	c.addGroup(0, 3, "n1", "n2", "n3")
	if _, err := c.holds(1, 3).change(testContext(t), change{Kind: remove, ID: "n3"}); err != nil {
		t.Fatal(err)
	}
	c.groupIs(3, "n1v n2v")
	c.start(2)
	c.groupIs(2, "n1v n2v n3v")
	c.seenIn(2, 2, "k", "v")
	c.groupIs(3, "n1v n2v")
	if got := c.directories(2); strings.Contains(got, " 3-") {
		t.Errorf("n3 made a directory of a group that it does not hold: %s", got)
	}
}

// Who waits to be added must not vote: of what it once promised as a member it knows nothing.
func TestWhoHasNothingOfTheLogGivesNoVote(t *testing.T) {
	n, _ := openSingle(t, Config{})
	defer closeNode(t, n)
	p := place{id: 200, generation: 7}
	g, err := openGroup(n, p)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	peer := rpcToGroup(t, n, p, "x")
	vote := &raft.RequestVoteRequest{RPCHeader: header("x"), Term: 9, LastLogIndex: 9, LastLogTerm: 8}
	var answer raft.RequestVoteResponse
	err = peer.RequestVote(raft.ServerID(n.ID()), raft.ServerAddress(n.PeerAddr()), vote, &answer)
	if err == nil || !strings.Contains(err.Error(), errNoVote.Error()) || answer.Granted {
		t.Errorf("a node that waits to be added votes: %+v, %v", answer, err)
	}
}

func TestLeadersSpread(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.spreadPoll = 100 * time.Millisecond })
	for id := 1; id <= 8; id++ {
		c.addGroup(id%3, id)
	}
	spread := func(least, most int) bool {
		for _, n := range c.nodes {
			if n == nil {
				continue
			}
			if led := len(n.led()); led < least || led > most {
				return false
			}
		}
		return true
	}
	eventually(t, "three leaders on each node", func() bool { return spread(3, 3) })
	c.stop(1)
	eventually(t, "leaders on the two that are left", func() bool { return spread(4, 5) })
	c.start(1)
	eventually(t, "three leaders on each node again", func() bool { return spread(3, 3) })

	c.nodes[1].HandOver(testContext(t)) // it is about to stop
	for _, i := range []int{0, 2} {
		if g, to := c.nodes[i].surplus(testContext(t)); to == "n2" {
			t.Errorf("n%d wants a node that stops to lead group %d", i+1, g.id)
		}
	}
}

// With one group there is nothing to spread, and who was told to lead goes on leading.
func TestATransferOfTheOnlyGroupIsNotUndone(t *testing.T) {
	c := startCluster(t, 3, nil)
	to := (c.leader(-1) + 1) % 3
	c.must(0, change{Kind: transfer, ID: c.configs[to].NodeID})
	c.leader(-1)
	for _, n := range c.nodes {
		if g, who := n.surplus(testContext(t)); g != nil {
			t.Errorf("%s wants %s to lead group %d", n.ID(), who, g.id)
		}
	}
}

func TestTheServerHearsOfGroups(t *testing.T) {
	var heard []string
	told := make(chan string, 64)
	c := startCluster(t, 1, func(_ int, cfg *Config) {
		cfg.OnGroups = func(opened, closed int) { told <- fmt.Sprint(opened, closed) }
	})
	c.addGroup(0, 3)
	c.removeGroup(0, 3)
	c.onlyGroup0(0)
	c.stop(0)
	close(told)
	for s := range told {
		heard = append(heard, s)
	}
	if got, want := strings.Join(heard, ", "), "0 -1, 3 -1, -1 3, -1 0"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
}

// Requests that meet a group's end are told so.
func TestRequestsAtTheEndOfAGroup(t *testing.T) {
	c := startCluster(t, 1, nil)
	c.addGroup(0, 3)
	g := c.holds(0, 3)
	ended := make(chan error, 1)
	go func() {
		for {
			if err := g.Propose(context.Background(), proposal(setTo("k", "v"))); err != nil {
				ended <- err
				return
			}
		}
	}()
	c.removeGroup(0, 3)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrInDoubt) && !errors.Is(err, ErrNoLeader) {
			t.Errorf("a write is told %v", err)
		}
	case <-time.After(testTimeout):
		t.Error("writes go on")
	}
}
