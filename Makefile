# What a person or a CI machine needs: `make run` and `make test` set up what they use.

.PHONY: setup-run setup-build setup setup-flink run build test features flink-cep check bench

CARGO ?= cargo
LIBCLANG = $(foreach dir,/usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib,$(addprefix $(dir)/,libclang.so libclang-*.so libclang.so.* libclang-*.so.*))

# What is C++ and C is compiled once, for whatever profile and directory. The same compiler is named each time, or cargo would build it again.
ifeq ($(origin CC),default)
CACHED = CC="ccache cc" CXX="ccache c++" CCACHE_NOHASHDIR=1
endif

setup-run: ## installs what the quick build of `make run` needs and is missing
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer from https://rustup.rs"; exit 1; }
	@{ echo '#include <stdio.h>' | cc -x c -fsyntax-only -; } 2>/dev/null || { apt-get update && apt-get install -y --no-install-recommends build-essential; }

setup-build: setup-run ## and what the whole build needs: RocksDB is C++, librdkafka C
	@{ echo '#include <string>' | c++ -x c++ -fsyntax-only -; } 2>/dev/null || { apt-get update && apt-get install -y --no-install-recommends build-essential; }
	@# What bindgen loads: libclang itself. libclang-cpp, which other packages bring, is another library.
	@ls $${LIBCLANG_PATH:-/nonexistent}/libclang.so* $(LIBCLANG) 2>/dev/null | grep -qv 'libclang-cpp' || { apt-get update && apt-get install -y --no-install-recommends libclang-dev; }
	@pkg-config --exists openssl zlib 2>/dev/null || { apt-get update && apt-get install -y --no-install-recommends pkg-config libssl-dev zlib1g-dev; }
	@[ -z '$(CACHED)' ] || command -v ccache >/dev/null || { apt-get update && apt-get install -y --no-install-recommends ccache; }

setup: setup-build ## and what tests need besides: Java and Maven for a Kafka broker
	@command -v java >/dev/null || { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless; }
	@command -v mvn >/dev/null || { apt-get update && apt-get install -y --no-install-recommends maven; }

setup-flink: setup-build ## and what comparing with Flink needs: a JDK and Maven
	@command -v javac >/dev/null || { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jdk-headless; }
	@command -v mvn >/dev/null || { apt-get update && apt-get install -y --no-install-recommends maven; }

run: setup-run ## runs the brute-force job on a real sshd log, in a build without RocksDB and Kafka: minutes instead of half an hour
	$(CARGO) run --no-default-features -- run jobs/examples/brute-force.yaml

build: setup-build ## the whole binary, optimised: target/release/tidegate
	$(CACHED) $(CARGO) build --release

test: setup ## all tests, in a debug build: timely's capability checks are debug assertions
	$(CACHED) $(CARGO) test --workspace --quiet --no-fail-fast

features: setup-build ## a build without features names the one that a job needs; minutes, as all crates are built anew
	$(CACHED) $(CARGO) test --workspace --no-default-features --quiet --test features

flink-cep: setup-flink ## random patterns through FlinkCEP itself, which Maven fetches; FLINK_CEP_CASES and FLINK_CEP_SEED say how many, and which
	$(CACHED) $(CARGO) test -p tidegate-cep --test flink -- --ignored --nocapture

check: setup-build ## what CI checks besides the tests
	$(CARGO) fmt --all --check
	$(CACHED) $(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	@# What `make run` builds.
	$(CACHED) $(CARGO) check --no-default-features --quiet

bench: setup ## the figures of docs/performance.md
	$(CACHED) $(CARGO) bench --bench tumbling
	$(CACHED) $(CARGO) bench --bench json_lines
	$(CACHED) $(CARGO) bench --bench checkpoints
	$(CACHED) $(CARGO) bench --bench state
	$(CACHED) $(CARGO) bench --bench cep
	$(CACHED) $(CARGO) bench --bench sliding
	$(CACHED) $(CARGO) bench --bench kafka
	$(CACHED) $(CARGO) bench -p tidegate-expr --bench expr
