#!/usr/bin/env bash
# Runs every test: all.sh [flags of go test]. Then what clients see is tested once more, through a node that follows, and the
# packages with the race detector, but for replica, which takes minutes (make race has it). At the end it lists by name what was not
# run. With CI=true, or with DTKV_REQUIRE_ALL=1, a test that does not run for want of a tool
# is a failure instead.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "${CI:-}" = true ]; then
	export DTKV_REQUIRE_ALL=1
fi
DTKV_NOT_RUN=$(mktemp)
DTKV_ALONE=$(mktemp)
export DTKV_NOT_RUN DTKV_ALONE
trap 'rm -f "$DTKV_NOT_RUN" "$DTKV_ALONE"' EXIT

go test -count=1 -shuffle=on -timeout 20m "$@" ./...
code=$?

echo "The same through a node that follows, of a cluster of three:"
DTKV_TEST_CLUSTER=follower go test -count=1 -shuffle=on -timeout 20m "$@" \
	./client ./docs ./tests/clients ./tests/compat ./tests/crash ./tests/hostile ./tests/linear ./tests/start ./tests/watch || code=1

echo "The packages with the race detector:"
go test -race -count=1 -shuffle=on -timeout 20m "$@" $(go list ./... | grep -v -e /tests -e /bench -e /docs -e /replica) || code=1

if [ -s "$DTKV_ALONE" ]; then
	echo "NOT RUN through a node that follows:"
	sort -u "$DTKV_ALONE" | sed 's/^/  /'
fi
if [ -s "$DTKV_NOT_RUN" ]; then
	echo "NOT RUN, for want of a tool:"
	sort -u "$DTKV_NOT_RUN" | sed 's/^/  /'
fi
exit "$code"
