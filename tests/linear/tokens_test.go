package linear

import (
	"cmp"
	"slices"
	"testing"
)

// tokensGrow checks that of two grants, of whatever locks, the later one has the greater token.
func tokensGrow(t testing.TB, grants []grant) {
	t.Helper()
	bySince := slices.Clone(grants)
	slices.SortFunc(bySince, func(a, b grant) int { return cmp.Compare(a.since, b.since) })
	bySeen := slices.Clone(grants)
	slices.SortFunc(bySeen, func(a, b grant) int { return cmp.Compare(a.seenBy, b.seenBy) })
	used := map[int64]string{}
	var greatest grant // of those that were seen before the next one can have been given
	seen := 0
	for _, g := range bySince {
		if other, ok := used[g.token]; ok {
			t.Errorf("%s and %s had the same token %d", other, g.key, g.token)
		}
		used[g.token] = g.key
		for ; bySeen[seen].seenBy < g.since; seen++ {
			if bySeen[seen].token > greatest.token {
				greatest = bySeen[seen]
			}
		}
		if g.token <= greatest.token {
			t.Errorf("%s had token %d after %s had had %d", g.key, g.token, greatest.key, greatest.token)
		}
	}
}
