#!/usr/bin/env bash
# Runs every test: all.sh [flags of go test]. At the end it lists by name what was not run. With CI=true, or with
# DTKV_REQUIRE_ALL=1, a test that does not run is a failure instead.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "${CI:-}" = true ]; then
	export DTKV_REQUIRE_ALL=1
fi
DTKV_NOT_RUN=$(mktemp)
export DTKV_NOT_RUN
trap 'rm -f "$DTKV_NOT_RUN"' EXIT

go test -count=1 -shuffle=on -timeout 20m "$@" ./...
code=$?

if [ -s "$DTKV_NOT_RUN" ]; then
	echo "NOT RUN, for want of a tool:"
	sort -u "$DTKV_NOT_RUN" | sed 's/^/  /'
fi
exit "$code"
