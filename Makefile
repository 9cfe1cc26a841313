# `make demo` and `make test` need Python 3.10 to 3.14 and nothing else. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := .cache/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --upgrade \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test quick coverage lint format types schemas build check ci lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Read a sandbox into a warehouse, twice, and compare every count.
	@$(BIN)/jetti demo

test: $(VENV)/.dev ## Run all tests.
	$(BIN)/python -m pytest

coverage: $(VENV)/.dev ## Run all tests and measure the lines and branches that they run.
	rm -rf .cache/coverage
	mkdir -p .cache/coverage
	$(BIN)/coverage run -m pytest
	@# A command that a test kills leaves an empty file.
	find .cache/coverage -name 'data.*' -size 0 -delete
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.dev ## Check the style and the spelling.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/typos

format: $(VENV)/.dev ## Bring the code into its style.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev ## Check the types.
	$(BIN)/mypy

schemas: $(VENV)/.dev ## Check meltano.yml, the workflows and the streams' schemas.
	$(BIN)/check-jsonschema --builtin-schema vendor.meltano meltano.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --check-metaschema schemas/*.json

build: $(VENV)/.dev ## Build sdist and wheel into dist/, the wheel from the sdist.
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

check: lint types schemas ## All checks that run nothing.

ci: ## All that a change must pass.
	.ci/run

lock: ## Choose the newest versions anew and write them to requirements/.
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)
	$(COMPILE) --all-extras --group test --group lint --group build --group demo --output-file .cache/lock/all.txt
	$(COMPILE) --all-extras --constraints .cache/lock/all.txt --output-file requirements/runtime.txt
	$(COMPILE) --all-extras --group test --group lint --group build --constraints .cache/lock/all.txt --output-file requirements/dev.txt
	$(COMPILE) --extra sandbox --group demo --constraints .cache/lock/all.txt --output-file requirements/demo.txt

clean: ## Remove all that was built.
	rm -rf $(VENV) .cache build dist output .meltano .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 14) else \
	"tap-jetti needs Python 3.10 to 3.14, $(PYTHON) is %d.%d. Choose another one: make PYTHON=python3.13" % v)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Every lock chooses the same versions: the environment can hold several of them.
$(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	@echo "Installing $(<) into $(VENV), within a minute"
	@$(PIP) install --require-hashes --requirement $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: bench
bench: ## Measure the tap beside other readers, within an hour, and write benchmarks/results.*; see its --help.
	$(PYTHON) benchmarks/run.py $(BENCH)
