# Every command of the project. `make` lists them. The venv is made once and kept until the lock changes.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Tests beside each other; on two cores more of them find too little of both.
WORKERS ?= 3
READY := $(VENV)/.ready
CODE := ci_host webhooks pipelines runners tests

# Each of the hundreds of processes that tests start would compile all code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo check up lint types layers test published fuzz bench sim chaos forge-month lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## Install everything into .venv and build the guest image

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (once, about a minute)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(RUN) -m compileall -q ci_host webhooks pipelines runners
	@touch $(READY)
	@$(RUN) -m ci_host image

demo: $(READY) ## Act out the main job: push, kill everything twice, approve, deploy, fail
	@$(RUN) -m ci_host image
	@$(RUN) -m tests.demo

up: $(READY) ## Start Staunch here and leave it running (Ctrl-C stops it)
	@$(RUN) -m ci_host up

check: lint types layers test ## All checks and all tests; what CI runs

lint: $(READY) ## Style
	@$(RUN) -m ruff check $(CODE)
	@$(RUN) -m ruff format --check --quiet $(CODE)

types: $(READY) ## Types, strictly
	@$(RUN) -m mypy

layers: $(READY) ## Who may import whom
	@$(VENV)/bin/lint-imports --no-cache

test: published ## All tests
	@$(RUN) -m ci_host image
	@$(RUN) -m tests.fuzz --runs 2000
	@$(RUN) -m pytest -q -n $(WORKERS)
	@for how in always verify; do \
		echo "the engine's suite once more, with --hibernate $$how"; \
		STAUNCH_HIBERNATE=$$how $(RUN) -m pytest -q -n 2 tests/unit/engine || exit 1; \
	done

published: $(READY) ## Fetch what forges publish, which requests and payloads are tested against (once)
	@$(RUN) -m tests.published

fuzz: $(READY) ## Fuzz the parsers of payloads, guided by coverage, for FOR=60 seconds a forge
	@$(RUN) -m tests.fuzz --for $(or $(FOR),60) $(if $(FORGE),--forge $(FORGE))

bench: $(READY) ## Measure everything, or ONLY=id,id; PEERS=1: other engines too, in the same run
	@$(RUN) -m ci_host image
	@$(RUN) -m tests.bench $(ONLY) $(if $(PEERS),--peers)

sim: $(READY) ## Simulate: the engine in bad weather, SEEDS=1000 from SEED=0
	@$(RUN) -m tests.sim $(or $(SEEDS),1000) $(or $(SEED),0)

chaos: $(READY) ## Kill and freeze every process for FOR=60 seconds; CLUSTER=1: on three nats-servers
	@$(RUN) -m ci_host image
	@$(RUN) -m tests.chaos --for $(or $(FOR),60) $(if $(SEED),--seed $(SEED)) $(if $(CLUSTER),--cluster)

forge-month: $(READY) ## Simulate: a month of an unreliable forge, SEED=0, MONTHS=1
	@$(RUN) -m tests.month $(or $(MONTHS),1) $(or $(SEED),0)

lock: ## Write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate -q -o requirements.lock

clean: ## Remove what can be made again
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .published .fuzz build
