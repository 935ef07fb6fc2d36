# `make help` says what there is. Everything works in a fresh clone, as root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For commands that start others of the virtual environment.
WITH_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"

HOST_PACKAGES := python3-venv apparmor debootstrap nftables busybox-static python3-pyroute2 libseccomp2 netbase openssh-client
# shellcheck is for ansible-test; the others are measured against, or build what attacks from inside a jail.
TEST_PACKAGES := \
	acl \
	btrfs-progs \
	bubblewrap \
	bzip2 \
	createrepo-c \
	dnf \
	e2fsprogs \
	gcc \
	gpg \
	gpg-agent \
	libc6-dev \
	mmdebstrap \
	openssh-server \
	openssl \
	rpm \
	runc \
	shellcheck \
	strace \
	sudo \
	xfsprogs \
	xz-utils \
	zstd

# Has the default profile of container engines, under which runc is measured.
PROFILE_PACKAGES := golang-github-containers-common

# Have what Podman and LXC wire their containers with, which is measured beside ours.
NETWORK_PACKAGES := containernetworking-plugins iptables lxc netavark

# The targets below change one host and share one virtual environment: never two at a time.
.NOTPARALLEL:
.PHONY: help host-packages test-packages venv lint sanity unit integration breakout breakout-compare servers test demo demo-clean
.PHONY: bench bench-rootfs bench-dedupe bench-connection bench-syscalls bench-limits bench-net clean

help: ## this list (the default)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

host-packages: ## install the Debian packages that jails need, if any is missing
	@scripts/host-packages.sh $(HOST_PACKAGES)

test-packages: ## the same, with those that only the tests need
	@scripts/host-packages.sh $(HOST_PACKAGES) $(TEST_PACKAGES)

venv: $(VENV)/stamp ## make .venv with Ansible and the tools, again when requirements-dev.txt has changed

$(VENV)/stamp: requirements-dev.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

lint: venv ## ruff, mypy, yamllint, antsibull-changelog, ansible-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/antsibull-changelog lint
	$(WITH_VENV) ansible-lint --profile production --offline

sanity: venv ## ansible-test sanity on every Python that is here
	scripts/sanity.sh

unit: venv ## the tests that touch nothing
	$(BIN)/pytest tests/unit

integration: test-packages venv ## the tests on this machine's kernel (root)
	$(BIN)/pytest tests/integration

breakout: test-packages venv ## what root of a jail tries, as a table: stopped, or not, and why (root)
	$(BIN)/pytest tests/breakout tests/integration --breakout-table --quiet

breakout-compare: test-packages venv ## the same attacks in bubblewrap, runc, podman, LXC and nspawn, where they are (root)
	$(BIN)/python tests/breakout/compare.py

servers: test-packages venv ## twenty of Debian's servers, each installed and asked in a jail, as a table (root, a mirror)
	$(BIN)/pytest tests/servers --timeout 1800

# WORKERS=2 takes two thirds of the time, on a machine with CPUs to spare: some tests look at who gets how much of them.
WORKERS ?= 0
DISTRIBUTED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test: test-packages lint sanity ## all of it (root)
	$(BIN)/pytest tests/unit tests/integration tests/breakout $(DISTRIBUTED) --durations 30

demo: host-packages venv ## build and start jails here, then show that the same play changes nothing (root)
	scripts/demo.sh

demo-clean: venv ## take the demo's jails away again
	$(WITH_VENV) ansible-playbook playbooks/demo_clean.yml

bench: venv ## measure how long jails take to start (root)
	$(BIN)/python benchmarks/start.py

bench-rootfs: test-packages venv ## measure what the clones of a template cost, and what they share (root)
	$(BIN)/python benchmarks/rootfs.py

bench-dedupe: test-packages venv ## measure what upgraded jails give back when they share again (root)
	$(BIN)/python benchmarks/dedupe.py

bench-connection: test-packages venv ## measure what tasks in a jail cost beside plain ssh to its host (root)
	$(BIN)/python benchmarks/connection.py

bench-syscalls: test-packages venv ## measure what a system call costs in a jail, on the host and in runc (root)
	@scripts/host-packages.sh $(PROFILE_PACKAGES)
	$(BIN)/python benchmarks/syscalls.py

bench-limits: test-packages venv ## measure what changing the limits of two hundred jails in one call costs (root)
	$(BIN)/python benchmarks/limits.py

bench-net: test-packages venv ## measure traffic, wiring and growth of jails' networks beside bare veth, Podman and LXC (root)
	@scripts/host-packages.sh $(NETWORK_PACKAGES)
	$(BIN)/python benchmarks/net.py

clean: ## remove what the targets above made in this directory
	rm -rf $(VENV) .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output cellblock-jails-*.tar.gz
	find . -name __pycache__ -prune -exec rm -rf {} +
