# Throughline: `make demo` runs the story, `make test` runs all tests. `make help` lists the rest.
# Needs Python 3.11+ with venv, and make. Everything else is installed into .venv and build/ of this folder.

ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= python3
VENV := $(ROOT).venv
BIN := $(VENV)/bin
STAMPS := $(ROOT)build/stamps
PROTOS := $(wildcard $(ROOT)protos/throughline/v1/*.proto)
# Extra words for a command: make demo ARGS="--seed 3 --report build/report.json"
ARGS ?=

# Of chaos and soak: make chaos MINUTES=30 SEED=7 RATE=20 ARGS="--only kill"
MINUTES ?= 5
SEED ?= 1
RATE ?= 20
KAFKA_GONE ?= 60
HOURS ?= 1
# Of fuzz: make fuzz COUNT=100000 SEED=7
COUNT ?= 100000

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench simulate-long mutants fuzz chaos soak failures lock clean papers

help: ## this list
	@echo "Throughline: an emergency-call routing backbone. Targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(ROOT)Makefile | expand -t 22

setup: $(STAMPS)/installed $(STAMPS)/protos ## the virtual environment, hash-locked, and the generated protos

$(STAMPS)/venv:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON); install Python 3.11 or later, or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "too old: $$($(PYTHON) -V); Python 3.11 or later is needed, say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv module; on Debian: apt install python3-venv"; exit 1; }
	@echo "setup 1/3: virtual environment in .venv"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dependencies: $(ROOT)requirements.lock $(STAMPS)/venv
	@echo "setup 2/3: dependencies, each checked against its hash (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(ROOT)requirements.lock
	@touch $@

$(STAMPS)/installed: $(ROOT)pyproject.toml $(ROOT)hatch_build.py $(STAMPS)/dependencies
	@echo "setup 3/3: throughline itself, and its protos"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e $(ROOT)
	@touch $@ $(STAMPS)/protos

$(STAMPS)/protos: $(PROTOS) $(STAMPS)/installed
	@cd $(ROOT) && $(BIN)/python hatch_build.py
	@touch $@

demo: setup ## the whole story on real input, about four minutes (ARGS="--seed 3 --report FILE")
	@cd $(ROOT) && exec $(BIN)/throughline demo $(ARGS)

test: check ## format, lint, types, import contracts, then all tests (ARGS="tests/domain -k ladder")
ifdef ARGS
	@cd $(ROOT) && exec $(BIN)/python -m pytest $(ARGS)
else
	@echo "test 1/4: the core, the shells, the ports (some four minutes)"
	@cd $(ROOT) && exec $(BIN)/python -m pytest -n 2 --dist loadfile -m "not schedules" --ignore tests/system
	@echo "test 2/4: a thousand schedules of failures, under virtual time (some eight minutes)"
	@cd $(ROOT) && exec $(BIN)/python -m pytest -m schedules tests/simulation
	@echo "test 3/4: real processes and a real Kafka, hurt in every way (some eleven minutes)"
	@cd $(ROOT) && exec $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not quiet" tests/system
	@echo "test 4/4: killed at any moment, restarted, overrun, five minutes of chaos: nothing beside it (some thirteen minutes)"
	@cd $(ROOT) && exec $(BIN)/python -m pytest -m quiet tests/system
endif

check: setup ## format, lint, types, import contracts, protos
	@echo "check: ruff format"; cd $(ROOT) && $(BIN)/ruff format --quiet --check .
	@echo "check: ruff"; cd $(ROOT) && $(BIN)/ruff check --quiet .
	@echo "check: buf lint"; cd $(ROOT)protos && $(BIN)/buf lint
	@echo "check: import contracts"; cd $(ROOT) && $(BIN)/lint-imports --no-logo >$(ROOT)build/imports.txt 2>&1 || { cat $(ROOT)build/imports.txt; exit 1; }
	@echo "check: mypy --strict"; cd $(ROOT) && $(BIN)/mypy --no-error-summary

bench: setup ## what policies cost, then all beside the floor, in one run; ends with RATIOS
	@cd $(ROOT) && $(BIN)/python -m bench.policy && exec $(BIN)/python -m bench $(ARGS)

mutants: setup ## how many schedules each known mistake takes to be found (ARGS="NAME ... --within 1000")
	@cd $(ROOT) && exec $(BIN)/python -m tests.simulation.bugs $(ARGS)

fuzz: setup ## generated bundles, corrupt ones too, in processes with limits; goes on where it was (COUNT=100000 SEED=1)
	@cd $(ROOT) && exec $(BIN)/python -m tests.fuzz --count $(COUNT) --seed $(SEED) $(ARGS)

failures: setup ## what failures cost callers, measured, written into docs/failure-modes.md
	@cd $(ROOT) && rm -f build/failure-modes.json
	@cd $(ROOT) && FAULTS_LAST=4 $(BIN)/python -m pytest -s tests/system/faults tests/system/test_three_brokers.py $(ARGS)
	@cd $(ROOT) && $(BIN)/python -m tests.system.faults.paper

simulate-long: setup ## a hundred thousand schedules of failures, virtual time; goes on where it was (ARGS="--schedules N")
	@cd $(ROOT) && exec $(BIN)/throughline simulate --schedules 100000 --seed 1000000 --keep build/simulate-long.jsonl --record $(ARGS)

chaos: setup ## hurt everything by a seeded schedule, three witnesses judge (MINUTES=5 SEED=1 RATE=20 KAFKA_GONE=60)
	@cd $(ROOT) && exec $(BIN)/python -m chaos run --minutes $(MINUTES) --seed $(SEED) --rate $(RATE) --kafka-gone $(KAFKA_GONE) $(ARGS)

soak: setup ## the same load without faults: memory, descriptors, tasks, spool (HOURS=1)
	@cd $(ROOT) && exec $(BIN)/python -m chaos soak --hours $(HOURS) --rate $(RATE) $(ARGS)

papers: setup ## docs/configuration.md, docs/metrics.md and the diagram, from the code
	@cd $(ROOT) && $(BIN)/python -m services.launch.papers

lock: $(STAMPS)/dependencies ## requirements.lock anew, by hash and without addresses
	@$(BIN)/python -m pip install --quiet uv
	@cd $(ROOT) && $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --all-extras --python-version 3.11 pyproject.toml -o requirements.lock

clean: ## all that make made
	rm -rf $(VENV) $(ROOT)build $(ROOT).mypy_cache $(ROOT).ruff_cache $(ROOT).pytest_cache $(ROOT).hypothesis
