# One word per task. People, CI and .ci/run call the same ones.
.DEFAULT_GOAL := help
.PHONY: help build cluster check test race fuzz bench compare locks docs deps

T ?= 30s

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-8s %s\n", $$1, $$2 }'

build: ## build bin/dtkv
	go build -o bin/dtkv ./cmd/dtkv

cluster: build ## run three nodes on this machine as one cluster, until Ctrl-C
	bin/dtkv demo

check: ## what must hold before each commit: format, vet, linters, architecture, documents in step
	@tests/check.sh

test: deps ## install what the tests lack, then run every test, shuffled
	@tests/all.sh

race: deps ## run the tests with the race detector, in the packages and in the server that the black box tests talk to
	go test -race -count=1 -timeout 20m $$(go list ./... | grep -v -e /tests -e /bench)
	go test -race -count=1 -timeout 20m ./tests/compat ./tests/clients
	go test -race -count=1 -timeout 20m ./tests/crash -run Kill9 -cycles 2

fuzz: ## run each fuzz target for T (make fuzz T=5m)
	@tests/fuzz.sh $(T)

bench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

compare: ## measure one node against Redis, and three against Redis and etcd
	go run ./bench/compare

locks: ## measure locks against etcd on this machine
	go run ./bench/locks

docs: ## print docs/commands.md from the command table
	go test -count=1 ./commands -run WriteDocs -update

deps: ## install what the tests need beyond Go, where that is allowed
	@tests/deps.sh
