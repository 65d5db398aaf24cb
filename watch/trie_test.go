package watch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTrieFindsWhatHasThePrefixAndNothingElse(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	word := func() string {
		b := make([]byte, r.IntN(7))
		for i := range b {
			b[i] = "ab."[r.IntN(3)]
		}
		return string(b)
	}
	var index trie
	have := map[*topic]string{}
	for range 20_000 {
		switch r.IntN(3) {
		case 0:
			tp := &topic{}
			have[tp] = word()
			index.insert(have[tp], tp)
		case 1:
			for tp, prefix := range have {
				index.remove(prefix, tp)
				delete(have, tp)
				break
			}
		case 2:
			name := word()
			found := index.find([]byte(name), nil)
			want := 0
			for tp, prefix := range have {
				if strings.HasPrefix(name, prefix) {
					if want++; !slices.Contains(found, tp) {
						t.Fatalf("seed %d: %q does not find %q", seed, name, prefix)
					}
				}
			}
			if len(found) != want {
				t.Fatalf("seed %d: %q finds %d, want %d", seed, name, len(found), want)
			}
		}
	}
	for tp, prefix := range have {
		index.remove(prefix, tp)
	}
	if len(index.root.below) != 0 || len(index.root.topics) != 0 {
		t.Errorf("an emptied trie keeps %d edges", len(index.root.below))
	}
}
