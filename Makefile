# The same few verbs for everyone. Needs make, git and Python 3.11 to 3.13 with venv; everything else goes into .venv.

PYTHON ?= python3
BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest
# How many tests at a time: three for two cores, because a third of the time they wait. On a larger machine: make test WORKERS=8
TESTERS := $(or $(WORKERS),3)
PROVERS := $(or $(WORKERS),2)
# uv installs what the lock names; it is the one thing that is not in the lock itself.
UV     := uv>=0.13.8,<0.14

.DEFAULT_GOAL := help
.PHONY: help demo test prove browser screenshots check fix bench docs lock clean

help: ## Say what each verb does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.base ## Serve a shop full of sample cards, place an order over HTTP, show it, and serve on
	$(BIN)/cardrail demo --walk

test: .venv/.dev ## Run every test, on SQLite and on PostgreSQL
	$(PYTEST) -n $(TESTERS) $(ARGS)

prove: .venv/.dev ## Run the claims of the README with full counts (takes minutes)
	CARDRAIL_PROVE=1 $(PYTEST) -n $(PROVERS) -m prove $(ARGS)

browser: .venv/.dev .venv/.browser ## Open the claim page in Chromium, scan it, and verify webhooks in Node.js
	$(PYTEST) -n $(PROVERS) -m browser tests/browser $(ARGS)

screenshots: .venv/.dev .venv/.browser ## Take the pictures of docs/images anew
	$(BIN)/python -m scripts.screenshots

check: .venv/.dev ## Check format, rules, types and imports
	$(BIN)/ruff format --check src tests scripts
	$(BIN)/ruff check src tests scripts
	$(BIN)/mypy
	$(PYTEST) -q tests/tidy

fix: .venv/.dev ## Format, and repair what can be repaired without thinking
	$(BIN)/ruff check --fix --exit-zero src tests scripts
	$(BIN)/ruff format src tests scripts

bench: .venv/.dev ## Measure this machine and write docs/benchmarks.md
	$(BIN)/cardrail bench --write docs/benchmarks.md

docs: .venv/.dev ## Regenerate the reference pages that come from the code
	$(BIN)/python scripts/docs.py

lock: $(BIN)/uv ## Write uv.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	scripts/lock.sh $(ARGS)

clean: ## Remove .venv, caches and the demo's data
	rm -rf .venv .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: made again only when the ranges, the lock or the way of installing change.
.venv/.base: pyproject.toml uv.lock scripts/install.sh | $(BIN)/uv
	@scripts/install.sh base
	@touch $@

.venv/.dev: pyproject.toml uv.lock scripts/install.sh | $(BIN)/uv
	@scripts/install.sh dev
	@touch .venv/.base $@

.venv/.browser: scripts/browser.sh tests/browser/package-lock.json .venv/.dev
	@scripts/browser.sh
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	    { echo "Cardrail needs Python 3.11, 3.12 or 3.13: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making .venv (once; a minute or so)."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"
