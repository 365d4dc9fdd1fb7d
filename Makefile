# `make setup`, `make demo` and `make test` need only Python 3.11, a C++ compiler and the Python registry.
VENV ?= .venv
PYTHON ?= python3
# cpu or cuda: what mmcv's operators are compiled for; empty: what the machine has.
OPERATORS ?=
export OPERATORS
# Operators for the CPU only cannot run on a GPU that torch sees.
RUN = $(if $(filter cpu,$(OPERATORS)),CUDA_VISIBLE_DEVICES= )$(VENV)/bin/python
# Two processes with one thread each.
PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile

.PHONY: help setup demo test coverage lint format docs clean

help:  ## show these targets (default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo "  variables: VENV=folder ($(VENV)), PYTHON=program ($(PYTHON)), OPERATORS=cpu|cuda ($(OPERATORS))"

setup:  ## create or update the environment in VENV (5 to 15 minutes the first time, then a second)
	@$(PYTHON) tools/setup_env.py "$(VENV)"

demo: setup  ## train, evaluate and draw a small detector on generated images
	$(RUN) tools/demo.py

test: setup  ## run the tests, in two processes with one thread each
	$(PYTEST)

coverage: setup  ## run the tests and print the lines of eca_mmdet that they do not reach
	$(PYTEST) --cov

lint: setup  ## check style, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup  ## fix style and format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: setup  ## build the documentation in build/docs
	$(VENV)/bin/python -m pip install --quiet -r requirements/docs.txt -c requirements/build.txt \
		-c requirements/runtime.txt -c requirements/tests.txt -c requirements/lint.txt
	$(VENV)/bin/python -m mkdocs build --strict --site-dir build/docs

clean:  ## remove caches and what was built, compiled operators included (not VENV)
	rm -rf build dist eca_mmdet.egg-info .coverage .pytest_cache .ruff_cache .mypy_cache
	find eca_mmdet tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
