#!/usr/bin/env bash
# What must hold before each commit, beside the tests: formatting, vet, the linters, tidy module files, the architecture and
# the documents that are printed from code. It runs everything and then fails if anything did.
set -uo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile=tools/go.mod "$@"; }
failed=0

run() { # run NAME COMMAND...: prints what the command prints if it fails
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		printf 'ok    %s\n' "$name"
	else
		printf 'FAIL  %s\n' "$name"
		head -n 60 <<<"$out" # a diff of go.sum has hundreds of lines, and the first ones tell it all
		failed=1
	fi
}

formatted() {
	local bad
	bad=$(tool gofumpt -l .) || return 1
	[ -z "$bad" ] || { printf 'gofumpt -w would change:\n%s\n' "$bad"; return 1; }
}

run "gofumpt: one way to write it down" formatted
run "go vet" go vet ./...
run "staticcheck: see staticcheck.conf for what, and why" tool staticcheck ./...
run "errcheck: no error is dropped unseen" tool errcheck -ignoretests -exclude .errcheck ./...
run "go mod tidy" go mod tidy -diff
run "go mod tidy of tools" go -C tools mod tidy -diff
run "architecture and style" go test -count=1 ./tests
run "documents in step with the code" go test -count=1 ./docs
run "docs/commands.md in step with the table" go test -count=1 ./commands -run WriteDocs

exit "$failed"
