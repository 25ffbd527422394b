# make run: set up once, then train and report the default suite. Needs Python 3.11, make and git.

PYTHON ?= python3
CORES ?= all
WORKERS ?= logical
MINUTES ?= 9
SUITE ?= workflow/suites/cartpole.yaml
VENV := .venv
STAMP := $(VENV)/.installed

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test quick gpu test-slurm test-faults lint format docs install clean
.DELETE_ON_ERROR:

run: $(STAMP)
	snakemake --cores $(CORES) --configfile $(SUITE)

# Test files are shared out among the cores, at most eight at a time. One thread each: numbers depend on it.
PYTEST := OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile \
  --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST)

# Without trainings and processes: under a minute.
quick: $(STAMP)
	$(PYTEST) -m "not whole and not probes"

# On a machine with a GPU. The same command goes on with what did not fit into the minutes.
gpu: $(STAMP)
	rlparity dev gpu --minutes $(MINUTES)

# As root, on Linux: disks are mounted, and filled.
test-faults: $(STAMP)
	python tests/trials/faults.py

# As root, on Debian with the packages slurm-wlm, slurm-client and munge.
test-slurm: $(STAMP)
	python tests/trials/slurm.py

lint: $(STAMP)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check .
	snakemake --lint

format: $(STAMP)
	ruff check --fix .
	ruff format .
	snakefmt .

# The documentation as a site, build/docs/index.html; a broken link or a block that is not current fails.
docs: $(VENV)/.docs
	python docs/generate.py --check
	python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs build/docs
	@echo "build/docs/index.html"

$(VENV)/.docs: $(STAMP) requirements-docs.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c requirements.lock -r requirements-docs.lock
	touch $@

install: $(STAMP)
	@echo "ready: . $(VENV)/bin/activate, then snakemake --cores all"

clean:
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || { echo "rlparity: $(PYTHON) is not Python 3.11; name one that is: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "rlparity: $(PYTHON) lacks venv or ensurepip; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
