# Two commands are all a newcomer needs: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# What `make torture` runs at a scale of its own.
TORTURED := $(addprefix tests/conformance/,test_contract_machine.py test_registration_saga.py) \
	$(addprefix tests/service/,test_fuzzed_requests.py test_fuzzed_handlers.py) \
	$(addprefix tests/simulation/,test_lives.py) \
	$(addprefix tests/acceptance/,test_promises_under_kills.py test_power_loss.py test_consumers_die.py test_answers_lost.py test_dead_letters_under_kills.py \
	test_every_runner_once.py test_many_nodes.py test_database_crash.py test_overload.py test_clock_steps.py test_black_holes.py)
# Tests that run at a time: one more than two cores, because many of them wait for a process.
WORKERS ?= 3
DISTRIBUTIONS := protos mesh queue_service email_service signup_service baton_client
SETUP_INPUTS := requirements.txt $(DISTRIBUTIONS:%=%/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup run demo test torture bench bench-patterns check generate clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/ready ## make .venv with everything in it, pinned by hash

.venv/ready: $(SETUP_INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Baton needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(DISTRIBUTIONS:%=-e ./%)
	@touch $@

run: setup ## start the mesh: broker, email and sign-up, until Ctrl-C
	@$(BIN)/python scripts/run.py

demo: setup ## the three ways to send a confirmation, shown: answer times, batches, retries, a dead letter, a kill
	@$(BIN)/python -m examples.demo

test: setup ## run every test
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

torture: setup ## the long run: more random lives and bytes, kills, losses of power and runners, for hours
	BATON_TORTURE=1 $(BIN)/python -m pytest $(TORTURED)

bench: setup .tools/bench/ready ## measure the broker beside its peers and its limits, and rewrite docs/performance.md and its picture
	$(BIN)/python -m benchmarks.broker

.tools/bench/ready: benchmarks/broker/peers.txt
	@$(PYTHON) -m venv .tools/bench
	@.tools/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< && touch $@ \
		|| echo "The packages of the peers cannot be had: those that need them are left out."

bench-patterns: setup ## measure the three ways to send a confirmation, and rewrite docs/patterns.md and its picture
	$(BIN)/python -m benchmarks.patterns

check: setup ## formatting, lint, types, contracts: what must hold before a push
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python protos/generate.py --check
	$(BIN)/buf breaking --against protos/baseline.binpb

generate: setup ## make the Python code of the contracts anew
	$(BIN)/python protos/generate.py

clean: ## remove what setup and run made, the stored data too
	rm -rf .venv .baton dist
