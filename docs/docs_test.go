// Package docs checks that the documents agree with the code: a claim names a test that exists, and tables that are
// printed from code are what the code prints.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/server"
	"github.com/dtkv/dtkv/tests/harness"
)

var (
	named    = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z][A-Za-z0-9]*)`")
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)[A-Z][A-Za-z0-9]*)\(`)
)

func TestClaimsNameTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	each(t, "_test.go", func(_, text string) {
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	})
	claims := 0
	each(t, ".md", func(name, text string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			claims++
			if !tests[m[1]] {
				t.Errorf("%s rests on %s, which does not exist", name, m[1])
			}
		}
	})
	if claims == 0 {
		t.Error("no document names a test")
	}
}

func TestTablesAreThoseOfTheServer(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	if table := server.OptionsTable(); !strings.Contains(string(text), table) {
		t.Errorf("docs/operating.md lacks this table of options:\n%s", table)
	}
	if table := server.MetricsTable(); !strings.Contains(string(text), table) {
		t.Errorf("docs/operating.md lacks this table of metrics:\n%s", table)
	}
}

// each calls fn for every file of the tree whose name ends so.
func each(t *testing.T, end string, fn func(name, text string)) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == ".git" || n == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, end) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		fn(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	kindDeclared = regexp.MustCompile(`(?m)^\t([A-Z]\w+) +(?:Kind += iota \+ 1 )?//`)
	kindListed   = regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \|`)
)

func TestTheKindsOfPlansAreThoseOfTheCode(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	between := func(from, to string, path ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), from)
		part, _, ended := strings.Cut(rest, to)
		if !found || !ended {
			t.Fatalf("%v has no part from %q to %q", path, from, to)
		}
		return part
	}
	names := func(found [][]string) (list []string) {
		for _, m := range found {
			list = append(list, m[1])
		}
		return list
	}
	code := names(kindDeclared.FindAllStringSubmatch(between("type Kind uint8", "\n)", "commands", "plan.go"), -1))
	told := names(kindListed.FindAllStringSubmatch(between("| kind | what the server does with it |", "\n\n", "docs", "architecture.md"), -1))
	if len(code) == 0 || !slices.Equal(code, told) {
		t.Errorf("docs/architecture.md lists the kinds %q, commands/plan.go has %q", told, code)
	}
}
