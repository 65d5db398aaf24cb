package fsm

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestChildrenComeInTheOrderOfTheirNames(t *testing.T) {
	l := newLab(t).must(mkdir("d"), mkdir("d.x"), set("d.x.below", ""), set("d.b", ""), set("d.a", ""), set("d.a-1", ""), mkdir("d-1"), set("d-1.q", ""), set("e", ""))
	names := func(dir, after string, limit int) string {
		var all []string
		l.View().Children([]byte(dir), []byte(after), func(name string, n *Node) bool {
			if n.Name() != name {
				t.Errorf("%q is called %q", n.Key, name)
			}
			all = append(all, name)
			return len(all) != limit
		})
		return strings.Join(all, " ")
	}
	tests := []struct {
		dir, after string
		limit      int
		want       string
	}{
		{"d", "", 0, "a a-1 b x"},
		{"", "", 0, "d d-1 e"},
		{"d", "a", 0, "a-1 b x"},
		{"d", "a-", 0, "a-1 b x"}, // a name that is not there
		{"d", "x", 0, ""},
		{"d", "", 2, "a a-1"},
		{"", "d", 0, "d-1 e"},
		{"d.x", "", 0, "below"},
		{"d-1", "", 0, "q"},
		{"e", "", 0, ""},    // a value
		{"nope", "", 0, ""}, // missing
		{"d..x", "", 0, ""}, // no key
		{"d.", "", 0, ""},   // no key
		{"d.b", "", 0, ""},  // a value
		{"d-1", "q", 0, ""}, // the last
		{"d-1", "\x00", 0, "q"},
	}
	for _, tt := range tests {
		if got := names(tt.dir, tt.after, tt.limit); got != tt.want {
			t.Errorf("%q after %q: got %q, want %q", tt.dir, tt.after, got, tt.want)
		}
	}
}

func TestASubtreeIsWhatIsBelowADirectory(t *testing.T) {
	l := world(t).must(set("d-not", ""), mkdir("d.sub.deep"), set("d.sub.deep.v", ""))
	keys := func(dir string) string {
		var all []string
		l.View().Subtree([]byte(dir), func(n *Node) bool { all = append(all, n.Key); return true })
		return strings.Join(all, " ")
	}
	for dir, want := range map[string]string{
		"d": "d.sub d.v d.sub.deep d.sub.v d.sub.deep.v", "d.sub": "d.sub.deep d.sub.v d.sub.deep.v", "empty": "", "v": "", "nope": "",
		"": "d d-not empty n v d.sub d.v d.sub.deep d.sub.v d.sub.deep.v",
	} {
		if got := keys(dir); got != want {
			t.Errorf("%q: got %q, want %q", dir, got, want)
		}
	}
	for limit := 1; limit < 5; limit++ { // stopping stops at any depth
		met := 0
		l.View().Subtree([]byte("d"), func(*Node) bool { met++; return met < limit })
		if met != limit {
			t.Errorf("met %d of %d", met, limit)
		}
		met = 0
		l.View().Ascend(func(*Node) bool { met++; return met < limit })
		if met != limit {
			t.Errorf("met %d of %d", met, limit)
		}
	}
}

func TestLookupTakesAnyBytes(t *testing.T) {
	l := world(t).must(set(strings.Repeat("k", 8192), "long"), set(strings.Repeat("k", 255), "short"))
	for key, want := range map[string]string{
		"": "dir", "v": `"old"`, ".": "none", "..": "none", "d.": "none", ".d": "none", "d..v": "none",
		strings.Repeat("k", 8192): `"long"`, strings.Repeat("k", 8193): "none", strings.Repeat("k", 255): `"short"`, strings.Repeat(".", 100_000): "none",
	} {
		if got := l.get(key); got != want {
			t.Errorf("%.20q (%d bytes): got %s, want %s", key, len(key), got, want)
		}
	}
	v := l.View()
	for _, key := range []string{"v", "d.sub.v", strings.Repeat("k", 255), strings.Repeat("k", 8192)} {
		k := []byte(key)
		if n := testing.AllocsPerRun(100, func() { v.Lookup(k) }); n != 0 {
			t.Errorf("a lookup of %d bytes allocates %v times", len(key), n)
		}
	}
}

func TestAFrozenViewNeverChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	l := newLab(t)
	type picture struct {
		v      View
		index  uint64
		digest [32]byte
		nodes  int
	}
	var album []picture
	for range 30 {
		for range 20 {
			l.all(randomOps(rng, 1+rng.IntN(8))...)
		}
		v := l.Freeze()
		album = append(album, picture{v, v.Index(), l.View().Digest(), v.Nodes()})
	}
	for i, p := range album {
		if p.v.Index() != p.index || p.v.Nodes() != p.nodes || p.v.Digest() != p.digest {
			t.Errorf("picture %d has changed", i)
		}
		audit(t, p.v)
	}
}

// The key of the first node stays for those that come after it. Its value must not.
func TestAnOverwrittenValueIsFreed(t *testing.T) {
	l := newLab(t)
	for i := range 64 {
		l.must(&Set{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 1<<20)})
	}
	for i := range 64 {
		l.must(set(fmt.Sprintf("k%d", i), "small"))
	}
	l.Freeze() // a page of the tree may keep what has left it until it is copied for a snapshot
	for i := range 64 {
		l.must(set(fmt.Sprintf("k%d", i), "small"))
	}
	if size := heap(); size > 32<<20 {
		t.Errorf("%d MB are kept for 64 small values", size>>20)
	}
	runtime.KeepAlive(l)
}

// Readers of a frozen view need no lock against the writer. The race detector is the judge.
func TestAFrozenViewIsReadWhileTheMachineGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	l := newLab(t)
	for range 100 {
		l.all(randomOps(rng, 5)...)
	}
	v := l.Freeze()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			first := v.Digest()
			for range 20 {
				if v.Digest() != first {
					t.Error("the view changed")
				}
				v.Scan(0, 1000, func(*Node) {})
				v.Random(7)
			}
		})
	}
	for range 300 {
		l.all(randomOps(rng, 5)...)
	}
	wg.Wait()
}

func TestAScanVisitsWhoIsThereFromStartToEnd(t *testing.T) {
	tests := []struct {
		name string
		hash func(string) uint64
	}{
		{"hashes that spread", xxhash},
		{"three hashes for all", func(key string) uint64 { return uint64(len(key)%3) << 60 }},
		{"one hash for all", func(string) uint64 { return 0 }},
		{"the greatest hash for all", func(string) uint64 { return 1<<64 - 1 }},
	}
	for _, tt := range tests {
		for _, kind := range []Kind{None, Value, Directory} {
			t.Run(fmt.Sprintf("%s, %s", tt.name, kind), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(9, 10))
				l := newLab(t)
				l.state.init(tt.hash)
				stay := map[string]int{}
				for i := range 300 {
					key := fmt.Sprintf("stay%d", i*i)
					if i%3 == 0 {
						l.must(mkdir(key))
					} else {
						l.must(set(key, ""))
					}
					if n := l.node(key); kind == None || n.Kind == kind {
						stay[key] = 0
					}
				}
				cursor := uint64(0)
				for {
					cursor = l.View().ScanKind(kind, cursor, 1+rng.IntN(20), func(n *Node) {
						if kind != None && n.Kind != kind {
							t.Errorf("visited %s, a %s", n.Key, n.Kind)
						}
						if _, ok := stay[n.Key]; ok {
							stay[n.Key]++
						}
					})
					if cursor == 0 {
						break
					}
					if cursor >= 1<<53 {
						t.Fatalf("cursor %d has more than 53 bits", cursor)
					}
					for range 10 { // others come and go meanwhile, and those who stay change
						key := fmt.Sprintf("guest%d", rng.IntN(50))
						l.all([]Op{set(key, ""), del(key), mkdir(key), set(fmt.Sprintf("stay%d", rng.IntN(100)*rng.IntN(100)), "x")}[rng.IntN(4)])
					}
				}
				for key, times := range stay {
					if times != 1 {
						t.Errorf("%s was visited %d times", key, times)
					}
				}
				audit(t, l.View())
			})
		}
	}
}

func TestAScanTakesAnyCursor(t *testing.T) {
	l := world(t)
	for _, cursor := range []uint64{1, 1 << 51, 1<<51 - 1, 1 << 52, 1<<53 - 1, 1 << 53, 1<<64 - 1} {
		for _, kind := range []Kind{None, Value, Directory, Lock, 77} {
			for _, count := range []int{-1, 0, 1, 1 << 62} {
				for steps := 0; cursor != 0; steps++ {
					if steps > 100 {
						t.Fatalf("cursor %d of kind %s with count %d has no end", cursor, kind, count)
					}
					cursor = l.View().ScanKind(kind, cursor, count, func(*Node) {})
				}
			}
		}
	}
}

func TestRandomFindsEveryValueAndNothingElse(t *testing.T) {
	if _, ok := newLab(t).must(mkdir("d")).View().Random(1); ok {
		t.Error("found a value where there is none")
	}
	l := world(t)
	met := map[string]int{}
	for seed := range uint64(400) {
		n, ok := l.View().Random(seed)
		if !ok || n.Kind != Value {
			t.Fatalf("seed %d: %v, %v", seed, n, ok)
		}
		met[n.Key]++
	}
	for _, key := range []string{"v", "n", "d.v", "d.sub.v"} {
		if met[key] != 100 {
			t.Errorf("%s came %d times of 400", key, met[key])
		}
	}
}
