package fsm

import (
	"errors"
	"testing"
)

func TestOnlyWholeOperationsOfClientsAreLetIn(t *testing.T) {
	set := (&Set{Key: []byte("k"), Value: []byte("v")}).AppendTo(nil)
	two := (&Batch{Ops: []Op{&Set{Key: []byte("k"), Value: []byte("v")}}}).AppendTo(set[:len(set):len(set)])
	changed := func(at int, to byte) []byte {
		data := append([]byte(nil), two...)
		data[at] = to
		return data
	}
	group := (&RemoveGroup{3, 4}).AppendTo(nil)
	if c := (Checker{Catalog: true}); c.Check(group, 1) != nil || c.Check((&LeaderStart{}).AppendTo(nil), 1) == nil {
		t.Error("group 0 takes changes of the catalogue from other nodes, and no more")
	}
	var c Checker
	for _, test := range []struct {
		name  string
		data  []byte
		count int
		ok    bool
	}{
		{"one", set, 1, true},
		{"two", two, 2, true},
		{"none", nil, 0, true},
		{"more than are there", set, 2, false},
		{"fewer than are there", two, 1, false},
		{"cut off", set[:len(set)-1], 1, false},
		{"of a newer release", changed(0, 200), 2, false},
		{"with another inside that is of a newer release", changed(len(two)-len(set), 200), 2, false},
		{"of group 0", group, 1, false},
		{"of a leader", (&LeaderStart{}).AppendTo(nil), 1, false},
	} {
		if err := c.Check(test.data, test.count); (err == nil) != test.ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
