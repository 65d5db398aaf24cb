package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/replica"
)

// fakeMembers is a group whose members can be changed.
type fakeMembers struct {
	*fakeGroup
	calls []string
	fails map[string]error // by the name of the change
}

func (m *fakeMembers) call(name, id string) error {
	m.calls = append(m.calls, strings.TrimSpace(name+" "+id))
	return m.fails[name]
}

func (m *fakeMembers) AddLearner(_ context.Context, id, address string) error {
	return m.call("add", id+" "+address)
}
func (m *fakeMembers) Promote(_ context.Context, id string) error  { return m.call("promote", id) }
func (m *fakeMembers) Demote(_ context.Context, id string) error   { return m.call("demote", id) }
func (m *fakeMembers) Remove(_ context.Context, id string) error   { return m.call("remove", id) }
func (m *fakeMembers) Transfer(_ context.Context, id string) error { return m.call("transfer", id) }
func (m *fakeMembers) Survey(context.Context) []replica.Sighting   { return nil }

func TestChangesReachTheGroup(t *testing.T) {
	for _, test := range []struct {
		change commands.Change
		want   string
	}{
		{commands.Change{Action: commands.AddNode, Node: "n4", Address: "h:1"}, "add n4 h:1,promote n4"},
		{commands.Change{Action: commands.AddNode, Node: "n4", Address: "h:1", Learner: true}, "add n4 h:1"},
		{commands.Change{Action: commands.PromoteNode, Node: "n4"}, "promote n4"},
		{commands.Change{Action: commands.DemoteNode, Node: "n4"}, "demote n4"},
		{commands.Change{Action: commands.RemoveNode, Node: "n4"}, "remove n4"},
		{commands.Change{Action: commands.TransferLeadership}, "transfer"},
	} {
		m := &fakeMembers{}
		if err := change(t.Context(), m, test.change); err != nil || strings.Join(m.calls, ",") != test.want {
			t.Errorf("%+v: %v, %q, want %q", test.change, err, m.calls, test.want)
		}
	}
}

// A node that was just added needs time, but not for ever.
func TestANewNodeIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMembers{fails: map[string]error{"promote": &replica.Refusal{Text: "node 'n4' does not answer"}}}
		began := time.Now()
		err := change(t.Context(), m, commands.Change{Action: commands.AddNode, Node: "n4", Address: "h:1"})
		if took := time.Since(began); took < catchUpTime || took > catchUpTime+time.Second {
			t.Errorf("it took %v", took)
		}
		if reply := changeVerdict(err, "DTKV.CLUSTER NODES").Error(); reply != "ERR node 'n4' was added and is a learner, but has no vote yet: node 'n4' does not answer; promote it later" {
			t.Errorf("%s", reply)
		}
		m.fails["promote"] = replica.ErrInDoubt
		if err := change(t.Context(), m, commands.Change{Action: commands.AddNode, Node: "n4"}); !errors.Is(err, replica.ErrInDoubt) {
			t.Errorf("a promotion in doubt: %v", err)
		}
	})
}

func TestTheVerdictOnAChange(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&replica.Refusal{Text: "node 'n4' is not a member"}, "ERR node 'n4' is not a member"},
		{fmt.Errorf("%w: x", replica.ErrNoLeader), "CLUSTERDOWN no leader is known; the command was not run"},
		{replica.ErrInDoubt, "INDOUBT the change may or may not have been made; DTKV.CLUSTER NODES shows it"},
		{errors.New("something else"), "INDOUBT the change may or may not have been made; DTKV.CLUSTER NODES shows it"},
	} {
		if got := changeVerdict(test.err, "DTKV.CLUSTER NODES").Error(); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
