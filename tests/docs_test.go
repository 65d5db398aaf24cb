package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// link finds [text](target) in Markdown.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksInDocumentsResolve(t *testing.T) {
	base := root(t)
	eachText(t, func(name, text string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := filepath.Join(base, filepath.Dir(name), filepath.FromSlash(target))
			if target == "" {
				file = filepath.Join(base, name)
			}
			content, err := os.ReadFile(file)
			if info, serr := os.Stat(file); serr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if fragment != "" && strings.HasSuffix(file, ".md") && !hasAnchor(string(content), fragment) {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	})
}

// withoutCode drops fenced blocks, where brackets and parentheses are no links.
func withoutCode(text string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			out.WriteString(line)
		}
	}
	return out.String()
}

// hasAnchor reports whether a heading of a Markdown text carries the anchor that renderers derive from it.
func hasAnchor(text, anchor string) bool {
	for line := range strings.Lines(withoutCode(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		derived := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		if derived == anchor {
			return true
		}
	}
	return false
}

// required finds what a go.mod asks for by itself.
var required = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`)

// Each library has its reason, and the version that it was chosen at.
func TestEveryDependencyHasItsReason(t *testing.T) {
	read := func(name ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root(t)}, name...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	why := read("docs", "adr", "0005-libraries.md")
	found := required.FindAllStringSubmatch(read("go.mod"), -1)
	if len(found) == 0 {
		t.Fatal("go.mod requires nothing")
	}
	for _, m := range found {
		name, _ := strings.CutPrefix(m[1], "github.com/")
		if !strings.Contains(why, name+" "+m[2]) {
			t.Errorf("docs/adr/0005-libraries.md does not say why %s %s", m[1], m[2])
		}
	}
}
