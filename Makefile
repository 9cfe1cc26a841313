# `make demo` and `make test` need only Python 3.10 to 3.14. `make help` lists all targets.

PYTHON ?= python3
comma := ,
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := .cache/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --upgrade \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

# The tests that `make quick` leaves out: each of these files takes more than 4 s. A new file is quick until it stands here.
SLOW := \
  tests/client/test_bounds.py \
  tests/client/test_rate_limit_headers.py \
  tests/client/test_rate_limit_redis.py \
  tests/client/test_rate_limit_sqlite.py \
  tests/doctor/test_doctor.py \
  tests/facts/test_redaction.py \
  tests/packaging/test_demo_comparison.py \
  tests/packaging/test_distribution.py \
  tests/process/test_exit_codes.py \
  tests/process/test_logs.py \
  tests/reading/test_keyset.py \
  tests/reading/test_prefetch.py \
  tests/sandbox/test_sandbox_lifecycle.py \
  tests/secrets/test_secrets.py \
  tests/simulation/test_ledger_simulation.py \
  tests/simulation/test_simulation.py \
  tests/sync/test_screen.py \
  tests/sync/test_states.py \
  tests/sync/test_sync.py \
  tests/sync/test_sync_kill.py \
  tests/sync/test_warehouse.py \
  tests/tap/test_any_server.py \
  tests/tap/test_bad_input.py \
  tests/tap/test_cases_reading.py \
  tests/tap/test_catalog_columns.py \
  tests/tap/test_catalog_form.py \
  tests/tap/test_column_names.py \
  tests/tap/test_invalid_values.py \
  tests/tap/test_kill.py \
  tests/tap/test_malformed_inputs.py \
  tests/tap/test_odd_values.py \
  tests/tap/test_progress.py \
  tests/tap/test_records.py \
  tests/tap/test_request_counts.py \
  tests/tap/test_run_summary.py \
  tests/tap/test_selection.py \
  tests/tap/test_snapshots.py \
  tests/tap/test_standard.py \
  tests/tap/test_state.py \
  tests/tap/test_stream_maps.py \
  tests/tap/test_tap_prefetch.py \
  tests/tap/test_two_signals.py \
  tests/tap/test_unwritten_rows.py \
  tests/target/test_any_records.py \
  tests/target/test_any_server_writes.py \
  tests/target/test_cancellations.py \
  tests/target/test_cases_writing.py \
  tests/target/test_columns.py \
  tests/target/test_confirmation.py \
  tests/target/test_faults.py \
  tests/target/test_feed_file.py \
  tests/target/test_feed_ftp.py \
  tests/target/test_feed_s3.py \
  tests/target/test_feed_sftp.py \
  tests/target/test_freedoms.py \
  tests/target/test_guarantees.py \
  tests/target/test_ledger_runs.py \
  tests/target/test_once.py \
  tests/target/test_shipments.py \
  tests/target/test_stock_levels.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-services quick coverage soak mutations lint format types schemas generate build check audit ci lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Load a sandbox into a warehouse, twice, and compare every count.
	@$(BIN)/jetti demo

test: $(VENV)/.dev ## Run all tests.
	$(BIN)/python -m pytest

test-services: $(VENV)/.dev .cache/target-postgres/.done .cache/duckdb-2/.done ## Load PostgreSQL and DuckDB, and compare every value (2 minutes).
	JETTI_TEST_TARGET_POSTGRES=$(CURDIR)/.cache/target-postgres/bin/target-postgres $(BIN)/python -m pytest tests/services
	PYTHONPATH=$$(echo $(CURDIR)/.cache/duckdb-2/lib/python*/site-packages) $(BIN)/python -m pytest tests/sync/test_warehouse.py

quick: $(VENV)/.dev ## Run the tests that take less than 30 s in all.
	$(BIN)/python -m pytest $(addprefix --ignore=,$(SLOW))

soak: $(VENV)/.dev ## Play random schedules against a model of Jetti: make soak SEEDS=first:count KIND=mixed.
	$(BIN)/python tests/simulation/schedules.py $(or $(KIND),all) --seeds $(or $(SEEDS),0:1000)

mutations: $(VENV)/.dev ## Apply known bugs one at a time, and show which tests notice (20 minutes); BUGS=name,name for some.
	$(BIN)/python tests/simulation/mutations.py $(subst $(comma), ,$(BUGS))

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

format: $(VENV)/.dev ## Format the code and fix what can be fixed.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev ## Check the types.
	$(BIN)/mypy

schemas: $(VENV)/.dev ## Check meltano.yml, the workflows and templates, and the schemas of the streams.
	$(BIN)/check-jsonschema --builtin-schema vendor.meltano meltano.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --check-metaschema schemas/*.json

generate: $(VENV)/.dev ## Write the generated parts of README.md, meltano.yml and the golden catalog.
	$(BIN)/python docs/generate.py

build: $(VENV)/.dev ## Build the sdist, and the wheel from the sdist, into dist/.
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

check: lint types schemas ## Run all checks except the tests.

audit: ## Look for known vulnerabilities of the locked packages, and for secrets in the repository.
	PYTHON=$(PYTHON) .ci/audit

ci: ## Run everything that a change must pass.
	.ci/run

lock: ## Lock the newest versions of all dependencies in requirements/.
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)
	$(COMPILE) --all-extras --group test --group lint --group build --group demo --output-file .cache/lock/all.txt
	$(COMPILE) --all-extras --constraints .cache/lock/all.txt --output-file requirements/runtime.txt
	$(COMPILE) --all-extras --group test --group lint --group build --constraints .cache/lock/all.txt --output-file requirements/dev.txt
	$(COMPILE) --extra sandbox --group demo --constraints .cache/lock/all.txt --output-file requirements/demo.txt
	$(subst pyproject.toml,requirements/target-postgres.in,$(COMPILE)) --output-file requirements/target-postgres.txt
	$(subst pyproject.toml,requirements/duckdb-2.in,$(COMPILE)) --output-file requirements/duckdb-2.txt
	$(subst pyproject.toml,requirements/audit.in,$(COMPILE)) --output-file requirements/audit.txt

clean: ## Remove everything that was built.
	rm -rf $(VENV) .cache build dist output .meltano .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 14) else \
	"tap-jetti needs Python 3.10 to 3.14, $(PYTHON) is %d.%d. Choose another one: make PYTHON=python3.13" % v)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# All locks have the same versions, so one environment can hold several of them.
$(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	@echo "Installing $(<) into $(VENV); this takes up to a minute"
	@$(PIP) install --require-hashes --requirement $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What has an environment of its own: a loader, which needs other versions than the tap, and the newest DuckDB.
.cache/%/.done: requirements/%.txt
	@echo "Installing $(<) into .cache/$*"
	@$(PYTHON) -m venv .cache/$*
	@.cache/$*/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

.PHONY: bench
bench: ## Measure the tap beside other readers (up to an hour); BENCH=--help lists the options.
	$(PYTHON) benchmarks/run.py $(BENCH)
