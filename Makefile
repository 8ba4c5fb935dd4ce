# Every target sets up what it needs, from nothing but Python ≥ 3.11, make and pip.

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
ARGS ?=
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench year soak services lock clean

help: ## show this list
	@echo "Forestall: make <target> [ARGS=…] [PYTHON=/path/to/python]"
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## create .venv with the locked dependencies

demo: $(RUNTIME) ## replay real meters over MQTT and watch the tickets open (ARGS="--once --json" ends by itself)
	@$(BIN)/forestall demo $(ARGS)

test: $(DEV) ## run the tests, two at a time; what needs a service that is not there is left out, and said so
	@$(BIN)/python -m pytest -n $${FORESTALL_JOBS:-2} --dist loadfile $(ARGS)

check: $(DEV) ## lint, format, types and the laws of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(DEV) ## measure and compare (ARGS=detection: beside PyOD and river, which it fetches; writes docs/detection-bench.md)
	@$(BIN)/python -m benchmarks $(ARGS)

year: $(DEV) ## simulate a year of operation and hold the report to what was done (ARGS="--store postgresql://…")
	@$(BIN)/python -m benchmarks.year $(ARGS)

soak: $(DEV) ## kill everything at random moments, 20 rounds (FORESTALL_ROUNDS=n)
	@FORESTALL_ROUNDS=$${FORESTALL_ROUNDS:-20} FORESTALL_AWAY_S=$${FORESTALL_AWAY_S:-60} $(BIN)/python -m pytest -m soak tests $(ARGS)

services: ## fetch the real servers for tests: Mosquitto, PostgreSQL, VictoriaMetrics, Chromium, Kafka, InfluxDB
	@bash scripts/services.sh

lock: $(DEV) ## resolve the dependencies anew into requirements*.txt (ARGS=--upgrade for newer ones)
	@bash scripts/lock.sh $(ARGS)

clean: ## remove .venv and caches (fetched servers stay in .services)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

$(RUNTIME): pyproject.toml requirements.txt scripts/setup.sh
	@sh scripts/setup.sh runtime

$(DEV): pyproject.toml requirements-dev.txt scripts/setup.sh
	@sh scripts/setup.sh dev
