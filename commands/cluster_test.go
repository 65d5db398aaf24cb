package commands

import (
	"reflect"
	"testing"
)

func TestChangesOfTheCluster(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want Change
	}{
		{[]string{"DTKV.CLUSTER", "ADD", "n4", "h:1"}, Change{Action: AddNode, Node: "n4", Address: "h:1"}},
		{[]string{"dtkv.cluster", "add", "n4", "h:1", "learner"}, Change{Action: AddNode, Node: "n4", Address: "h:1", Learner: true}},
		{[]string{"DTKV.CLUSTER", "ADD", "n4"}, Change{Action: AddNode, Node: "n4"}},
		{[]string{"DTKV.CLUSTER", "ADD", "n4", "-"}, Change{Action: AddNode, Node: "n4"}},
		{[]string{"DTKV.CLUSTER", "ADD", "n4", "LEARNER"}, Change{Action: AddNode, Node: "n4", Learner: true}},
		{[]string{"DTKV.CLUSTER", "PROMOTE", "n4"}, Change{Action: PromoteNode, Node: "n4"}},
		{[]string{"DTKV.CLUSTER", "DEMOTE", "n4"}, Change{Action: DemoteNode, Node: "n4"}},
		{[]string{"DTKV.CLUSTER", "REMOVE", "n4"}, Change{Action: RemoveNode, Node: "n4"}},
		{[]string{"DTKV.CLUSTER", "TRANSFER"}, Change{Action: TransferLeadership}},
		{[]string{"DTKV.CLUSTER", "TRANSFER", "n4"}, Change{Action: TransferLeadership, Node: "n4"}},
	} {
		r := newRig(t, 2)
		if got := r.do(test.argv...); got != "+OK\r\n" || !reflect.DeepEqual(r.change, &test.want) {
			t.Errorf("%q: %q, %+v, want %+v", test.argv, got, r.change, test.want)
		}
	}
}

func TestChangesThatAreNone(t *testing.T) {
	r := newRig(t, 2)
	for _, test := range []struct {
		argv []string
		want string
	}{
		{[]string{"DTKV.CLUSTER", "ADD"}, "-ERR wrong number of arguments for 'dtkv.cluster|add' command\r\n"},
		{[]string{"DTKV.CLUSTER", "ADD", "n4", "h:1", "VOTER"}, "-ERR syntax error\r\n"},
		{[]string{"DTKV.CLUSTER", "ADD", "n4", "h:1", "LEARNER", "n5"}, "-ERR syntax error\r\n"},
		{[]string{"DTKV.CLUSTER", "TRANSFER", "n4", "n5"}, "-ERR syntax error\r\n"},
		{[]string{"DTKV.CLUSTER", "STATUS", "CHART"}, "-ERR syntax error\r\n"},
		{[]string{"DTKV.CLUSTER", "STATUS", "TABLE", "TABLE"}, "-ERR syntax error\r\n"},
		{[]string{"DTKV.CLUSTER", "REMOVE"}, "-ERR wrong number of arguments for 'dtkv.cluster|remove' command\r\n"},
	} {
		if got := r.do(test.argv...); got != test.want {
			t.Errorf("%q: %q, want %q", test.argv, got, test.want)
		}
	}
}

func TestASurveyOfTheCluster(t *testing.T) {
	r := newRig(t, 2)
	r.cluster = Cluster{
		ID: "c", Node: "n2", Leader: "n1", Term: 7, Committed: 12, Applied: 11,
		Members: []ClusterNode{
			{ID: "n1", Address: "h1:2", Client: "h1:1", Voter: true, Up: true, Last: 12, Version: "1"},
			{ID: "n2", Address: "h2:2", Voter: true, Up: true, Last: 11},
			{ID: "n3", Address: "h3:2", Voter: true},
			{ID: "n4", Address: "h4:2", Up: true, Last: 3},
		},
	}
	want := "*24\r\n$5\r\nstate\r\n$8\r\ndegraded\r\n$7\r\ncluster\r\n$1\r\nc\r\n$4\r\nnode\r\n$2\r\nn2\r\n$5\r\ngroup\r\n:0\r\n" +
		"$6\r\nleader\r\n$2\r\nn1\r\n$4\r\nterm\r\n:7\r\n$6\r\nvoters\r\n:3\r\n$9\r\nvoters-up\r\n:2\r\n$6\r\nquorum\r\n:2\r\n" +
		"$8\r\nlearners\r\n:1\r\n$12\r\ncommit-index\r\n:12\r\n$13\r\napplied-index\r\n:11\r\n"
	if got := r.do("DTKV.CLUSTER", "STATUS"); got != want {
		t.Errorf("status:\n got %q\nwant %q", got, want)
	}
	want = "*6\r\n+cluster c, group 0: degraded; leader n1, term 7; 2 of 3 voters answer, 2 are needed\r\n" +
		"+NODE  ROLE     STATE  CLIENTS AT  PEERS AT  LAST INDEX  RELEASE\r\n" +
		"+n1    leader   up     h1:1        h1:2      12          1\r\n" +
		"+n2    voter    up     -           h2:2      11          -\r\n" +
		"+n3    voter    down   -           h3:2      0           -\r\n" +
		"+n4    learner  up     -           h4:2      3           -\r\n"
	if got := r.do("DTKV.CLUSTER", "STATUS", "table"); got != want {
		t.Errorf("table:\n got %q\nwant %q", got, want)
	}
	r.cluster.Members = r.cluster.Members[2:3]
	want = "*1\r\n*14\r\n$2\r\nid\r\n$2\r\nn3\r\n$4\r\nrole\r\n$5\r\nvoter\r\n$5\r\nstate\r\n$4\r\ndown\r\n$7\r\naddress\r\n$4\r\nh3:2\r\n" +
		"$6\r\nclient\r\n$0\r\n\r\n$10\r\nlast-index\r\n:0\r\n$7\r\nversion\r\n$0\r\n\r\n"
	if got := r.do("DTKV.CLUSTER", "NODES"); got != want {
		t.Errorf("nodes:\n got %q\nwant %q", got, want)
	}
	r.cluster.Leader = ""
	if got := r.cluster.state(); got != "down" {
		t.Errorf("without a leader: %s", got)
	}
}
