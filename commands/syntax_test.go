package commands

import "testing"

func TestSyntaxNotationIsChecked(t *testing.T) {
	for _, text := range []string{"[", "]", "key]", "<a | b", "a ...", "[key ...]", "key [value ...]", "[]", "a | b", "<a |>", "key [key ... x]"} {
		if args, err := parseSyntax(text); err == nil {
			t.Errorf("%q parses as %v", text, args)
		}
	}
	for _, text := range []string{"", "key [key ...]", "a b [a b ...]", "[X]", "X <A | B c>", "[X y [y ...]]", "[a [B c] [D]]", "<a | [B c] [D]>"} {
		args, err := parseSyntax(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := render(args); got != text {
			t.Errorf("%q prints as %q", text, got)
		}
	}
}
