# What a person or a CI machine needs: `make run` and `make test` set up what they use.

.PHONY: setup-build setup setup-flink run test flink-cep check bench

CARGO ?= cargo
LIBCLANG = $(foreach dir,/usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib,$(addprefix $(dir)/,libclang.so libclang-*.so libclang.so.* libclang-*.so.*))

setup-build: ## installs what building needs and is missing
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer from https://rustup.rs"; exit 1; }
	@# RocksDB is C++, librdkafka C.
	@{ echo '#include <string>' | c++ -x c++ -fsyntax-only - && echo '#include <stdio.h>' | cc -x c -fsyntax-only -; } 2>/dev/null || { apt-get update && apt-get install -y --no-install-recommends build-essential; }
	@# What bindgen loads: libclang itself. libclang-cpp, which other packages bring, is another library.
	@ls $${LIBCLANG_PATH:-/nonexistent}/libclang.so* $(LIBCLANG) 2>/dev/null | grep -qv 'libclang-cpp' || { apt-get update && apt-get install -y --no-install-recommends libclang-dev; }
	@pkg-config --exists openssl zlib 2>/dev/null || { apt-get update && apt-get install -y --no-install-recommends pkg-config libssl-dev zlib1g-dev; }

setup: setup-build ## and what tests need besides: Java and Maven for a Kafka broker
	@command -v java >/dev/null || { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless; }
	@command -v mvn >/dev/null || { apt-get update && apt-get install -y --no-install-recommends maven; }

setup-flink: setup-build ## and what comparing with Flink needs: a JDK and Maven
	@command -v javac >/dev/null || { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jdk-headless; }
	@command -v mvn >/dev/null || { apt-get update && apt-get install -y --no-install-recommends maven; }

run: setup-build ## runs the brute-force job on a real sshd log
	$(CARGO) run --release --quiet -- run jobs/examples/brute-force.yaml

test: setup ## all tests, in a debug build: timely's capability checks are debug assertions
	$(CARGO) test --workspace --quiet --no-fail-fast

flink-cep: setup-flink ## random patterns through FlinkCEP itself, which Maven fetches; FLINK_CEP_CASES and FLINK_CEP_SEED say how many, and which
	$(CARGO) test -p tidegate-cep --test flink -- --ignored --nocapture

check: setup-build ## what CI checks besides the tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

bench: setup ## the figures of docs/performance.md
	$(CARGO) bench --bench tumbling
	$(CARGO) bench --bench json_lines
	$(CARGO) bench --bench checkpoints
	$(CARGO) bench --bench state
	$(CARGO) bench --bench cep
	$(CARGO) bench --bench sliding
	$(CARGO) bench --bench kafka
	$(CARGO) bench -p tidegate-expr --bench expr
