package fsm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// hashes are ways to make keys collide, from not at all to all of them.
var hashes = []struct {
	name string
	hash func(string) uint64
}{
	{"hashes that spread", xxhash},
	{"hashes that are neighbours", func(key string) uint64 { return 1<<63 | xxhash(key)>>4 }},
	{"seven hashes for all", func(key string) uint64 { return xxhash(key) % 7 << 61 }},
	{"one hash for all", func(string) uint64 { return 0 }},
	{"the greatest hash for all", func(string) uint64 { return 1<<64 - 1 }},
}

func TestTheIndexFindsWhatAMapFinds(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			x, model := newIndex(), map[string]*cell{}
			for step := range 30_000 {
				key := fmt.Sprintf("k%d", rng.IntN(4000))
				hash, old := tt.hash(key), model[key]
				growing := step/10_000 != 1 // it grows, shrinks and grows again
				switch c := (&cell{node: &Node{Key: key}}); {
				case old != nil && rng.IntN(4) == 0:
					x.replace(hash, c)
					model[key] = c
				case old != nil && (!growing || rng.IntN(8) == 0):
					x.remove(hash, key)
					delete(model, key)
				case old == nil && (growing || rng.IntN(8) == 0):
					x.insert(hash, c)
					model[key] = c
				}
				if c, sure := x.find(hash, key); c != model[key] && (c != nil || sure) {
					t.Fatalf("step %d: %s: found %p, sure %v; the map has %p", step, key, c, sure, model[key])
				}
				if step%1000 == 0 {
					auditIndex(t, &x, len(model))
				}
			}
			for key := range model {
				x.remove(tt.hash(key), key)
			}
			auditIndex(t, &x, 0)
			if len(x.tags) != minSlots {
				t.Errorf("an empty index keeps %d slots", len(x.tags))
			}
		})
	}
}

// auditIndex checks what must hold in every index of that many keys.
func auditIndex(t testing.TB, x *hashIndex, keys int) {
	t.Helper()
	held, mask := 0, len(x.tags)-1
	for i, tag := range x.tags {
		if (tag == 0) != (x.cells[i] == nil) {
			t.Errorf("slot %d has tag %x and cell %p", i, tag, x.cells[i])
		}
		if tag == 0 {
			continue
		}
		held++
		home := int(tag >> x.shift)
		if (i-home)&mask >= maxProbe {
			t.Errorf("slot %d is further than %d from %d", i, maxProbe, home)
		}
		for j := home; j&mask != i; j++ {
			if x.tags[j&mask] == 0 {
				t.Errorf("slot %d is not reached from %d", i, home)
				break
			}
		}
	}
	if held != x.count || held+x.missing != keys {
		t.Errorf("%d slots are taken, count is %d, missing %d, of %d keys", held, x.count, x.missing, keys)
	}
	if 4*held > 3*len(x.tags) {
		t.Errorf("%d of %d slots are taken", held, len(x.tags))
	}
}

// Cells are replaced in place until a View is frozen. Whether and when that happens must not be seen in any state.
func TestFreezingIsSeenInNoState(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(13, 14))
			plain, frozen := newLab(t), newLab(t)
			plain.state.init(xxhash)
			frozen.state.init(tt.hash)
			var views []View
			var digests [][32]byte
			for range 400 {
				ops := randomOps(rng, 1+rng.IntN(6))
				plain.all(ops...)
				frozen.all(ops...)
				want := plain.View().Digest()
				if frozen.View().Digest() != want {
					t.Fatalf("at index %d the states differ", plain.View().Index())
				}
				if rng.IntN(3) == 0 {
					views, digests = append(views, frozen.Freeze()), append(digests, want)
				}
			}
			audit(t, frozen.View())
			for i, v := range views {
				if v.Digest() != digests[i] {
					t.Errorf("the view of index %d has changed", v.Index())
				}
				audit(t, v)
			}

			b := newBuilder(tt.hash)
			info, err := readSnapshot(bytes.NewReader(snapshotOf(t, frozen.View())), b.add)
			if err == nil {
				err = b.finish(info)
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.m.View().Digest() != frozen.View().Digest() {
				t.Error("the restored state is another")
			}
			audit(t, b.m.View())
		})
	}
}

func TestAFrozenViewKeepsWhatAnOperationChanges(t *testing.T) {
	tests := []struct {
		name string
		ops  []Op
	}{
		{"an overwrite", []Op{set("v", "2")}},
		{"an overwrite of an overwrite", []Op{set("v", "2"), set("v", "3")}},
		{"a removal", []Op{del("v")}},
		{"a removal and the key made anew", []Op{del("v"), set("v", "2")}},
		{"a directory in place of a value", []Op{del("v"), mkdir("v"), set("v.v", "2")}},
		{"a removal that is rolled back", []Op{del("v", "d.v", "full")}},
		{"an overwrite that is rolled back", []Op{&SetMany{Pairs: list("v", "2", "d.v", "2", "new", "2", "full", "2")}}},
		{"a rollback and an overwrite", []Op{&SetMany{Pairs: list("v", "2", "full", "2")}, del("v", "full"), set("v", "3")}},
		{"an overwrite and a rollback", []Op{set("v", "3"), &SetMany{Pairs: list("v", "2", "full", "2")}, del("v", "full")}},
		{"a move there and back", []Op{rename("d", "e"), rename("e", "d")}},
		{"a flush", []Op{&Flush{}}},
	}
	for _, tt := range tests {
		for _, hash := range hashes {
			t.Run(tt.name+", "+hash.name, func(t *testing.T) {
				l, never := newLab(t), newLab(t)
				l.state.init(hash.hash)
				for _, m := range []*lab{l, never} {
					m.must(set("v", "1"), mkdir("d"), set("d.v", "1"), mkdir("full"), set("full.v", "1"))
				}
				v, before := l.Freeze(), never.View().Digest()
				node, _ := v.Lookup([]byte("v"))
				for range 2 { // the second time the cells are those of after the first Freeze
					for _, op := range tt.ops {
						l.do(op)
						never.do(op)
						if l.View().Digest() != never.View().Digest() {
							t.Fatalf("%s: another state than without a frozen view", op)
						}
						audit(t, l.View())
					}
				}
				if v.Digest() != before {
					t.Error("the frozen view has changed")
				}
				if n, ok := v.Lookup([]byte("v")); !ok || n != node || n.Value != "1" {
					t.Errorf("the frozen view finds %v", n)
				}
			})
		}
	}
}

func TestACellIsReplacedOnceForEachFreeze(t *testing.T) {
	l := newLab(t).must(set("v", "1"))
	first := l.cell("v")
	if l.must(set("v", "2")); l.cell("v") != first {
		t.Error("an overwrite made a new cell and nobody had seen the old one")
	}
	l.Freeze()
	l.must(set("v", "3"))
	second := l.cell("v")
	if second == first || first.node.Value != "2" {
		t.Error("a cell that is shared was changed")
	}
	if l.must(set("v", "4")); l.cell("v") != second || second.node.Value != "4" {
		t.Error("the new cell was not used again")
	}
}

// One turn of the loop doubles the index of 786 432 keys, which is what one SET among as many has to wait for.
func BenchmarkIndexDoubling(b *testing.B) {
	const slots = 1 << 20
	x := newIndex()
	for i := range slots * 3 / 4 {
		key := fmt.Sprintf("key:%012d", i)
		x.insert(xxhash(key), &cell{node: &Node{Key: key}})
	}
	b.ReportMetric(float64(x.missing), "missing")
	for range b.N {
		y := x
		y.resize(2 * slots)
	}
}

// Looking ahead changes nothing, whatever the keys: those that are there, that share a slot or a hash, and that are missing.
func TestWarmingLooksAndTouchesNothing(t *testing.T) {
	for _, tt := range hashes {
		m := New()
		if m.View().Warm([][]byte{[]byte("k")}) != 0 {
			t.Errorf("%s: an empty state has something to warm", tt.name)
		}
		m.state.init(tt.hash)
		l := newLab(t)
		l.Machine = m
		var keys [][]byte
		for i := range 1000 {
			key := fmt.Sprintf("k%d", i)
			keys = append(keys, []byte(key))
			if i%2 == 0 {
				l.must(set(key, ""))
			}
		}
		before := m.View().Digest()
		m.View().Warm(keys)
		m.Freeze().Warm(keys)
		if m.View().Digest() != before {
			t.Errorf("%s: the state has changed", tt.name)
		}
	}
}
