# frontd. `make help` says what there is to make.
GO       ?= go
BIN      := bin
FUZZTIME ?= 30s
SOAK     ?= 30m

.DEFAULT_GOAL := help
.PHONY: help run build test test-go soak counterparts bench bench-go fuzz lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the demo at http://127.0.0.1:8080
	$(GO) run ./cmd/frontd serve --workers 8

build: ## bin/frontd and bin/appworker
	$(GO) build -o $(BIN)/ ./cmd/frontd ./cmd/appworker

test: counterparts lint test-go ## everything, against real counterparts; as root on Debian it installs them

counterparts: # the web servers and runtimes that the tests run against
	@sh scripts/counterparts.sh

test-go:
	$(GO) test -race -timeout 20m ./...

fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	@sh scripts/fuzz.sh $(FUZZTIME)

soak: ## mixed traffic, faults and reloads for SOAK (default 30m, or 8h): nothing fails, nothing grows
	FRONTD_SOAK=$(SOAK) $(GO) test ./cmd/frontd -run '^TestSoak$$' -count 1 -timeout 0 -v

bench: ## ours beside the peers that are installed, in one run: see bench/README.md (BENCH='-sides ...' for a part)
	$(GO) run ./bench $(BENCH)

bench-go: ## Go benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./fcgi ./front

lint: ## gofmt, go vet for every system it builds for, python syntax, shell syntax
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt these"; exit 1; }
	$(GO) vet ./...
	GOOS=linux GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=freebsd $(GO) vet ./...
	@for f in scripts/*.sh; do sh -n $$f || exit 1; done

clean: ## remove what was built
	rm -rf $(BIN) dist
