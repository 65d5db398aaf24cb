package fsm

import "testing"

func TestALeapMovesIndexAndTokensAndNothingElse(t *testing.T) {
	l := timed(t)
	before := l.Freeze()
	order := func(v View) (all []Node) {
		v.Ascend(func(n *Node) bool { all = append(all, *n); return true })
		return all
	}
	if err := l.Leap(1 << 40); err != nil {
		t.Fatal(err)
	}
	after := l.View()
	if after.Index() != before.Index()+1<<40 || after.s.tokens != before.s.tokens+1<<40 {
		t.Errorf("index %d and %d tokens, from %d and %d", after.Index(), after.s.tokens, before.Index(), before.s.tokens)
	}
	if after.Term() != before.Term() || after.LeaderTerm() != before.LeaderTerm() || after.ClusterMillis() != before.ClusterMillis() {
		t.Error("a term or the clock has moved")
	}
	was, is := order(before), order(after)
	if len(was) != len(is) {
		t.Fatalf("%d nodes, %d before", len(is), len(was))
	}
	for i := range was {
		if !sameNode(&was[i], &is[i]) {
			t.Errorf("%v has become %v", was[i], is[i])
		}
	}
	audit(t, restored(t, l.Machine).View())

	l.header.ClusterMillis++
	owner := Owner{42}
	token := l.must(&AcquireLock{Key: []byte("after-the-leap"), Owner: owner, Lease: 1000}).View().s.tokens
	if token != before.s.tokens+1<<40+1 {
		t.Errorf("the next token is %d", token)
	}
}

func TestALeapThatNumbersCannotTakeIsRefused(t *testing.T) {
	l := timed(t)
	digest, index := l.View().Digest(), l.View().Index()
	for _, by := range []uint64{MaxLeap, MaxLeap + 1, 1<<64 - 1, MaxLeap - index + 1} {
		if err := l.Leap(by); err == nil || l.View().Digest() != digest || l.View().Index() != index {
			t.Errorf("a leap by %d: %v", by, err)
		}
	}
	if err := l.Leap(MaxLeap - index); err != nil {
		t.Errorf("a leap as far as can be: %v", err)
	}
}

func TestResettledGroupsLiveEverywhere(t *testing.T) {
	l := newLab(t).must(&LeaderStart{Term: 1})
	old := []Founder{{ID: "a", Address: "a:1", Voter: true}, {ID: "b", Address: "b:1", Voter: true}}
	l.must(&AddGroup{ID: 3, Founders: old})
	l.must(&AddGroup{ID: 4, Founders: old})
	l.must(&AddGroup{ID: 5, Everywhere: true, Founders: old})
	l.must(&NodeLeaves{Node: "b", Step: Leaves})
	before := l.View().Groups()
	if err := l.Resettle(func(GroupRecord) bool { return true }, nil); err == nil {
		t.Error("groups without a voter")
	}
	founders := []Founder{{ID: "n1", Address: "n:1", Voter: true}}
	if err := l.Resettle(func(r GroupRecord) bool { return r.ID != 4 }, founders); err != nil {
		t.Fatal(err)
	}
	groups := restored(t, l.Machine).View().Groups()
	if len(groups) != 2 || groups[0].ID != 3 || groups[1].ID != 5 || len(l.View().Leaving()) != 0 {
		t.Fatalf("%+v, leaving %v", groups, l.View().Leaving())
	}
	for i, r := range groups {
		if !r.Everywhere || len(r.Nodes) != 0 || len(r.Founders) != 1 || r.Founders[0] != founders[0] || r.Generation != before[2*i].Generation {
			t.Errorf("%+v, which was %+v", r, before[2*i])
		}
	}
	if len(before[0].Founders) != 2 || before[0].Everywhere {
		t.Error("the old record has changed")
	}
	untouched := newLab(t).must(&LeaderStart{Term: 1})
	digest := untouched.View().Digest()
	if err := untouched.Resettle(func(GroupRecord) bool { return true }, nil); err != nil || untouched.View().Digest() != digest {
		t.Errorf("without groups: %v", err)
	}
}
