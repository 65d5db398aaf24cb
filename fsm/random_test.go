package fsm

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// randomOps makes operations over so few keys and values that they meet.
func randomOps(rng *rand.Rand, n int) []Op {
	ops := make([]Op, n)
	for i := range ops {
		switch rng.IntN(12) {
		case 0:
			ops[i] = &Batch{Ops: plainOps(rng, rng.IntN(6))}
		case 1:
			txn := &Txn{Ops: plainOps(rng, rng.IntN(6))}
			if rng.IntN(4) == 0 {
				txn.Watches = []Watch{{randomKey(rng), uint64(rng.IntN(3))}}
			}
			if rng.IntN(3) == 0 {
				txn.Ops = append(txn.Ops, &Batch{Ops: plainOps(rng, rng.IntN(4))})
			}
			ops[i] = txn
		default:
			ops[i] = plainOp(rng)
		}
	}
	return ops
}

func plainOps(rng *rand.Rand, n int) []Op {
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = plainOp(rng)
	}
	return ops
}

func plainOp(rng *rand.Rand) Op {
	key, value := randomKey(rng), randomValue(rng)
	yes := rng.IntN(2) == 0
	if rng.IntN(5) < 2 {
		return timedOp(rng, key, value)
	}
	switch rng.IntN(20) {
	case 0, 1:
		return &Set{Key: key, Value: value, TTL: randomTTL(rng)}
	case 2:
		return &Set{Key: key, Value: value, If: Condition(rng.IntN(5)), Match: randomValue(rng), Get: yes, TTL: randomTTL(rng)}
	case 3:
		return &Set{Key: key, Value: value, If: IfDigestEqual + Condition(rng.IntN(2)), Match: []byte(ValueDigest(string(randomValue(rng))))}
	case 4:
		return &Append{key, value}
	case 5:
		return &SetRange{key, int64(rng.IntN(8)) - 1, value}
	case 6:
		return &GetDel{Key: key, Owner: randomOwner(rng)}
	case 7:
		return &Increment{key, int64(rng.IntN(21)) - 10}
	case 8:
		many := &SetMany{If: Condition(rng.IntN(3)), TTL: randomTTL(rng)}
		for range rng.IntN(4) {
			many.Pairs = append(many.Pairs, randomKey(rng), randomValue(rng))
		}
		return many
	case 9, 10:
		rm := &Remove{Owner: randomOwner(rng)}
		for range rng.IntN(4) {
			rm.Keys = append(rm.Keys, randomKey(rng))
		}
		return rm
	case 11:
		return &RemoveIf{Key: key, If: []Condition{Always, IfEqual, IfNotEqual}[rng.IntN(3)], Match: value, Owner: randomOwner(rng)}
	case 12:
		return &Rename{key, randomKey(rng), yes}
	case 13:
		return &Copy{key, randomKey(rng), yes}
	case 14, 15, 16:
		return &MakeDir{Key: key, Parents: yes}
	case 17:
		return &RemoveDir{Key: key, Recursive: yes && rng.IntN(3) == 0, Owner: randomOwner(rng)}
	case 18:
		return &CompareAndSet{key, value, randomValue(rng)}
	}
	if rng.IntN(40) == 0 {
		return &Flush{}
	}
	return &CompareAndSet{key, nil, value}
}

// timedOp makes an operation on deadlines, owners or locks.
func timedOp(rng *rand.Rand, key, value []byte) Op {
	owner, millis := randomOwner(rng), int64(rng.IntN(60))-3
	ticket := Ticket{Process: 1 + uint64(rng.IntN(3)), Number: uint64(rng.IntN(3))}
	which := rng.IntN(18)
	if which > 8 && rng.IntN(4) > 0 { // so that several meet at a lock
		key = [][]byte{[]byte("l"), []byte("l"), []byte("a.l")}[rng.IntN(3)]
	}
	switch which {
	case 0, 1:
		o := &Expire{Key: key, Millis: millis, If: TTLCondition(rng.IntN(int(maxTTLCondition) + 1))}
		if rng.IntN(4) == 0 {
			o.Millis, o.Absolute = randomTime(rng), true
		}
		return o
	case 2:
		return &Persist{key}
	case 3:
		return &GetExpire{key, randomTTL(rng), rng.IntN(3) == 0}
	case 4, 5:
		return &PutTemp{key, value, millis, owner}
	case 6:
		return &UpdateTTL{key, millis, owner}
	case 7:
		return &RemoveOwned{key, owner}
	case 8:
		return &MakeDir{Key: key, Parents: rng.IntN(2) == 0, Millis: millis, Owner: owner}
	case 9, 10, 11, 12:
		return &AcquireLock{key, owner, millis, int64(rng.IntN(60)) - 20, ticket}
	case 13:
		return &ReleaseLock{key, owner}
	case 14:
		return &RenewLock{key, owner, millis}
	case 15, 16:
		if rng.IntN(5) == 0 {
			return &RetainProcesses{[]uint64{1, 2}}
		}
		return &LeaveLock{key, owner, ticket}
	}
	return &ExpireDue{int64(rng.IntN(8))}
}

// randomTTL is none half of the time.
func randomTTL(rng *rand.Rand) TTL {
	ttl := TTL{Millis: 1 + int64(rng.IntN(50))}
	return []TTL{{}, {}, {}, {}, {Keep: true}, ttl, {Millis: -1 - int64(rng.IntN(3))}, {Millis: randomTime(rng), Absolute: true}}[rng.IntN(8)]
}

// randomTime is before or after the time of an entry, and within 50 ms of it at times.
func randomTime(rng *rand.Rand) int64 { return 1000*int64(1+rng.IntN(60)) + int64(rng.IntN(50)) }

func randomOwner(rng *rand.Rand) Owner {
	return []Owner{alice, alice, bob, bob, carol, {}}[rng.IntN(6)]
}

func randomKey(rng *rand.Rand) []byte {
	if rng.IntN(50) == 0 {
		return [][]byte{nil, []byte("."), []byte("a..b"), []byte("a."), bytes.Repeat([]byte("k"), MaxKeySize+1)}[rng.IntN(5)]
	}
	var key []byte
	for i := range 1 + rng.IntN(4) {
		if i > 0 {
			key = append(key, '.')
		}
		key = append(key, []string{"a", "b", "a-", "\x00"}[rng.IntN(4)]...)
	}
	return key
}

func randomValue(rng *rand.Rand) []byte {
	return []byte([]string{"", "1", "9", "-7", "x", "9223372036854775807", "long value", "\x00"}[rng.IntN(8)])
}

// Whatever the operations, the machine does what the model does: the same answers and the same state.
func TestTheMachineDoesWhatTheModelDoes(t *testing.T) {
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l, m := newLab(t).must(&LeaderStart{Term: 1}), newModel()
		m.index = 1
		copied := newMirror()
		l.header.AutoMkdir = seed%3 == 0
		l.header.MaxValue = 24
		m.autoMkdir, m.maxValue = l.header.AutoMkdir, 24
		for range 60 {
			ops := randomOps(rng, 1+rng.IntN(6))
			m.index++
			l.header.ClusterMillis += int64(rng.IntN(20))
			m.now = l.header.ClusterMillis
			if m.index%7 == 0 { // nothing that a frozen view shares may be changed in place afterwards
				l.Freeze()
			}
			if rng.IntN(20) == 0 {
				l.Machine = restored(t, l.Machine)
			}
			got := l.all(ops...)
			copied.follow(t, l.Events())
			copied.compare(t, l.View())
			for i, op := range ops {
				if want := m.apply(op); outcome(got[i]) != outcome(want) {
					t.Fatalf("seed %d, entry %d, %s: got %s, want %s", seed, m.index, op, outcome(got[i]), outcome(want))
				}
			}
			compare(t, l.View(), m)
			audit(t, l.View())
			if t.Failed() {
				t.Fatalf("seed %d, entry %d: %s", seed, m.index, &Batch{Ops: ops})
			}
		}
	}
}

// thingOf is what a node is in the model.
func thingOf(n *Node) thing {
	deadline, _ := n.Deadline()
	return thing{n.Kind, n.Value, n.Created.Index, n.Updated.Index, deadline, n.Owner(), queueOf(n)}
}

func compare(t *testing.T, v View, m *model) {
	if v.s.tokens != m.tokens {
		t.Errorf("%d tokens, want %d", v.s.tokens, m.tokens)
	}
	if v.Nodes() != len(m.nodes)-1 {
		t.Errorf("%d nodes, want %d", v.Nodes(), len(m.nodes)-1)
	}
	for key, want := range m.nodes {
		n, ok := v.Lookup([]byte(key))
		if !ok {
			t.Errorf("no %q", key)
			continue
		}
		got := thingOf(n)
		if got.lock.String() != want.lock.String() {
			t.Errorf("%q is %s, want %s", key, got.lock, want.lock)
		}
		if got.lock, want.lock = nil, nil; got != want {
			t.Errorf("%q is %v, want %v", key, got, want)
		}
	}
}

// The same entries give the same state, whether or not a snapshot was taken and restored anywhere on the way.
func TestReplayIsDeterministicThroughSnapshots(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		first := newLab(t)
		first.header.AutoMkdir = seed%2 == 0
		var entries [][]byte
		var digests [][32]byte
		for range 60 {
			ops := randomOps(rng, 1+rng.IntN(10))
			if rng.IntN(10) == 0 {
				ops = append(ops, &LeaderStart{Term: 1})
			}
			if rng.IntN(3) == 0 {
				ops = append(ops, randomCatalogOp(rng, first.View().Groups()))
			}
			first.header.ClusterMillis += int64(rng.IntN(50))
			e := first.entry(ops...)
			buf := append(make([]byte, HeaderSize), e.ops...)
			SealEntry(buf, e.Header, e.Len())
			entries = append(entries, buf)
			if _, err := first.Apply(e, nil); err != nil {
				t.Fatal(err)
			}
			digests = append(digests, first.View().Digest())
		}
		for cut := range entries {
			m := New()
			for i, buf := range entries {
				if i == cut {
					m = restored(t, m)
				}
				applyBytes(t, m, buf)
				if m.View().Digest() != digests[i] {
					t.Fatalf("seed %d, restored at %d: another state at %d", seed, cut, i)
				}
			}
			audit(t, m.View())
		}
	}
}

func restored(t testing.TB, m *Machine) *Machine {
	t.Helper()
	var file bytes.Buffer
	if err := WriteSnapshot(&file, m.View()); err != nil {
		t.Fatal(err)
	}
	again, err := ReadSnapshot(&file)
	if err != nil {
		t.Fatal(err)
	}
	return again
}
