# Every target sets up what it needs and does nothing where that is there already.
# A fresh machine needs Debian 12, Python 3.11, make, and the package registries.

# Debian's own Python first: it is built with profile-guided and link-time optimisation, and serves a third more steps
# than one compiled as it comes. Another one: make setup PYTHON=/path/to/python3.11
PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
BIN := .venv/bin
INTEROP := tests/interop

.DEFAULT_GOAL := help
.PHONY: help run setup test fuzz chaos lint bench bench-peers soak clean

help:            ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: setup       ## set up, then start everything in one process: simulator, server, pages
	@$(BIN)/ussd-server demo

setup: .venv/.run  ## make .venv with ussd-server in it
	@:

# Tests wait more than they compute: three at once keep two cores busy. WORKERS=0 runs them one after the other.
WORKERS ?= 3

test: .venv/.dev $(INTEROP)/node_modules/.done  ## set up what the tests need, then run every test
	@scripts/debian-packages chromium:chromium kannel:bearerbox redis-server:redis-server tshark:tshark systemd:systemd-analyze curl:curl
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

# How many inputs, over all layers: ten million take half an hour on two free cores, or longer. More of it: python -m tests.fuzz --help
INPUTS ?= 10000000

fuzz: .venv/.fuzz  ## feed what receives octets millions of them, guided by the code that they reach
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS)

chaos: .venv/.dev  ## kill and hinder servers under load for half an hour, and check that nothing is lost
	@scripts/debian-packages redis-server:redis-server strace:strace faketime:faketime
	@$(BIN)/python -m tests.chaos

lint: .venv/.dev  ## style, types and layering
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.dev  ## measure, and print the report
	@$(BIN)/python -m benchmarks

bench-peers: .venv/.dev  ## measure SMS beside Kannel
	@scripts/debian-packages kannel:bearerbox
	@$(BIN)/python -m benchmarks.peers

# How long more is offered than the server can do; the whole takes three minutes more.
MINUTES ?= 10

soak: .venv/.dev  ## offer 120 % of the capacity for ten minutes, and judge
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

clean:           ## remove what the targets here made, but not ./var
	rm -rf .venv $(INTEROP)/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; say which with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/debian-packages python3-venv
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing ussd-server and its libraries into .venv: about half a minute"
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/.dev: .venv/.run
	@echo "Installing the tools for tests and checks into .venv: about half a minute"
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv/.fuzz: .venv/.dev
	@echo "Installing the fuzzer into .venv"
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

$(INTEROP)/node_modules/.done: $(INTEROP)/package.json
	@scripts/debian-packages nodejs:node npm:npm
	@echo "Installing the npm package smpp, a peer for the tests, into $(INTEROP)/node_modules"
	@cd $(INTEROP) && npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@
