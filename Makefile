# The commands of this house. Each makes what it needs; CONTRIBUTING.md says more.
#
#   VERBOSE=1    show all that the steps say
#   TESTS=…      what `make test` runs (a file, a directory, options of pytest)
#   PYTHON=…     the interpreter that .venv is made from

PYTHON ?= python3
TESTS ?=
WORKERS ?= 2
export PYTHON

RUN = scripts/step
BIN = .venv/bin
# Those that exist: a checkout may be young.
CHECKED = $(wildcard ledger projections adapters tests benchmarks)

.DEFAULT_GOAL := help
.PHONY: bench clean constraints demo environment format help lint packages test unit

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: ## Record a real run in this repository and show it
	@scripts/install-packages git python3-venv
	@scripts/make-environment
	@scripts/demo

test: packages lint unit ## Check everything

packages:
	@scripts/install-packages

environment: ## Make .venv, if it is not as it should be
	@scripts/make-environment

lint: environment ## Format, style, types, imports
	@$(RUN) "ruff format" $(BIN)/ruff format --check .
	@$(RUN) "ruff check" $(BIN)/ruff check .
	@$(RUN) "mypy" $(BIN)/mypy $(CHECKED)
	@$(RUN) "lint-imports" $(BIN)/lint-imports

unit: environment
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -q -n $(WORKERS) --cov --cov-report= $(TESTS)
ifeq ($(strip $(TESTS)),)
	@$(RUN) "coverage of ledger" $(BIN)/coverage report --include='ledger/*' --fail-under=95
endif

format: environment ## Put the code into its form
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: environment ## Measure what we claim about speed
	@for program in benchmarks/*.py; do echo "$$program"; $(BIN)/python "$$program" || exit; done

constraints: ## Pin the newest versions of everything
	@rm -rf build/newest
	@$(PYTHON) -m venv build/newest
	@build/newest/bin/python -m pip install -qq '.[dev]'
	@sed -n '/^#/p' constraints.txt > build/constraints.txt
	@build/newest/bin/python -m pip freeze --exclude gesta >> build/constraints.txt
	@mv build/constraints.txt constraints.txt
	@rm -rf build/newest

clean: ## Remove what the tools have left behind
	@rm -rf .venv .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache
	@rm -rf .ruff_cache build dist tests/node/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
