PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
RECIPES := harness/environments/recipes.toml

# The one torch pin, which the framework environments use too.
TORCH := $(shell sed -n 's/^torch = "\(.*\)"$$/torch==\1/p' $(RECIPES) | head -n 1)

# A local folder of wheels that pip knows of, uv shall know of too; without one, uv picks the torch build for this
# machine's accelerator by itself.
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifneq ($(strip $(UV_FIND_LINKS)),)
export UV_FIND_LINKS
else
BACKEND := --torch-backend=auto
endif

# A Python that has torch, for `make gpu-check` with the wheels that `make gpu-wheels` has made.
GPU_PYTHON ?= $(PYTHON)
GPU_WHEELS := $(wildcard .gpu/wheels)

.PHONY: help setup run test test-all test-fast clean-cells fuzz kills matrices check bench pictures gpu-check gpu-wheels clean

help:
	@echo "make setup      the development environment in $(VENV)"
	@echo "make run        every framework on the catalogue, and two releases with known bugs"
	@echo "make test       one proof of each kind, with real frameworks"
	@echo "make test-all   every test, and the clean cells"
	@echo "make test-fast  tests that need no framework environment"
	@echo "make clean-cells  a thousand cells that are right, over 20 seeds: is one found wrong?"
	@echo "make fuzz       look for inputs that nobody thought of, for MINUTES=10"
	@echo "make kills      a hundred kills of commands at random points: is anything left, or lost?"
	@echo "make matrices   the standard matrices anew, as the newest frameworks can express them"
	@echo "make check      linter, formatter, types, import contracts"
	@echo "make bench      how long the parts take"
	@echo "make pictures   those of the docs, from the pages of a run: make pictures RUN=DIR [VALIDATION=DIR]"
	@echo "make gpu-check  what a CUDA machine can show in 8 minutes: docs/gpu.md; all of it in .runs/gpu"
	@echo "make gpu-wheels  what gpu-check takes to a machine without a package index, in .gpu/wheels"
	@echo "make clean      remove caches, runs and environments"

setup: $(STAMP)

$(STAMP): pyproject.toml Makefile $(RECIPES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(BACKEND) $(TORCH) --editable '.[dev]'
	touch $@

# Divergence between releases is what this run is there to find: status 1 is its expected end.
run: setup
	@$(BIN)/lockstep run --scenario '*' --matrix smoke --also deepspeed==0.18.9 --also openrlhf==0.9.10; status=$$?; \
	case $$status in \
	0) echo "lockstep: exit status 0: every cell passes, or fails as it is accepted to" ;; \
	1) echo "lockstep: exit status 1: a divergence was found; deepspeed 0.18.9 and openrlhf 0.9.10 are here to show some" ;; \
	2) echo "lockstep: exit status 2: wrong usage; this Makefile and the command line do not fit each other"; exit 2 ;; \
	3) echo "lockstep: exit status 3: a cell could not be judged; see its reason above"; exit 3 ;; \
	*) echo "lockstep: exit status $$status: the harness itself failed"; exit $$status ;; \
	esac

# Real frameworks one after another: each run of them uses every core by itself.
test: setup
	$(BIN)/python -m pytest --numprocesses auto --durations 25 -m "not frameworks and not exhaustive"
	$(BIN)/python -m pytest --durations 60 -m "frameworks and not exhaustive"

test-all: setup
	$(BIN)/python -m pytest --numprocesses auto -m "not frameworks"
	$(BIN)/python -m pytest -m frameworks
	$(MAKE) clean-cells

test-fast: setup
	$(BIN)/python -m pytest --numprocesses auto -m "not frameworks and not slow"

# An hour of two cores; with SEEDS=4 a fifth of it. What is there from an earlier time is not run again.
clean-cells: setup
	$(BIN)/python -m tests.clean --seeds $(or $(SEEDS),20)

# Every test with the mark fuzz, again and again with other examples, until the time is over or one fails.
fuzz: setup
	$(BIN)/python -m tests.fuzzing --minutes $(or $(MINUTES),10)

# An hour; with KILLS=20 a fifth of it.
kills: setup
	$(BIN)/python -m tests.kills --kills $(or $(KILLS),100) $(if $(SEED),--seed $(SEED))

# Which scenarios hold every pair of values, by asking each newest framework what it can express: some minutes.
matrices: setup
	$(BIN)/python -m harness.matrices

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m harness.bench

pictures: setup
	$(BIN)/python -m tests.pictures $(RUN) $(if $(VALIDATION),--validation $(VALIDATION))

# One rank a device, two at most, by torchrun; then a training of 1.3 billion parameters on all devices, which is recorded.
# With wheels that were carried here nothing is fetched and nothing is installed beside them.
gpu-check: $(if $(GPU_WHEELS),,setup)
	@$(if $(GPU_WHEELS),$(GPU_PYTHON),$(BIN)/python) harness/gpucheck/start.py $(if $(MINUTES),--minutes $(MINUTES))

# Where there is a package index: what gpu-check takes to a machine without one. A single Python makes it smaller.
gpu-wheels: setup
	$(BIN)/python -m harness.gpucheck.wheels $(foreach version,$(GPU_PYTHONS),--python $(version)) $(if $(LARGE),--large)

clean:
	rm -rf $(VENV) .envs .runs .gpu .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
