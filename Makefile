# `make demo` shows what Hookswitch does; `make test` is everything that CI runs.

TOOLS := $(CURDIR)/target/tools
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: demo dist dist-test test chaos setup lint advisories bench robustness fuzz captures scenarios live

demo:
	cargo build --release --locked
	target/release/hookswitch demo

# The Debian package, the static archive, the image and the list of parts, in target/dist.
dist:
	scripts/make-dist

# Tries them: the package in a Debian chroot, as root. PROGRAM=target/debug/hookswitch takes that in place of a release
# build, which is not linked with its libraries; SUITE=trixie tries Debian 13.
dist-test:
	ci/test-packages $(PROGRAM)

test: setup lint
	cargo test --workspace --locked

# The long forms of the tests that kill the server; about an hour on two cores.
chaos: setup
	HOOKSWITCH_TEST_KILLS=1000 cargo test --release --locked --package hookswitch --test it server::crash -- --nocapture
	HOOKSWITCH_TEST_FAULTS=100 cargo test --release --locked --package hookswitch --test it server::cluster::chaos -- --nocapture

# Installs what the checks and tests need and is not there yet.
setup:
	ci/setup $(TOOLS)

lint: setup
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	ci/doc-openers
	cargo deny --locked check bans licenses sources
	cargo machete

# Known vulnerabilities and abandoned crates. Needs the network, and may fail without a change here.
advisories: setup
	cargo deny --locked check advisories

# What a replay takes, stage by stage and beside other programs, and how well legs are joined;
# docs/benchmarks.md has the figures.
bench:
	ci/setup $(TOOLS) sngrep valgrind
	cargo build --release --locked
	cargo bench --locked --package hookswitch --bench stages
	scripts/count-instructions --functions 20
	cargo bench --locked --package hookswitch --bench joining
	cargo bench --locked --package hookswitch-pipeline --bench ami
	cargo bench --locked --package hookswitch-pipeline --bench esl
	scripts/time-replay --runs 5
	cargo bench --locked --package hookswitch --bench live
	cargo bench --locked --package hookswitch --bench gateway
	cargo bench --locked --package hookswitch --bench webhooks
	cargo bench --locked --package hookswitch --bench cluster

# Hostile input at full size: the figures of docs/robustness.md.
robustness: export HOOKSWITCH_TEST_SIZE = full
robustness: setup
	cargo test --release --locked --package hookswitch-signal --test floods -- --nocapture
	cargo test --release --locked --workspace \
		--test torture --test hostile --test memory --test it --test collisions -- --nocapture \
		--skip replay --skip commands
	cargo build --release --locked
	scripts/generate-large-capture target/robustness/calls.pcap --call-ids 20000
	scripts/compare-decode target/robustness/calls.pcap

# Ten minutes of each fuzz target, from seeds made of captures/; fuzz/run has other ways.
fuzz:
	ci/setup $(TOOLS) g++ cargo-fuzz
	fuzz/run

# Records the calls in captures/ again; their times, tags and Call-IDs change.
captures:
	captures/make

# Writes docs/reference/scenarios.md anew from the tests.
scenarios:
	WRITE_SCENARIOS=1 cargo test --locked --package hookswitch-flows --test it catalogue

# Calls through real switches, where those can be had: each script says what it needs.
live:
	cargo build -p hookswitch
	@for switch in asterisk freeswitch kamailio control control-freeswitch; do [ ! -x live/$$switch ] || live/$$switch || exit 1; done
