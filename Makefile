# Every target bootstraps .venv itself: with uv where it is installed, else with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
# DeepSpeed is a source package; its compiled ops are not needed to install it.
export DS_BUILD_OPS := 0

.PHONY: help setup quickstart test test-slow lint format bench clean

help:
	@echo "make setup       make .venv and install gsv2 with its demo and dev extras"
	@echo "make quickstart  corpus -> shards -> quantizer, GPT, VITS2 -> bundle -> speech -> report"
	@echo "make test        the default test suite (minutes); make test-slow the rest"
	@echo "make lint        ruff, import-linter, mypy; make format rewrites the files"
	@echo "make bench       every speed claim, measured here -> runs/bench/table.md"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and f"gsv2 needs Python 3.11 or newer, but {sys.executable} is {v[0]}.{v[1]}; run: make PYTHON=python3.11 ...")'
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -e '.[demo,dev]'; \
	else \
		echo "installing into $(VENV): about 5 GB, two minutes on a good line" && \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,dev]'; \
	fi
	@touch $@

quickstart: $(STAMP)
	$(BIN)/gsv2 quickstart --out runs/quickstart

test: $(STAMP)
	$(BIN)/python -m pytest

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCH_STAMP): $(STAMP)
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python -e '.[bench]'; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'; \
	fi
	@touch $@

bench: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache gsv2.egg-info
