# `make demo` shows what Hookswitch does; `make test` is everything that CI runs.

TOOLS := $(CURDIR)/target/tools
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: demo test setup lint advisories bench captures scenarios

demo:
	cargo build --release --locked
	target/release/hookswitch replay captures/answered-call.pcap --format text
	@echo "The same as JSON, one notification a line: target/release/hookswitch replay captures/answered-call.pcap"

test: setup lint
	cargo test --workspace --locked

# Installs what the checks and tests need and is not there yet.
setup:
	ci/setup $(TOOLS)

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	cargo deny --locked check bans licenses sources
	cargo machete

# Known vulnerabilities and abandoned crates. Needs the network, and may fail without a change here.
advisories: setup
	cargo deny --locked check advisories

# What a replay takes, stage by stage and beside other programs; docs/benchmarks.md has the figures.
bench:
	ci/setup $(TOOLS) sngrep
	cargo build --release --locked
	cargo bench --locked --package hookswitch --bench stages
	scripts/time-replay --runs 5

# Records the calls in captures/ again; their times, tags and Call-IDs change.
captures:
	captures/make

# Writes docs/scenarios.md anew from the tests.
scenarios:
	WRITE_SCENARIOS=1 cargo test --locked --package hookswitch --test it catalogue
