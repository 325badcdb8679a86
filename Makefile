# On a fresh machine (Python 3.11+, pip, git, make) `make verify` and `make test` are all it takes.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
WORKERS ?= 2
VERIFY_ARGS ?=
BENCH_ARGS ?=
MUTATION_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
REPORT := verify-report

# A stamp is touched as the last step of an installation, so one that failed or was
# interrupted leaves none and is taken up again by the next command.
READY := $(VENV)/.ready
ADAPTERS_READY := $(VENV)/.ready-adapters
LINT_READY := $(VENV)/.ready-lint
DOCS_READY := $(VENV)/.ready-docs
MUTATION_READY := $(VENV)/.ready-mutation

PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --constraint constraints.txt
# Of pip's output, the lines that show that it moves; errors go to stderr and always show.
PROGRESS := { grep --line-buffered -E '^ *(Downloading .*\(|Installing collected)' | cut -c 1-110 || true; }

.PHONY: help verify test lint coverage nightly mutation proof gpu bench bench-peers goldens docs clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 22

verify: $(READY) ## Check every law over drawn scenes and real photographs; write verify-report/index.html.
	@$(BIN)/segpaste verify --html $(REPORT) --json $(REPORT)/report.json $(VERIFY_ARGS)

test: $(ADAPTERS_READY) ## Run the tests (100 examples per property, the same ones every time).
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(LINT_READY) ## Style, types, import arrows, spelling.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/python scripts/spell_public_names.py

coverage: $(ADAPTERS_READY) ## Branch coverage of paste, invariants and strategies; fails below 95 %.
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=
	@low=""; for part in segpaste/paste invariants strategies; do \
		echo; echo "$$part:"; \
		$(BIN)/coverage report --include="$$part/*" --fail-under=95 || low="$$low $$part"; \
	done; test -z "$$low" || { echo "below 95 %:$$low" >&2; exit 1; }

nightly: $(ADAPTERS_READY) ## Everything, with 2,000 random examples per property. Takes hours.
	@SEGPASTE_PROFILE=nightly $(BIN)/python -m pytest -n $(WORKERS) -m "not gpu"

mutation: $(MUTATION_READY) ## Mutate the paste and the laws and count what the tests notice; takes hours, goes on where it stopped.
	@$(BIN)/python scripts/mutation.py $(MUTATION_ARGS)

proof: $(READY) ## Judge every fault of the zoo anew and write docs/proof.md; takes a quarter of an hour.
	@$(BIN)/python scripts/generate_proof_page.py --measure

# Such machines bring torch and have no network: nothing is installed, PYTHON is taken as it is.
gpu: ## Tests and bench on CUDA, in the Python that PYTHON names; no virtual environment, no network.
	@unset TRITON_INTERPRET && export PYTHONPATH=".$${PYTHONPATH:+:$$PYTHONPATH}" && \
		SEGPASTE_PROFILE=gpu $(PYTHON) -m pytest -p no:xdist -m gpu tests/gpu && \
		$(PYTHON) scripts/bench.py --device cuda $(BENCH_ARGS)

bench: $(READY) ## Measure speed against memcpy and, where installed, other libraries; BENCH_ARGS=--quick.
	@$(BIN)/python scripts/bench.py $(BENCH_ARGS)

bench-peers: $(READY) ## Install the other libraries that bench compares with, into .bench-peers.
	@$(BIN)/python scripts/bench_peers/install.py

goldens: $(READY) ## Check the 200 frozen seeds against the reference executor; writes nothing.
	@$(BIN)/python scripts/regenerate_goldens.py --check

docs: $(DOCS_READY) ## Build the documentation into site/.
	@$(BIN)/python scripts/generate_laws_page.py --check
	@$(BIN)/python scripts/generate_proof_page.py --check
	@$(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html"

clean: ## Remove the virtual environment and everything that was built.
	rm -rf $(VENV) .bench-peers .mutation bench-report build dist site $(REPORT) parity-report goldens-report *.egg-info .coverage .coverage.* htmlcov \
		.hypothesis .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt segpaste/version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON: got $$($(PYTHON) --version 2>&1), expected 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV), once (on Linux torch brings CUDA: about 3 GB to download, 6 GB on disk)"
	@$(PIP_INSTALL) --editable '.[demo,test]' | $(PROGRESS)
	@touch $@

# The other libraries whose augmentations the tests and the examples of the docs judge, and the
# engines of banks.
$(ADAPTERS_READY): $(READY)
	@$(PIP_INSTALL) --editable '.[demo,test,bank,hf,lightning,adapters]' | $(PROGRESS)
	@# Over opencv-python, which some of them ask for: the same without windows, and without libGL.
	@$(PIP_INSTALL) --no-deps --force-reinstall opencv-python-headless | $(PROGRESS)
	@touch $@

$(LINT_READY): $(ADAPTERS_READY)
	@$(PIP_INSTALL) --editable '.[demo,test,bank,hf,lightning,adapters,lint]' | $(PROGRESS)
	@touch $@

$(DOCS_READY): $(READY)
	@$(PIP_INSTALL) --editable '.[demo,test,docs]' | $(PROGRESS)
	@touch $@

$(MUTATION_READY): $(READY)
	@$(PIP_INSTALL) --editable '.[demo,test,mutation]' | $(PROGRESS)
	@touch $@
