package client_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// Code that nobody runs is wrong sooner or later: each block of a recipe stands in the test file that the recipe names.
func TestRecipesShowTheCodeThatIsTested(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "recipes", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`\(\.\./\.\./client/(recipe_\w+_test\.go)\)`)
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	shown := map[string]bool{}
	for _, page := range pages {
		if filepath.Base(page) == "README.md" {
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		file, blocks := source.FindSubmatch(text), block.FindAllSubmatch(text, -1)
		if file == nil || len(blocks) == 0 {
			t.Errorf("%s names no tested file, or shows no code", page)
			continue
		}
		shown[string(file[1])] = true
		code, err := os.ReadFile(filepath.Join(root, "client", string(file[1])))
		if err != nil {
			t.Error(err)
		}
		for _, b := range blocks {
			if !strings.Contains(string(code), "\n"+string(b[1])) {
				t.Errorf("%s shows what %s does not have:\n%s", page, file[1], b[1])
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "client", "recipe_*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !shown[filepath.Base(f)] {
			t.Errorf("no recipe shows %s", f)
		}
	}
	if len(shown) < 6 {
		t.Errorf("only %d recipes", len(shown))
	}
}
