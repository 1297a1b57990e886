# Commands of qkdlib. `make` alone prints them.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
PY := $(VENV)/bin/python
QUICK := teachers baselines distillation quickstart
NOTEBOOKS := $(QUICK) own_parts audit ablations cost collapse shots_and_noise controlled_experiment claims
AUDIT_MNIST := -p dataset mnist -p train_per_class 150 -p validation_per_class 50
CODE := $(wildcard $(foreach folder,qkdlib qkdlib/* qkdlib/*/*,$(addprefix $(folder)/*.,py csv mplstyle)))
RESULTS := $(wildcard results/students/*.json results/executions/*.json results/teachers/*.npz)
DEMO := build/demo
# What requirements.lock serves. torch asks for macOS 14.
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin x86_64-pc-windows-msvc
PYTHONS := 3.11 3.12 3.13
PINS := uv pip compile --quiet --no-header --no-annotate --no-emit-index-url

# Programs find a Dask cluster by this.
ifdef SCHEDULER
export QKD_SCHEDULER := $(SCHEDULER)
endif

# Under `make -j` pages share the cores: threads that wait for each other spin, and two processes with all
# cores each are far slower than one after the other. (make shows -j in MAKEFLAGS only inside recipes.)
SHARE = $(if $(filter -j%,$(MAKEFLAGS)),QKD_THREADS=$${QKD_THREADS:-1})
RUN = $(SHARE) $(PY)

.DEFAULT_GOAL := help
.PHONY: help setup demo paper-artifacts pages teachers notebooks verify test lint lab lock lock-check wheel wheel-check benchmark benchmark-peers clean FORCE

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the locked environment into .venv (with uv if it is there, else pip)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip sync --compile-bytecode requirements.lock; \
	else $(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock; fi
	@if command -v uv >/dev/null; then VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip install --no-deps --no-build-isolation -e .; \
	else $(PY) -m pip install --no-deps --no-build-isolation --quiet --disable-pip-version-check -e .; fi
	@touch $@

demo: $(STAMP) ## teacher, placebo and distilled student on real digits, a line for each step, then the same as notebooks; no data set or network needed
	@$(PY) -m qkdlib demo --workspace $(DEMO)
	@$(PY) -m qkdlib notebooks $(QUICK) --out $(DEMO)/notebooks
	@$(PY) -m qkdlib summary --workspace $(DEMO)
	@echo "executed notebooks in $(DEMO)/notebooks"

paper-artifacts: $(STAMP) ## run what has no record, then execute the notebooks whose records or code have changed; they write all tables and figures (FRESH=students | FRESH=all: run anew; ONLY="v1 v2-entangler ...": these chapters or parts; SCHEDULER=tcp://...: on that Dask cluster)
	@$(MAKE) --no-print-directory build/records; status=$$?; $(MAKE) --no-print-directory --keep-going pages && exit $$status

build/records: $(CODE) $(RESULTS) $(if $(filter-out 0,$(FRESH))$(ONLY),FORCE)
	@$(PY) -m qkdlib run $(if $(filter-out 0,$(FRESH)),--fresh $(FRESH:1=all)) $(if $(ONLY),--only $(ONLY))
	@$(if $(ONLY),:,mkdir -p $(@D) && touch $@)

# The pages and what they depend on, as the chapters say it.
ifneq ($(filter pages notebooks/executed/%,$(MAKECMDGOALS)),)
absent = $(if $(filter-out $(wildcard $1),$1),FORCE)
written = @for table in $1; do if test ! -e $$table -o $2 -nt $$table; then echo "$@ has not written $$table"; exit 1; fi; done
include build/pages.mk
endif

build/pages.mk: $(CODE) | $(STAMP)
	@mkdir -p $(@D) && $(PY) -m qkdlib rules > $@.new && mv $@.new $@

pages: $(PAGES)

teachers: $(STAMP) ## train the teachers that have no logits yet, going on from their last epoch (FRESH=1: all anew)
	@$(PY) -m qkdlib teachers $(if $(filter-out 0,$(FRESH)),--fresh)

notebooks: $(STAMP) ## refresh the notebooks of notebooks/executed/ that publish nothing (needs MNIST: QKD_DATA or a network)
	@$(PY) -m qkdlib notebooks $(NOTEBOOKS) --out notebooks/executed/digits
	@$(PY) -m qkdlib notebooks audit $(AUDIT_MNIST) --out notebooks/executed/mnist

verify: $(STAMP) ## retrain one seed block of five experiments and compare bits with the committed portable records
	@$(PY) -m qkdlib verify

test: $(STAMP) ## pytest with coverage, then nbval over the notebooks
	@$(PY) -m pytest tests -n auto --maxprocesses 4 --dist loadfile --cov=qkdlib --cov-report=term --cov-fail-under=90
	@QKD_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider -W default notebooks/executed/digits/*.ipynb

lint: $(STAMP) ## style and formatting (ruff), who imports whom (import-linter), types (mypy)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@said="$$($(VENV)/bin/lint-imports --no-cache --no-logo)" || { echo "$$said"; exit 1; }
	@$(PY) -m mypy

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab notebooks/quickstart.ipynb

benchmark: $(STAMP) ## measure training, simulation and execution on this machine
	@for file in $(filter-out benchmarks/timing.py benchmarks/peers.py,$(wildcard benchmarks/*.py)); do $(PY) $$file || exit 1; done

benchmark-peers: $(STAMP) ## measure training beside JAX, TensorCircuit-NG, PennyLane and DeepQuantum, in an environment of their own (needs a network, and MNIST for whole jobs; TINY=1: one tiny round; ONLY="whole v2": jobs whose names have these words)
	@$(PY) benchmarks/peers.py $(if $(filter-out 0,$(TINY)),--quick) $(if $(ONLY),--only $(ONLY))

lock: ## compile requirements.lock and environment.yml anew from pyproject.toml, for every platform (needs uv)
	@$(PINS) pyproject.toml --extra dev --upgrade --universal --fork-strategy fewest --python-version 3.11 --output-file requirements.lock.new
	@{ sed -n '/^#/p;/^[^#]/q' requirements.lock; cat requirements.lock.new; } > requirements.lock.both
	@mv requirements.lock.both requirements.lock
	@{ sed '/- pip:/q' environment.yml; sed 's/^/      - /' requirements.lock.new; } > environment.yml.new
	@mv environment.yml.new environment.yml && rm requirements.lock.new

lock-check: ## look for a wheel of every pin on every platform and Python of the lock (needs uv and a network)
	@for platform in $(PLATFORMS); do for python in $(PYTHONS); do \
	    pins="$$(MACOSX_DEPLOYMENT_TARGET=14.0 $(PINS) requirements.lock --no-deps --only-binary :all: \
	        --python-platform $$platform --python-version $$python)" || { echo "$$platform, Python $$python: lacking"; exit 1; }; \
	    echo "$$platform, Python $$python: $$(echo "$$pins" | wc -l) wheels"; done; done

wheel: $(STAMP) ## build dist/qkdlib-*.whl, with the notebooks and the study's records
	@rm -rf dist
	@$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls -l dist/*.whl

wheel-check: wheel ## install the wheel and all that it needs by plain pip into a new environment, try it outside of the checkout, and resolve it beside what Colab brings (needs a network, and uv for Colab)
	@rm -rf build/wheel-check && mkdir -p build && $(PYTHON) -m venv build/wheel-check
	@build/wheel-check/bin/python tests/project/try_wheel.py --install dist/*.whl
	@if command -v uv >/dev/null; then $(PINS) pyproject.toml --constraint tests/project/colab.txt --only-binary :all: \
	    --python-version 3.12 --python-platform x86_64-manylinux_2_28 >build/colab.lock && \
	    echo "in Colab: $$(wc -l <build/colab.lock) packages, with its own versions of what it brings"; \
	else echo "in Colab: untried, because uv is not there"; fi

clean: ## remove the environment, caches and demo; records, tables and figures stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .coverage htmlcov *.egg-info
