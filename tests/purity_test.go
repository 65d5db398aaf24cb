package tests

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// pure lists the packages that must give every node the same state from the same log.
var pure = []string{"fsm", "lock"}

// Without maps, channels, go and select, Go has no hidden order left: the same entries give the same state everywhere.
func TestPurePackagesHaveNoHiddenOrder(t *testing.T) {
	for _, s := range tree(t) {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.MapType:
				t.Errorf("%s: a map has no order", s.pos(n))
			case *ast.ChanType, *ast.SendStmt:
				t.Errorf("%s: a channel belongs above the log", s.pos(n))
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine belongs above the log", s.pos(n))
			case *ast.SelectStmt:
				t.Errorf("%s: select chooses by chance", s.pos(n))
			}
			return true
		})
	}
}

// timeless lists the packages that take the time from their caller or from the entry.
var timeless = []string{"resp", "commands", "fsm", "lock"}

func TestTimelessPackagesReadNoClock(t *testing.T) {
	for _, s := range tree(t) {
		if s.test || !slices.Contains(timeless, s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Tick"}, sel.Sel.Name) {
				t.Errorf("%s: time.%s: the caller knows the time", s.pos(n), sel.Sel.Name)
			}
			return true
		})
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function runs for everybody who imports the package", s.pos(f))
			}
		}
	}
}

// Whoever ends the process skips what others must do at the end: answer clients, close the log.
func TestNothingExitsBelowMain(t *testing.T) {
	for _, s := range tree(t) {
		if s.test || isFree(s.pkg) || s.pkg == "cmd/dtkv" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s: only main decides that the program ends", s.pos(n))
			}
			return true
		})
	}
}

// A test that cannot run must be counted, and in CI must fail. So there is one door.
func TestSkippingGoesThroughTheHarness(t *testing.T) {
	for _, s := range tree(t) {
		if s.name == "tests/harness/need.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) || inFuzz(s, call) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "tb", "b", "f"}, x.Name) {
				t.Errorf("%s: call harness.NotRun, which counts what did not run", s.pos(n))
			}
			return true
		})
	}
}

// inFuzz reports whether a call is made for a fuzz input: one that does not fit is no test that did not run.
func inFuzz(s source, call *ast.CallExpr) bool {
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && strings.HasPrefix(f.Name.Name, "Fuzz") && f.Pos() <= call.Pos() && call.End() <= f.End() {
			return true
		}
	}
	return false
}
