package linear

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dtkv/dtkv/tests/harness"
)

// checkAll is check, and tells how long it took.
func checkAll(t *testing.T, model porcupine.Model, histories map[string][]porcupine.Operation) {
	t.Helper()
	began := time.Now()
	slowest := check(t, model, histories)
	t.Logf("%d histories checked in %s, the slowest of them in %s", len(histories), time.Since(began), slowest)
}

// check checks the histories, each of one key, on their own. What is wrong with one is told, and kept as a picture; one is
// enough. A history that the checker cannot decide about is wrong, too.
func check(t *testing.T, model porcupine.Model, histories map[string][]porcupine.Operation) (slowest time.Duration) {
	t.Helper()
	for key, h := range histories {
		start := time.Now()
		result, info := porcupine.CheckOperationsVerbose(model, h, 4*harness.Patience)
		slowest = max(slowest, time.Since(start))
		if result == porcupine.Ok {
			continue
		}
		path := "(not kept)"
		if f, err := os.CreateTemp("", "dtkv-linear-*.html"); err == nil {
			if err := errors.Join(porcupine.Visualize(model, info, f), f.Close()); err == nil {
				path = f.Name()
			}
		}
		t.Fatalf("the history of %s with %d operations is %s; picture: %s\n%s", key, len(h), result, path, explain(model, h, info))
	}
	return slowest
}

// explain shows how far the checker came on its longest way: the last operations that it could put in an order, the state
// they led to, and those of which none could be next.
func explain(model porcupine.Model, h []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, ways := range info.PartialLinearizationsOperations() {
		for _, way := range ways {
			if len(way) > len(longest) {
				longest = way
			}
		}
	}
	var b strings.Builder
	show := func(op porcupine.Operation) {
		fmt.Fprintf(&b, "  %11.3f to %11.3f ms: %v\n", float64(op.Call)/1e6, float64(op.Return)/1e6, op.Input)
	}
	ordered := map[any]bool{}
	state := model.Init()
	for _, op := range longest {
		ordered[op.Input] = true
		_, state = model.Step(state, op.Input, op.Output)
	}
	fmt.Fprintf(&b, "in order, %d operations, the last of them:\n", len(longest))
	for _, op := range longest[max(0, len(longest)-8):] {
		show(op)
	}
	fmt.Fprintf(&b, "which leads to %s, and then one of:\n", model.DescribeState(state))
	rest := slices.DeleteFunc(slices.Clone(h), func(op porcupine.Operation) bool { return ordered[op.Input] })
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range rest[:min(len(rest), 8)] {
		show(op)
	}
	return b.String()
}
