# oidc-filter: `make help` lists the commands.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

include versions.env

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
MODULE := dist/oidc-filter.wasm
export WASM_RUSTFLAGS := -Ctarget-feature=+simd128

# Some shells export a HOST of their own, the machine's name.
ifneq ($(origin HOST),command line)
override HOST := $(filter envoy kong,$(HOST))
endif
# make scenarios HOST=envoy|kong CONTROL=open|closed
SCENARIO_ARGS := $(if $(HOST),--host $(HOST)) $(if $(CONTROL),--control $(CONTROL))

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## installs what this machine lacks (Debian packages, Chromium, Envoy, Keycloak)
	@scripts/setup

.PHONY: wasm
wasm: setup ## builds dist/oidc-filter.wasm and dist/oidc-filter.meta.json
	@scripts/wasm-cargo build --release --lib
	@mkdir -p dist
	@cp $(TARGET_DIR)/$(WASM_TARGET)/release/oidc_filter.wasm $(MODULE).next && mv $(MODULE).next $(MODULE)
	@cargo run -q -p oidc-filter-tools --bin oidc-filter -- schema --kong > dist/oidc-filter.meta.json.next
	@mv dist/oidc-filter.meta.json.next dist/oidc-filter.meta.json
	@size=$$(stat -c %s $(MODULE)); echo "$(MODULE): $$size bytes ($$(( (size + 512) / 1024 )) KB)"

.PHONY: modules
modules: setup ## builds the small modules that the tests load beside the filter
	@WASM_RUSTFLAGS= scripts/wasm-cargo build --release -p modules --lib --examples
	@rm -rf dist/modules && mkdir -p dist/modules
	@find $(TARGET_DIR)/$(WASM_TARGET)/release/examples -maxdepth 1 -name '*.wasm' ! -regex '.*-[0-9a-f]*\.wasm' -exec cp {} dist/modules/ \;

.PHONY: run
run: wasm ## the demo: a website behind a login, with Envoy and Keycloak
	@cargo build -p support --bin demo
	@exec cargo run -q -p support --bin demo

.PHONY: test
test: wasm modules ## all tests; the last line is N passed, N failed
	@cargo build -q -p support --bins
	@cargo run -q -p support --bin suite

.PHONY: test-native
test-native: setup ## the tests that need no host
	@cargo run -q -p support --bin suite -- native

.PHONY: test-module
test-module: wasm modules ## the compiled module in hosts like Envoy's and Kong's
	@cargo run -q -p support --bin suite -- module

.PHONY: test-hosts
test-hosts: wasm modules ## the module in a real Envoy, with a real Keycloak and a real Chromium
	@cargo build -q -p support --bins
	@cargo run -q -p support --bin suite -- hosts

.PHONY: test-hostile
test-hostile: wasm modules ## against providers and clients that misbehave
	@cargo run -q -p support --bin suite -- hostile

.PHONY: scenarios
scenarios: wasm modules ## acceptance scenarios, a line each [HOST=envoy|kong] [CONTROL=open|closed]
	@cargo run -q -p support --bin scenarios -- $(SCENARIO_ARGS)

.PHONY: parity
parity: ## each field of the configuration with its state; tests must notice when one is taken away
	@cargo run -q -p parity

.PHONY: reference
reference: ## writes docs/reference.md from the filter's own table of fields
	@cargo run -q -p oidc-filter-tools --bin oidc-filter -- reference > docs/reference.md.next
	@mv docs/reference.md.next docs/reference.md

.PHONY: lint
lint: setup ## formatting and clippy
	@scripts/lint

.PHONY: bench
bench: wasm ## speed of the filter in a real Envoy
	@cargo run -q --release -p support --bin bench

.PHONY: clean
clean: ## removes what was built, not what setup downloaded
	@cargo clean -q
	@rm -rf dist logs
