# `make` or `make help` lists what there is. Each target's line is the comment after its `##`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
IMAGE ?= coachwork:dev
# What the image is built on; today's: docker buildx imagetools inspect python:3.12-slim
BASE ?= python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
# A fresh machine has Python, git and make; which Python is new enough is looked up once, and only by `setup`.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
# What a shell says to pip and uv of other projects is not heard; where packages come from, and who is trusted, is.
PLACES := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_TRUSTED_HOST PIP_CERT PIP_PROXY PIP_CACHE_DIR \
	UV_INDEX% UV_DEFAULT_INDEX UV_FIND_LINKS UV_INSECURE_HOST UV_SYSTEM_CERTS UV_NATIVE_TLS UV_HTTP% UV_CACHE_DIR
PLAINLY := env $(addprefix -u ,VIRTUAL_ENV $(filter-out $(PLACES),$(filter PIP_% UV_% PYTHON%,$(.VARIABLES))))
# Hermetic: a cluster that the shell happens to know is not touched (tests/conftest.py sees to the other variables).
HERMETIC := env -u KUBECONFIG -u E2E_LOAD_IMAGE

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Needs: Python 3.11 or later, git, make; PyPI for the first run. 'make e2e' also: kubectl and a cluster."

.PHONY: setup
setup: $(READY) ## Make .venv with exactly the locked packages (done by the others when needed)

$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "setup: no Python 3.11 or later on PATH; install one, or say PYTHON=/path" >&2; exit 1; }
	@test -x $(BIN)/python || $(PLAINLY) "$(PYTHON)" -m venv .venv || \
		{ rm -rf .venv; echo "setup: '$(PYTHON) -m venv' failed; on Debian install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/uv || $(PLAINLY) $(BIN)/python -m pip install --quiet --no-user --prefer-binary \
		--disable-pip-version-check uv
	@echo "setup: installing the locked packages"
	@$(PLAINLY) UV_NO_CONFIG=1 $(BIN)/uv sync --locked --quiet
	@touch $@

.PHONY: demo
demo: $(READY) ## Run the train-and-serve example here, with no cluster, and ask it for a prediction
	$(BIN)/python examples/demo.py

.PHONY: format
format: $(READY) ## Rewrite the code in the project's format, with the fixes that are safe
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

.PHONY: lint
lint: $(READY) ## Check format and style
	$(BIN)/ruff format --check --quiet --diff .
	$(BIN)/ruff check .

.PHONY: types
types: $(READY) ## Check types, strictly
	$(BIN)/mypy

.PHONY: layers
layers: $(READY) ## Check that no room of the code reaches into one that it must not know
	$(BIN)/lint-imports

.PHONY: test
test: $(READY) ## Run all tests that need no cluster, and do not take long
	$(HERMETIC) $(BIN)/pytest -n auto --dist worksteal -m "not long and not cluster" $(ARGS)

.PHONY: test-long
test-long: $(READY) ## Run long tests, and those of properties with 8 times as many examples (some minutes)
	$(HERMETIC) $(BIN)/pytest -n auto --dist worksteal -m "(hypothesis or long) and not cluster" --hypothesis-profile=long --timeout 900 \
		$(ARGS)

.PHONY: check
check: lint types layers test ## Everything that needs no cluster: lint, types, layers, test

.PHONY: bench
bench: $(READY) ## Measure, side by side; the last three need KUBECONFIG and an installation of overlays/dev
	$(BIN)/python -m bench.command_line
	$(BIN)/python -m bench.view
	$(BIN)/python -m bench.git_processes
	$(BIN)/python -m bench.scrape
	$(BIN)/python -m bench.scale 1000 --local
	$(BIN)/python -m bench.stage_start
	$(BIN)/python -m bench.anatomy
	$(BIN)/python -m bench.environments

.PHONY: image
image: ## Build IMAGE (coachwork:dev), and hand it to the cluster's nodes if E2E_LOAD_IMAGE says how
	$(if $(E2E_LOAD_IMAGE),$(E2E_LOAD_IMAGE),docker build --build-arg BASE=$(BASE) --tag) $(IMAGE) .

# Contract tests come first and nothing is shuffled: the longest of all are among them.
.PHONY: e2e
e2e: $(READY) ## Run the tests that need a cluster: KUBECONFIG, and E2E_LOAD_IMAGE to build and load the image
	@test -n "$${KUBECONFIG:-}" || { echo "e2e: KUBECONFIG must name a test cluster's kubeconfig" >&2; exit 2; }
	@test -n "$(E2E_LOAD_IMAGE)" || { echo "e2e: E2E_LOAD_IMAGE must be the command that builds the image under a tag" \
		"and loads it: it is called as '\$$E2E_LOAD_IMAGE coachwork:dev .'" >&2; exit 2; }
	@command -v kubectl >/dev/null || { echo "e2e: kubectl is not on PATH" >&2; exit 2; }
	$(E2E_LOAD_IMAGE) coachwork:dev .
	$(BIN)/pytest -p no:randomly -n 4 --dist worksteal -m "cluster and not alone" tests/contract tests/e2e $(ARGS)
	$(if $(ARGS),,$(BIN)/pytest -m alone tests/e2e)
