package tests

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFunc = 70  // lines of a function, braces and all
	maxFile = 500 // lines of a file
	long    = "//dtkv:long "
)

// vague lists names that say nothing of what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "base", "shared"}

func TestFunctionsFitOnAScreen(t *testing.T) {
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFunc && !excused(f.Doc) {
				t.Errorf("%s: %s has %d lines, the limit is %d (or %sand a reason in its comment)", s.pos(f), f.Name.Name, n, maxFunc, long)
			}
		}
	}
}

func TestFilesAreReadInOneSitting(t *testing.T) {
	for _, s := range tree(t) {
		if s.lines > maxFile && !slices.ContainsFunc(s.file.Comments, excused) {
			t.Errorf("%s has %d lines, the limit is %d (or %sand a reason at its top)", s.name, s.lines, maxFile, long)
		}
	}
}

// excused reports whether a comment lifts a limit, which it does only with a reason.
func excused(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		reason, ok := strings.CutPrefix(c.Text, long)
		return ok && len(strings.TrimSpace(reason)) > 10
	})
}

// The comment stands in the file that is named like the package, so that a reader knows where to begin.
func TestEveryPackageIntroducesItselfOnce(t *testing.T) {
	docs, code := map[string][]string{}, map[string]bool{}
	for _, s := range tree(t) {
		if s.test && s.pkg != "tests" { // The package tests has nothing but tests.
			continue
		}
		code[s.pkg] = true
		if s.file.Doc != nil {
			docs[s.pkg] = append(docs[s.pkg], s.name)
			if text := s.file.Doc.Text(); !strings.HasPrefix(text, "Package "+s.file.Name.Name+" ") && s.file.Name.Name != "main" {
				t.Errorf("%s: the package comment must begin with %q", s.name, "Package "+s.file.Name.Name)
			}
		}
	}
	for pkg := range code {
		if len(docs[pkg]) != 1 {
			t.Errorf("package %s has %d package comments, want 1: %v", pkg, len(docs[pkg]), docs[pkg])
			continue
		}
		name := path.Base(docs[pkg][0])
		if want := []string{path.Base(pkg) + ".go", "main.go", "doc.go", "arch_test.go"}; !isFree(pkg) && !slices.Contains(want, name) {
			t.Errorf("package %s introduces itself in %s, where nobody looks; want one of %v", pkg, name, want)
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	for _, s := range tree(t) {
		file := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.name), ".go"), "_test")
		for _, name := range []string{path.Base(s.pkg), file, s.file.Name.Name} {
			if slices.Contains(vague, name) {
				t.Errorf("%s: %q says nothing of what is inside", s.name, name)
			}
		}
	}
}

// demanded lists getters whose names an interface of a library sets.
var demanded = []string{"GetLog", "GetUint64"}

func TestReceiversAreOneLetterAndGettersHaveNoGet(t *testing.T) {
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			for _, name := range f.Recv.List[0].Names {
				if len(name.Name) != 1 {
					t.Errorf("%s: receiver %q; one letter is enough", s.pos(f), name.Name)
				}
			}
			if rest, ok := strings.CutPrefix(f.Name.Name, "Get"); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' && !s.test && !slices.Contains(demanded, f.Name.Name) {
				t.Errorf("%s: %s: a getter is named for what it returns", s.pos(f), f.Name.Name)
			}
		}
	}
}

// unsaid lists what committed text must not contain: hosts and paths of one machine mean nothing on another.
var unsaid = []string{"/" + "work/", "/" + "root/", "npmjs" + ".org/", "proxy.golang" + ".org"}

func TestTheTreeNamesNoMachine(t *testing.T) {
	eachText(t, func(name, text string) {
		for _, u := range unsaid {
			if strings.Contains(text, u) {
				t.Errorf("%s names %q", name, u)
			}
		}
	})
}

// eachText calls fn for every text file of the tree that a person might read.
func eachText(t *testing.T, fn func(name, text string)) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == ".git" || n == "node_modules" || n == "dtkv-data" || n == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".go", ".md", ".txt", ".json", ".sh", ".mod", ".conf", ".js", ".mjs", ".py", ".yml", ".yaml", ""}, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, name)
		fn(filepath.ToSlash(rel), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
