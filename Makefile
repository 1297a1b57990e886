# Commands of qkdlib. `make` alone prints them.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
PY := $(VENV)/bin/python
OF_A_ROW := teachers baselines distillation
ONCE := audit ablations shots_and_noise controlled_experiment
NOTEBOOKS := $(OF_A_ROW) quickstart $(ONCE)
AUDIT_MNIST := -p dataset mnist -p train_per_class 150 -p validation_per_class 50
CIFAR10 ?= cifar10
CIFAR10_V1 := -p dataset $(CIFAR10) -p train_per_class 150 -p validation_per_class 50 -p test_per_class 150
DEMO := build/demo

# Under `make -j` the processes share the cores: threads that wait for each other spin, and two processes with all
# cores each are far slower than one after the other. (make shows -j in MAKEFLAGS only inside recipes.)
SHARE = $(if $(findstring -j,$(MAKEFLAGS)),QKD_THREADS=$${QKD_THREADS:-1})
RUN = $(SHARE) $(PY)

.DEFAULT_GOAL := help
.PHONY: help setup demo paper-artifacts teachers notebooks verify test lint lab lock benchmark clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the locked environment into .venv (with uv if it is there, else pip)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip sync --compile-bytecode requirements.lock; \
	else $(PY) -m pip install --no-deps --quiet --disable-pip-version-check -r requirements.lock; fi
	@if command -v uv >/dev/null; then VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip install --no-deps --no-build-isolation -e .; \
	else $(PY) -m pip install --no-deps --no-build-isolation --quiet --disable-pip-version-check -e .; fi
	@touch $@

demo: $(STAMP) ## teacher, placebo and distilled student on real digits, no data set or network needed
	@$(RUN) -m qkdlib notebooks $(filter-out $(ONCE),$(NOTEBOOKS)) --out $(DEMO)/notebooks
	@$(RUN) -m qkdlib summary --workspace $(DEMO)
	@echo "executed notebooks in $(DEMO)/notebooks"

paper-artifacts: $(STAMP) ## redraw tables and figures from records, run what has none (FRESH=students | FRESH=all: anew; ONLY="v1 v2-10-epochs v2-converged v2-converged-alexnet v2-full-set v2-entangler robustness collapse controlled": these parts)
	@$(RUN) -m qkdlib paper-artifacts $(if $(filter-out 0,$(FRESH)),--fresh $(FRESH:1=all)) $(if $(ONLY),--only $(ONLY))

teachers: $(STAMP) ## train the teachers that have no logits yet, going on from their last epoch (FRESH=1: all anew)
	@$(RUN) -m qkdlib teachers $(if $(filter-out 0,$(FRESH)),--fresh)

notebooks: $(STAMP) ## refresh notebooks/executed/ (needs the data sets: QKD_DATA or a network; CIFAR10=cifar10_jpeg: the copy)
	@$(RUN) -m qkdlib notebooks $(NOTEBOOKS) --out notebooks/executed/digits
	@$(RUN) -m qkdlib notebooks $(OF_A_ROW) --row M-D-lenet-3q-05 --out notebooks/executed/mnist
	@$(RUN) -m qkdlib notebooks audit $(AUDIT_MNIST) --out notebooks/executed/mnist
	@$(RUN) -m qkdlib notebooks $(OF_A_ROW) --row F-D-alex-3q-05 --out notebooks/executed/fashion_mnist
	@$(RUN) -m qkdlib notebooks teachers distillation $(CIFAR10_V1) -p teacher_epochs 10 --out notebooks/executed/cifar10
	@$(RUN) -m qkdlib notebooks baselines $(CIFAR10_V1) --out notebooks/executed/cifar10
	@$(RUN) -m qkdlib notebooks shots_and_noise controlled_experiment -p paper_records True -p workspace . --out notebooks/executed/mnist
	@for name in mnist fashion_mnist cifar10; do $(RUN) -m qkdlib notebooks ablations -p dataset $$name \
	    -p paper_bars True -p workspace . --out notebooks/executed/$$name || exit 1; done

verify: $(STAMP) ## retrain one seed block of five experiments and compare bits with the committed portable records
	@$(RUN) -m qkdlib verify

test: $(STAMP) ## pytest with coverage, then nbval over the notebooks
	@$(RUN) -m pytest tests -n auto --maxprocesses 4 --dist loadfile --cov=qkdlib --cov-report=term --cov-fail-under=90
	@$(RUN) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider -W default notebooks/executed/digits/*.ipynb

lint: $(STAMP) ## ruff: style and formatting
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab notebooks/quickstart.ipynb

benchmark: $(STAMP) ## measure training, simulation and execution on this machine
	@for file in benchmarks/*.py; do $(RUN) $$file; done

lock: ## compile requirements.lock and environment.yml anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	    --no-header --no-annotate --no-emit-index-url --output-file requirements.lock
	@{ sed '/- pip:/q' environment.yml; sed 's/^/      - /' requirements.lock; } > environment.yml.new
	@mv environment.yml.new environment.yml

clean: ## remove the environment, caches and demo; records, tables and figures stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .coverage htmlcov *.egg-info
