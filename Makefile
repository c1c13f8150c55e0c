# `make run` tries it, `make test` proves it, `make check` is the inner loop.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: run test check tools lint unit test-api bench docs release

# Builds, and serves on http://127.0.0.1:7070 with the data in ./data and demo data in an empty one.
run:
	cargo run -- serve --demo

# Everything. On a fresh machine it installs what is missing (as root), or says what is.
test: tools lint unit

# The inner loop: types, lints and the tests that need nothing running.
check:
	cargo clippy --all-targets -- -D warnings
	cargo test --workspace --lib

tools:
	tests/tools.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# Unit, property and documentation tests, both databases, command line, browser.
unit:
	cargo test --workspace

# Fuzzes a running server by its own API description.
test-api:
	cargo build
	tests/api/run

# Prints latency, statements, bytes, memory and start-up times; then what serving a model costs. Builds for release.
bench:
	cargo bench --bench countersign
	cargo bench -p countersign-serving --bench serving

# Rewrites the documents that are generated from the code.
docs:
	UPDATE_DOCS=1 cargo test --test it documents

# The binary to install: target/release/countersign.
release:
	cargo build --release
