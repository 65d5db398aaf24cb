#!/usr/bin/env bash
# Runs each fuzz target of the repository in turn: fuzz.sh TIME, for instance fuzz.sh 30s. It stops at the first that fails;
# go test then names the input, which belongs into the commit that mends it.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?time for each target, for instance 30s}

grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . >/dev/null || { echo "no fuzz targets"; exit 0; }
go list -f '{{.Dir}}' ./... | while read -r dir; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //'); do
		echo "$target in ${dir#"$PWD"/}"
		go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "$dir"
	done
done
