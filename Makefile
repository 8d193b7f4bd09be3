# Every target bootstraps .venv itself, with the uv that it installs there: half the seconds of pip
# and a fifth of its work. Versions are those of constraints.txt, which `make upgrade` alone rewrites.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
# DeepSpeed is a source package; its compiled ops are not needed to install it.
export DS_BUILD_OPS := 0
comma := ,

# uv compiles no modules: what is imported is compiled at its first import, a fourth of all that is
# installed. Processes that start together, as those of the suite and of the quickstart do, would
# each compile it (25 s), and do so every time where PYTHONDONTWRITEBYTECODE is set.
LATE := numba, torch._dynamo, transformers.models.qwen2.modeling_qwen2, vector_quantize_pytorch
COMPILE := DS_ACCELERATOR=cpu $(BIN)/python -c 'import deepspeed, gsv2.quickstart.pipeline, $(LATE)'
unexport PYTHONDONTWRITEBYTECODE

# INSTALL EXTRAS: pip is for machines whose index uv does not find: it reads no pip.conf.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(1)]' || \
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[$(1)]'

# UPGRADE_VENV is a second environment, so that a failed upgrade changes nothing.
UPGRADE_VENV := .venv-upgrade
UPGRADE_LOCK := $(UPGRADE_VENV)/constraints.txt

# A file's tests stay together: they share what their fixtures have trained. tests/conftest.py puts
# the longest files first. There is one worker more than cores, up to eight: a sixth of the time the
# suite waits for signals, launchers and time limits.
CORES = import os; print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
WORKERS = -n $$(($$($(PYTHON) -c '$(CORES)') + 1)) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: help setup quickstart test test-long test-slow lint format docs bench upgrade clean

help:
	@echo "make setup       make .venv and install gsv2 with its demo and dev extras"
	@echo "make quickstart  corpus -> shards -> quantizer, GPT, VITS2 -> bundle -> speech -> report"
	@echo "make test        the default test suite on all cores (minutes); make test-long whole"
	@echo "                 programs and what README and docs show; make test-slow the rest"
	@echo "make lint        ruff, import-linter, mypy; make format rewrites the files"
	@echo "make docs        rewrite docs/config.md from the config dataclasses"
	@echo "make bench       every speed claim, measured here -> runs/bench/table.md"
	@echo "make upgrade     resolve all versions anew, run lint, tests and quickstart on them, and"
	@echo "                 only then rewrite constraints.txt"

setup: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and f"gsv2 needs Python 3.11 or newer, but {sys.executable} is {v[0]}.{v[1]}; run: make PYTHON=python3.11 ...")'
	@echo "installing into $(VENV): about 6 GB, one to three minutes on a good line"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(call INSTALL,demo$(comma)dev)
	@$(COMPILE)
	@touch $@

quickstart: $(STAMP)
	$(BIN)/gsv2 quickstart --out runs/quickstart

test: $(STAMP)
	$(BIN)/python -m pytest $(WORKERS)

test-long: $(STAMP)
	$(BIN)/python -m pytest -m 'long and not slow' $(WORKERS)

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

docs: $(STAMP)
	$(BIN)/python docs/make_config.py

$(BENCH_STAMP): $(STAMP)
	@$(call INSTALL,bench)
	@touch $@

bench: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

# The lock is replaced at the very end of one chain, in one piece: whatever fails before, or is
# interrupted, leaves it as it was, under `make --ignore-errors` too. The environment is made anew
# from the candidate alone; linters, suite and quickstart run in it through this same file, which
# must not take it for out of date and install the old lock there.
IN_UPGRADE = MAKEFLAGS= $(MAKE) --assume-old=$(UPGRADE_VENV)/.installed VENV=$(UPGRADE_VENV)

upgrade: $(STAMP)
	rm -rf $(UPGRADE_VENV) runs/upgrade
	$(BIN)/uv venv --quiet --seed --python $(BIN)/python $(UPGRADE_VENV) && \
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header \
		--no-annotate --upgrade pyproject.toml --output-file $(UPGRADE_LOCK) && \
	$(BIN)/uv pip install --quiet --python $(UPGRADE_VENV)/bin/python -c $(UPGRADE_LOCK) \
		-e '.[demo,dev,bench]' && \
	touch $(UPGRADE_VENV)/.installed && \
	$(IN_UPGRADE) lint && \
	$(IN_UPGRADE) test && \
	$(IN_UPGRADE) test-long && \
	$(UPGRADE_VENV)/bin/gsv2 quickstart --out runs/upgrade && \
	cp $(UPGRADE_LOCK) constraints.txt.new && mv constraints.txt.new constraints.txt

clean:
	rm -rf $(VENV) $(UPGRADE_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache gsv2.egg-info
