# What a person or a CI machine needs: `make run` and `make test` set up what they use.

.PHONY: setup run test check bench

CARGO ?= cargo

setup: ## installs what building needs and is missing
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { apt-get update && apt-get install -y --no-install-recommends build-essential; }

run: setup ## runs the brute-force job on a real sshd log
	$(CARGO) run --release --quiet -- run jobs/examples/brute-force.yaml

test: setup ## all tests, in a debug build: timely's capability checks are debug assertions
	$(CARGO) test --workspace --quiet

check: setup ## what CI checks besides the tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

bench: setup ## the figures of the README
	$(CARGO) bench --bench tumbling
	$(CARGO) bench --bench json_lines
	$(CARGO) bench -p tidegate-jobs --bench expr
