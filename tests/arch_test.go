// Package tests checks the house itself: what may import what, what the pure packages must not contain, how long a
// function may be, whether the documents still point at something. The folders below it test the running program, and
// only from outside.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

const module = "github.com/dtkv/dtkv"

// allowed is the architecture: a package imports what its line names, and nothing else of ours or of others. Imports
// point down only: nothing below the log knows what is above it. A package that is not listed does not belong here.
var allowed = map[string][]string{
	".":        {},
	"resp":     {"github.com/tidwall/redcon"},
	"lock":     {"github.com/tidwall/btree"},
	"fsm":      {"lock", "github.com/tidwall/btree", "github.com/zeebo/xxh3"},
	"commands": {"resp", "fsm"},
	"ttl":      {},
	"latency":  {},
	"watch":    {"fsm"},
	"backup":   {"fsm"},
	"replica": {
		"backup", "fsm", "ttl", "latency",
		"github.com/hashicorp/raft", "github.com/hashicorp/raft-wal", "github.com/hashicorp/raft-wal/...",
		"github.com/hashicorp/raft-boltdb/v2", "github.com/hashicorp/go-hclog", "github.com/hashicorp/go-metrics/...",
		"go.etcd.io/bbolt", "golang.org/x/sys/...",
	},
	"server": {
		"backup", "commands", "resp", "fsm", "replica", "watch", "latency",
		"golang.org/x/sys/unix",                   // epoll, see docs/adr/0011
		"github.com/prometheus/client_golang/...", // see docs/adr/0019
	},
	"client":   {"resp", "github.com/redis/go-redis/v9"},
	"cmd/dtkv": {"server", "replica", "backup", "fsm", "latency"},
}

// free lists the folders that run or measure the finished program. They may import anything the module has.
var free = []string{"tests", "bench", "docs"}

// checkers are what tests of a package may import besides: they judge histories and connections.
var checkers = []string{"github.com/anishathalye/porcupine", "golang.org/x/net/nettest"}

// banned lists what a package must not import of the standard library, each for the reason given.
var banned = []struct {
	why      string
	packages []string
	imports  []string
}{
	{
		"a fold over the log has no clock, no chance, no concurrency and no I/O",
		[]string{"fsm", "lock"},
		[]string{"time", "math/rand", "math/rand/v2", "crypto/rand", "sync", "sync/atomic", "context", "os", "net", "log", "log/slog", "runtime"},
	},
	{
		"bytes mean the same whatever the clock, the socket and the machine say",
		[]string{"resp"},
		[]string{"net", "os", "time", "math/rand", "math/rand/v2"},
	},
	{
		"a plan is a value: whoever runs it owns sockets, locks and files",
		[]string{"commands"},
		[]string{"net", "os", "sync", "sync/atomic", "math/rand"},
	},
	{
		"the clock and the subscribers meet the network elsewhere",
		[]string{"ttl", "watch"},
		[]string{"net", "os"},
	},
}

// source is one parsed Go file of the tree.
type source struct {
	pkg   string // folder from the root, with forward slashes
	name  string // path from the root
	file  *ast.File
	fset  *token.FileSet
	lines int
	test  bool
}

func (s source) pos(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// tree parses every Go file of the repository.
func tree(t *testing.T) []source {
	t.Helper()
	root := root(t)
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skip := d.Name(); name != root && (strings.HasPrefix(skip, ".") || skip == "node_modules" || skip == "tools") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{
			pkg: path.Dir(rel), name: rel, file: f, fset: fset,
			lines: fset.File(f.Pos()).LineCount(), test: strings.HasSuffix(rel, "_test.go"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func root(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range tree(t) {
		if isFree(s.pkg) {
			continue
		}
		may, listed := allowed[s.pkg]
		if !listed {
			t.Errorf("%s: package %s has no line in the import table", s.name, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			target := importOf(t, imp)
			if s.test && (target == "tests/harness" || target == s.pkg || slices.Contains(checkers, target)) {
				continue // What a test adds: the package from outside, the harness, checkers.
			}
			if isStandard(target) || slices.ContainsFunc(may, func(m string) bool { return matches(m, target) }) {
				continue
			}
			t.Errorf("%s: %s may not import %s", s.pos(imp), s.pkg, target)
		}
	}
}

func TestOnlyReplicaKnowsRaft(t *testing.T) {
	for _, s := range tree(t) {
		for _, imp := range s.file.Imports {
			if target := importOf(t, imp); strings.HasPrefix(target, "github.com/hashicorp/") && s.pkg != "replica" {
				t.Errorf("%s: only package replica may import %s", s.pos(imp), target)
			}
		}
	}
}

func TestPackagesKeepAwayFromWhatTheyMustNotTouch(t *testing.T) {
	for _, s := range tree(t) {
		for _, b := range banned {
			if s.test || !slices.Contains(b.packages, s.pkg) {
				continue
			}
			for _, imp := range s.file.Imports {
				if target := importOf(t, imp); slices.Contains(b.imports, target) {
					t.Errorf("%s: %s must not import %s: %s", s.pos(imp), s.pkg, target, b.why)
				}
			}
		}
	}
}

// importOf is what an import names; packages of ours go without the module's path.
func importOf(t *testing.T, imp *ast.ImportSpec) string {
	t.Helper()
	target, err := strconv.Unquote(imp.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	if target == module {
		return "."
	}
	return strings.TrimPrefix(target, module+"/")
}

func isFree(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Contains(free, first)
}

// isStandard tells the standard library from modules by the dot that a module's first element has.
func isStandard(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	_, ours := allowed[target]
	return !strings.Contains(first, ".") && !ours && !isFree(target)
}

func matches(pattern, target string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return target == prefix || strings.HasPrefix(target, prefix+"/")
	}
	return pattern == target
}
