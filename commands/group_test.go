package commands

import (
	"reflect"
	"testing"
)

func TestChangesOfTheGroups(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want Change
	}{
		{[]string{"DTKV.GROUP", "ADD", "3"}, Change{Action: AddGroup, Database: 3}},
		{[]string{"dtkv.group", "add", "255", "n1", "n3"}, Change{Action: AddGroup, Database: 255, Nodes: []string{"n1", "n3"}}},
		{[]string{"DTKV.GROUP", "REMOVE", "1"}, Change{Action: RemoveGroup, Database: 1}},
	} {
		r := newRig(t, 2)
		if got := r.do(test.argv...); got != "+OK\r\n" || !reflect.DeepEqual(r.change, &test.want) {
			t.Errorf("%q: %q, %+v, want %+v", test.argv, got, r.change, test.want)
		}
	}
}

func TestGroupsThatCannotBe(t *testing.T) {
	const number = "-ERR a database that can be added or removed has a number from 1 to 255\r\n"
	r := newRig(t, 2)
	for _, test := range []struct {
		argv []string
		want string
	}{
		{[]string{"DTKV.GROUP", "ADD", "0"}, number},
		{[]string{"DTKV.GROUP", "ADD", "256", "n1"}, number},
		{[]string{"DTKV.GROUP", "REMOVE", "0"}, number},
		{[]string{"DTKV.GROUP", "REMOVE", "-1"}, number},
		{[]string{"DTKV.GROUP", "ADD", "x"}, "-ERR value is not an integer or out of range\r\n"},
		{[]string{"DTKV.GROUP", "REMOVE", "1", "2"}, "-ERR wrong number of arguments for 'dtkv.group|remove' command\r\n"},
		{[]string{"DTKV.GROUP", "ADD"}, "-ERR wrong number of arguments for 'dtkv.group|add' command\r\n"},
	} {
		if got := r.do(test.argv...); got != test.want {
			t.Errorf("%q: %q, want %q", test.argv, got, test.want)
		}
	}
}

func TestAListOfTheGroups(t *testing.T) {
	groups := []Group{
		{State: GroupOK, Leader: "n1", Voters: []string{"n1", "n2"}, Learners: []string{"n3"}, Keys: 7, Everywhere: true},
		{ID: 5, State: GroupDown, Voters: []string{"n2"}, Keys: -1},
	}
	r := newRig(t, 2)
	r.groups = groups
	want := "*2\r\n*14\r\n$2\r\nid\r\n:0\r\n$5\r\nstate\r\n$2\r\nok\r\n$6\r\nleader\r\n$2\r\nn1\r\n" +
		"$6\r\nvoters\r\n*2\r\n$2\r\nn1\r\n$2\r\nn2\r\n$8\r\nlearners\r\n*1\r\n$2\r\nn3\r\n$4\r\nkeys\r\n:7\r\n$10\r\neverywhere\r\n:1\r\n" +
		"*14\r\n$2\r\nid\r\n:5\r\n$5\r\nstate\r\n$4\r\ndown\r\n$6\r\nleader\r\n$0\r\n\r\n" +
		"$6\r\nvoters\r\n*1\r\n$2\r\nn2\r\n$8\r\nlearners\r\n*0\r\n$4\r\nkeys\r\n$-1\r\n$10\r\neverywhere\r\n:0\r\n"
	if got := r.do("DTKV.GROUP", "LIST"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// SELECT and FLUSHALL are for the server to carry out: which databases there are, and where, is not known here.
func TestCommandsAcrossDatabases(t *testing.T) {
	for _, test := range []struct {
		argv []string
		kind Kind
		db   int32
	}{
		{[]string{"SELECT", "7"}, Select, 7},
		{[]string{"SELECT", "-1"}, Select, -1},
		{[]string{"FLUSHALL"}, WriteAll, 0},
		{[]string{"FLUSHDB"}, Write, 0},
	} {
		argv := make([][]byte, len(test.argv))
		for i, a := range test.argv {
			argv[i] = []byte(a)
		}
		if _, plan, err := Prepare(argv, Settings{}); err != nil || plan.Kind != test.kind || plan.Database != test.db {
			t.Errorf("%q: kind %d, database %d, %v", test.argv, plan.Kind, plan.Database, err)
		}
	}
}
