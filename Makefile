# make run     builds whither, installing what is missing, and watches this machine's access point (or its way out)
# make test    runs every test
# make demo    replays the simulated lab run, 26 hours in three minutes; needs no right to capture
# make bench   what reading costs, against bare libpcap and others; each stage, growth, scrapes, and as root a live capture: tests/bench/RESULTS.md
# make lab     only the live test, which then must not be skipped; make lab-wifi the one on a virtual access point
# make mutated CORPUS=DIR   reads every capture below DIR, whole and damaged at random
# make fuzz    each fuzz target for FUZZ_SECONDS        make soak    floods, a fleet of sensors, a day of Wi-Fi, and the live test for SOAK_SECONDS
# make fmt     formats                                  make lint    formatting and clippy; whether the fuzz targets compile
# make deny    advisories, licences and sources of dependencies       make sbom    what it is built from, as CycloneDX
# make reproducible   builds twice in different folders and compares the bytes
# make deps    only installs what the tests need        ARGS="..."   more for run and demo: ARGS=wlan0, ARGS="--listen 127.0.0.1:9900"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(CURDIR)/target/tools/usr/bin:$(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin

BINARY = $(or $(CARGO_TARGET_DIR),target)/release/whither
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 3600
TWICE = target/reproducible

# What is measured over: the captures in BENCH_TRACES. Without it they are made, once, of those in BENCH_CORPUS by BENCH_MAKER, a
# program that takes --src and --out; both are looked for beside this tree. Without these the simulated lab run stands in.
BENCH_CORPUS ?= $(firstword $(wildcard ../*/corpus/public))
BENCH_MAKER ?= $(firstword $(wildcard ../*/tools/make_bench.py))
BENCH_TRACES ?= $(if $(and $(BENCH_CORPUS),$(BENCH_MAKER)),target/bench)
BENCHES ?= read stages growth scrape live

# What is needed from outside, each as command:package; the packages are Debian's. libpcap is no command: see `linking`.
BUILD := cc:gcc linking:libpcap-dev
TEST := ip:iproute2 ethtool:ethtool dnsmasq:dnsmasq-base busybox:busybox dig:bind9-dnsutils curl:curl openssl:openssl ping:iputils-ping \
	kdig:knot-dnsutils chromium-headless-shell:chromium-headless-shell python3:python3 pip3:python3-pip \
	qemu-system-x86_64:qemu-system-x86 cpio:cpio depmod:kmod xz:xz-utils

.PHONY: run test demo bench lab lab-wifi mutated fuzz soak fmt lint deny sbom reproducible deps build-deps servers aioquic grafana-schema playwright chdb schemathesis rust
.DEFAULT_GOAL := run

run: build-deps
	cargo build --release
	$(BINARY) watch $(ARGS)

test: lint deps
	cargo check --no-default-features --all-targets
	cargo test
	@if cargo deny --version >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	else echo "make: SKIPPED: cargo deny is not there (\`make deny\` installs it, which takes minutes)" >&2; fi

demo: build-deps
	cargo build --release
	@mkdir -p out
	$(BINARY) simulate out/demo.pcap
	$(BINARY) read --serve --speed 600 --location 54.6872,25.2797 $(ARGS) out/demo.pcap

bench: build-deps $(filter target/bench,$(BENCH_TRACES))
	WHITHER_BENCH_TRACES=$(BENCH_TRACES) cargo bench $(addprefix --bench ,$(BENCHES))

target/bench:
	@rm -rf $@.part && mkdir -p $@.part
	python3 $(BENCH_MAKER) --src $(BENCH_CORPUS) --out $@.part
	mv $@.part $@

lab: deps
	WHITHER_LAB=must cargo test --test live --test capture -- --nocapture

# Without CORPUS=DIR the captures of the tests, as `make test` does.
mutated: build-deps
	WHITHER_MUTATED=$(and $(CORPUS),$(abspath $(CORPUS))) cargo test --release --test mutated -- --nocapture

# Its guest is made of Debian's packages, unpacked below target/wifi: nothing of them is installed here.
lab-wifi: deps
	WHITHER_WIFI=must cargo test --test wifi -- --nocapture

fuzz: build-deps
	@cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install --profile minimal nightly
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@for target in $${FUZZ_TARGETS:-$$(cargo +nightly fuzz list --fuzz-dir tests/fuzz)}; do \
	    echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
	    cd tests/fuzz; mkdir -p corpus/$$target; dictionary=; \
	    if [ -e dictionaries/$$target ]; then dictionary=-dict=dictionaries/$$target; fi; \
	    cargo +nightly fuzz run --fuzz-dir . $$target corpus/$$target seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) $$dictionary; \
	    cd ../..; \
	done

soak: deps
	cargo test --release --test bounds
	cargo test --release --test fleet -- --ignored
	WHITHER_WIFI=must cargo test --release --test wifi -- --ignored --nocapture
	@end=$$((SECONDS + $(SOAK_SECONDS))); rounds=0; \
	while [ $$SECONDS -lt $$end ]; do \
	    WHITHER_LAB=must cargo test --quiet --test live; rounds=$$((rounds + 1)); echo "soak: $$rounds rounds"; \
	done

fmt:
	cargo fmt

lint: build-deps
	@$(call need,c++:g++)
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo check --quiet --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target

# The advisories come from the network: without it the others are checked still.
deny: build-deps
	@cargo deny --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-deny || true
	@if ! cargo deny --version >/dev/null 2>&1; then \
	    echo "make: SKIPPED: no cargo-deny; advisories, licences and sources of dependencies were not checked" >&2; \
	else \
	    cargo deny --locked --config packaging/deny.toml check bans licenses sources; \
	    if cargo deny --config packaging/deny.toml fetch db >/dev/null 2>&1; then \
	        cargo deny --locked --config packaging/deny.toml check --disable-fetch advisories; \
	    else \
	        echo "make: SKIPPED: the advisories cannot be fetched here; bans, licences and sources were checked" >&2; \
	    fi; \
	fi

sbom: build-deps
	@cargo cyclonedx --version >/dev/null 2>&1 || cargo install --locked cargo-cyclonedx
	cargo cyclonedx --format json --override-filename whither.cdx
	mv whither.cdx.json target/whither.cdx.json

# Whoever builds the same commit with the same Rust gets the same bytes, if paths are named alike.
reproducible: build-deps
	@rm -rf $(TWICE); mkdir -p $(TWICE)/there
	git archive HEAD | tar -x -C $(TWICE)/there
	@for root in $(CURDIR) $(CURDIR)/$(TWICE)/there; do \
	    cd $$root; \
	    RUSTFLAGS="--remap-path-prefix=$$root=. --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=cargo" \
	        cargo build --release --locked --target-dir $$root/target/build; \
	done
	@cd $(CURDIR); sha256sum target/build/release/whither $(TWICE)/there/target/build/release/whither
	@cmp target/build/release/whither $(TWICE)/there/target/build/release/whither && echo "make: the same bytes"

# Without the tools the tests that need them say that they are skipped; without a linker or libpcap nothing can be built.
deps: build-deps servers
	@$(call need,$(TEST)) || echo "make: going on without; the tests that need them will say so" >&2
	@$(MAKE) --no-print-directory aioquic grafana-schema playwright chdb schemathesis

build-deps: rust
	@$(call need,$(BUILD))

# Prometheus, Alertmanager and VictoriaMetrics with their tools, unpacked and not installed: Debian's packages would start servers.
servers:
	@for item in promtool:promtool prometheus:prometheus amtool:prometheus-alertmanager vmagent:vmagent victoria-metrics:victoria-metrics; do \
	    command -v "$${item%%:*}" >/dev/null && continue; \
	    mkdir -p target/tools; \
	    (cd target/tools && rm -f ./*.deb && apt-get download -qq "$${item#*:}" 2>/dev/null && dpkg-deb -x ./*.deb . && rm ./*.deb) || true; \
	done
	@for tool in promtool prometheus amtool vmagent victoria-metrics; do \
	    command -v "$$tool" >/dev/null || echo "make: no $$tool; the tests that need it will say so" >&2; \
	done

# Grafana's own types and reader of dashboards, for this tree alone.
grafana-schema:
	@test -d target/tools/node/node_modules/@grafana/schema || npm install --silent --no-audit --no-fund --prefix target/tools/node \
	    @grafana/schema@13.2.3 typescript@5.9.3 >/dev/null || echo "make: no Grafana types of npm; the test that needs them will say so" >&2
	@test -d target/tools/grafana-sdk/grafana_foundation_sdk || python3 -m pip install --quiet --target target/tools/grafana-sdk \
	    'grafana-foundation-sdk==1769699998!10.1.0' || echo "make: no Grafana SDK of PyPI; the test that needs it will say so" >&2

# What drives Debian's Chromium over the page, and what looks whether everybody can use it; it brings no browser of its own.
playwright:
	@test -d target/tools/node/node_modules/axe-core || npm install --silent --no-audit --no-fund --prefix target/tools/node \
	    playwright-core@1.65.1 axe-core@4.14.1 >/dev/null || echo "make: no playwright of npm; the tests of the page will say so" >&2

# A server of HTTP/3 for the live test, from PyPI and for this tree alone.
aioquic:
	@test -d target/tools/python/aioquic || python3 -m pip install --quiet --target target/tools/python aioquic==1.7.2 || \
	    echo "make: no aioquic; the tests that need it will say so" >&2

# What holds the API to its description, in a folder of its own: it brings many packages.
schemathesis:
	@test -d target/tools/schemathesis/schemathesis || python3 -m pip install --quiet --target target/tools/schemathesis schemathesis==4.32.5 || \
	    echo "make: no schemathesis; the test that needs it will say so" >&2

# ClickHouse's engine for the test of its recipe, in the same way; it is large (500 MB).
chdb:
	@test -d target/tools/python/chdb || python3 -m pip install --quiet --no-deps --target target/tools/python chdb-core==26.9.0 || \
	    echo "make: no chdb-core; the test that needs it will say so" >&2

rust:
	@command -v cargo >/dev/null || { echo "make: Rust is missing: install it from https://rustup.rs (1.91 or newer), then try again" >&2; exit 1; }

# need LIST: what of it is missing is installed by root; anyone else is told how, and it fails.
define need
linking() { cc -x c -o /dev/null - -lpcap <<< 'int main(void) { return 0; }' 2>/dev/null; }; \
missing=; for item in $(1); do \
    case $$item in \
    linking:*) linking || missing+=" $${item#*:}";; \
    *) command -v "$${item%%:*}" >/dev/null || missing+=" $${item#*:}";; \
    esac; \
done; \
if [ -n "$$missing" ]; then \
    install="apt-get install -y --no-install-recommends$$missing"; \
    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
        echo "make: missing:$$missing; on Debian: sudo $$install" >&2; false; \
    else \
        echo "make: $$install" >&2; \
        DEBIAN_FRONTEND=noninteractive $$install >&2 || { apt-get update >&2 && DEBIAN_FRONTEND=noninteractive $$install >&2; }; \
    fi; \
fi
endef
