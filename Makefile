# frontd. `make help` says what there is to make.
GO       ?= go
BIN      := bin
FUZZTIME ?= 30s
SOAK     ?= 30m

# Of a release: VERSION=1.2.3. A version of Debian's sorts "~" before the end.
VERSION  ?= 0.1.0~dev
LDFLAGS  := -s -w -X main.version=$(subst ~,-,$(VERSION))
# One file that needs no library of the system, the same wherever it is built.
RELEASE    ?= CGO_ENABLED=0
BUILDFLAGS ?= -trimpath -buildvcs=false
PREFIX   ?= /usr/local
DESTDIR  ?=
UNITS    := frontd.service frontd.socket frontd@.service frontd-pool@.service

.DEFAULT_GOAL := help
.PHONY: help run build install deb test test-go soak counterparts bench bench-go pgo fuzz lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the demo at http://127.0.0.1:8080
	$(GO) run ./cmd/frontd serve --workers 8

build: ## bin/frontd and bin/appworker
	$(GO) build -o $(BIN)/ ./cmd/frontd ./cmd/appworker

install: ## what the package has: DESTDIR=... PREFIX=/usr
	$(RELEASE) $(GO) build $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o $(BIN)/install/ ./cmd/frontd
	GOOS= GOARCH= $(RELEASE) $(GO) build $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/frontd
	install -D -m 0755 $(BIN)/install/frontd $(DESTDIR)$(PREFIX)/bin/frontd
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for u in $(UNITS); do \
		sed 's|=/usr/bin/frontd |=$(PREFIX)/bin/frontd |' deploy/systemd/$$u >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$u && \
		chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$$u || exit 1; done
	install -D -m 0644 deploy/systemd/sysusers.d/frontd.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/frontd.conf
	install -D -m 0644 deploy/systemd/tmpfiles.d/frontd.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/frontd.conf
	install -d $(DESTDIR)$(PREFIX)/share/doc/frontd
	sed 's|\.\./\.\./docs/||g' deploy/systemd/README.md >$(DESTDIR)$(PREFIX)/share/doc/frontd/README.systemd.md
	chmod 0644 $(DESTDIR)$(PREFIX)/share/doc/frontd/README.systemd.md
	install -D -m 0644 deploy/systemd/pool.env.example $(DESTDIR)$(PREFIX)/share/doc/frontd/pool.env.example
	install -D -m 0644 deploy/systemd/users.conf $(DESTDIR)$(PREFIX)/share/doc/frontd/users.conf
	for f in docs/*.md; do \
		sed 's|(\.\./configs/)|(.)|; s|\.\./configs/||g; s|\.\./deploy/systemd/README.md|README.systemd.md|g; s|\.\./ARCHITECTURE.md|ARCHITECTURE.md|g' $$f >$(DESTDIR)$(PREFIX)/share/doc/frontd/$${f#docs/} && \
		chmod 0644 $(DESTDIR)$(PREFIX)/share/doc/frontd/$${f#docs/} || exit 1; done
	install -m 0644 ARCHITECTURE.md CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/frontd/
	for d in nginx apache caddy lighttpd; do \
		install -d $(DESTDIR)$(PREFIX)/share/doc/frontd/$$d && install -m 0644 configs/$$d/* $(DESTDIR)$(PREFIX)/share/doc/frontd/$$d/ || exit 1; done
	install -m 0644 deploy/grafana/frontd.json $(DESTDIR)$(PREFIX)/share/doc/frontd/grafana.json
	install -D -m 0644 configs/frontd.toml $(DESTDIR)$(PREFIX)/share/doc/frontd/frontd.toml
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 deploy/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/frontd/copyright
	install -d $(DESTDIR)/etc/frontd $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/vendor-completions fish/vendor_completions.d)
	[ -e $(DESTDIR)/etc/frontd/frontd.toml ] || install -m 0640 configs/frontd.toml $(DESTDIR)/etc/frontd/frontd.toml
	$(BIN)/frontd completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/frontd
	$(BIN)/frontd completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_frontd
	$(BIN)/frontd completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/frontd.fish

deb: ## dist/frontd_VERSION_ARCH.deb
	@GO='$(GO)' MAKE='$(MAKE)' VERSION='$(VERSION)' sh scripts/deb.sh

test: counterparts lint test-go ## everything, against real counterparts; as root on Debian it installs them

counterparts: # the web servers and runtimes that the tests run against
	@sh scripts/counterparts.sh

test-go:
	@mkdir -p $(BIN) && rm -f $(BIN)/skipped
	FRONTD_SKIPPED='$(CURDIR)/$(BIN)/skipped' $(GO) test -race -pgo=off -timeout 20m ./...
	@[ ! -s $(BIN)/skipped ] || { echo 'left out, as this machine or user cannot:'; sort -u $(BIN)/skipped; }

fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	@sh scripts/fuzz.sh $(FUZZTIME)

soak: ## mixed traffic, faults and reloads for SOAK (default 30m, or 8h): nothing fails, nothing grows
	FRONTD_SOAK=$(SOAK) $(GO) test ./cmd/frontd -run '^TestSoak$$' -count 1 -timeout 0 -v

bench: ## ours beside the peers that are installed, in one run: see bench/README.md (BENCH='-sides ...' for a part)
	$(GO) run ./bench $(BENCH)

pgo: ## cmd/frontd/default.pgo anew, on a machine with nothing else to do; wants wrk, python3, php-cgi
	@GO='$(GO)' sh scripts/pgo.sh

bench-go: ## Go benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./fcgi ./front

lint: ## gofmt, go vet for every system it builds for, python syntax, shell syntax
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt these"; exit 1; }
	$(GO) vet ./...
	GOOS=linux GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=freebsd $(GO) vet ./...
	@for f in scripts/*.sh deploy/package/p*m deploy/package/postinst; do sh -n $$f || exit 1; done

clean: ## remove what was built
	rm -rf $(BIN) dist
