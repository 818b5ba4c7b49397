# What a developer types. `make` alone tells.
PYTHON ?= python3
ENGINE ?= podman
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-database test test-thorough crash crash-shared plans interrupt check format lock bench bench-image build image clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(BIN)/.installed ## make .venv with everything in it, as pinned

# One application fails on purpose, so that the first command is to end with 1, which says that a step failed. Had
# another one failed, the second would lack its results, and fail.
demo: setup ## scan the SQL of eight applications for lineage at once, merge it, back it up
	@$(BIN)/tasker once --log-format console conf.d/lineage.conf; test $$? -eq 1
	@$(BIN)/tasker once --log-format console conf.d/lineage-all.conf

demo-database: setup ## scan LedgerSMB's database; needs Debian's packages, and root the first time
	@tests/support/install_postgres.sh
	@PYTHONPATH=tests $(BIN)/python -m support.ledgersmb

# Where bytecode is not kept, each of a thousand processes would compile all that it imports.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup ## run every test
	@tests/support/install_postgres.sh
	@PYTHONPATH=tests $(BIN)/python -m support.helm
	@$(BIN)/pytest --numprocesses=4 --dist=worksteal $(ARGS)

test-thorough: export THOROUGH := 1
test-thorough: test ## run every test, and try four times as much where there is no end to it

crash: setup ## kill the daemon again and again: SECONDS=600, SEED=7
	@PYTHONPATH=tests $(BIN)/python -m support.crashing $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

plans: setup ## carry out random plans, break them off and resume them: COUNT=100000 SEED=7
	@PYTHONPATH=tests $(BIN)/python -m support.trying $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	@PYTHONPATH=tests $(BIN)/python -m support.resuming $(if $(SEED),--seed $(SEED))

interrupt: setup ## kill a run of twenty applications and resume it, again and again: KILLS=100 SEED=7
	@PYTHONPATH=tests $(BIN)/python -m support.applications $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

crash-shared: setup ## have two daemons share a PostgreSQL, and kill one: SECONDS=60, PIPELINES=200, SEED=7
	@tests/support/install_postgres.sh
	@PYTHONPATH=tests $(BIN)/python -m support.sharing $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(PIPELINES),--pipelines $(PIPELINES)) $(if $(SEED),--seed $(SEED))

check: setup ## lint, formatting, types and import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile

format: setup ## format the code and mend what ruff can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

# The image gets the versions that the tests ran with, of each extra that a task may need.
EXTRAS := database lineage notify objectstore postgres sftp transform zstd
COMPILE = $(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --no-header --strip-extras \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: setup ## pin the newest dependencies that fit, with their hashes
	@$(COMPILE) --upgrade --all-extras --output-file=requirements/dev.txt pyproject.toml
	@$(COMPILE) --constraint=requirements/dev.txt --no-annotate $(EXTRAS:%=--extra=%) \
	  --output-file=requirements/image.txt pyproject.toml
	@$(COMPILE) --constraint=requirements/dev.txt --no-annotate \
	  --output-file=requirements/build.txt requirements/build.in

bench: setup ## measure; one table of ratios (SCALE=5000: as many runs a minute, for five)
	@$(BIN)/python -m benchmarks $(SCALE)

bench-image: setup ## measure the container image: size, start, memory
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.image

image: ## build the container image tasker: EXTRAS="lineage transform", ENGINE=docker, ARGS=--build-arg=BASE=…
	@$(ENGINE) build $(if $(findstring podman,$(ENGINE)),--format=docker) --build-arg=EXTRAS="$(EXTRAS)" \
	  --build-arg=VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --build-arg=REVISION="$$(git describe --always --dirty --abbrev=40)" --tag=tasker $(ARGS) .

build: setup ## make the wheel and the source archive in dist/
	@$(BIN)/python -m build --no-isolation

clean: ## remove what the other targets made
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is newer than what it was made from; that is all that makes the second time quick.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'tasker needs Python 3.11 or newer; name one: make setup PYTHON=python3.13' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo 'this Python cannot make a venv; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(BIN)/.pinned: requirements/dev.txt | $(BIN)/pip
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

$(BIN)/.installed: pyproject.toml $(BIN)/.pinned
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
