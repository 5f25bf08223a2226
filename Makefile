# The project's jobs. `make demo` and `make test` work from a clean clone with Python 3.10 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-fast cover docs lint types check bench lock example nano clean help

help: ## list the jobs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.base: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) install --no-warn-conflicts --constraint constraints.txt --editable '.[dev,docs,model,opensmile,evaluation,api,cluster,train,serve,screen-text]'
	# The reference of the face networks' tests. It declares jax, and an OpenCV that needs libGL, and imports neither.
	$(PIP) install --constraint constraints.txt --no-deps mediapipe
	$(PIP) install --no-deps --editable packages/merr-synth
	@touch $@

demo: $(VENV)/.base ## set up and analyse the example clip
	@mkdir -p out
	$(BIN)/emotion-llama analyze examples/clips/astronaut.mp4 --html out/astronaut.html
	@echo "Open out/astronaut.html in a browser to see the whole report."

test: $(VENV)/.dev ## set up and run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)
	cd packages/merr-synth && OMP_NUM_THREADS=1 ../../$(BIN)/python -m pytest $(SYNTH_ARGS)

test-fast: $(VENV)/.dev ## the tests that start no process and no browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not process and not browser" $(PYTEST_ARGS)

cover: $(VENV)/.dev ## all tests, slower, with their coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --cov=emotion_llama --cov-report=term:skip-covered --cov-fail-under=90 $(PYTEST_ARGS)

docs: $(VENV)/.dev ## build the documentation site, notebooks included, into out/docs; every warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d out/doctrees docs out/docs
	@echo "Open out/docs/index.html in a browser."

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

check: lint types test ## lint, types and tests

bench: $(VENV)/.dev ## speed and memory, the table of all units, agreement of voice backends, cost of scoring
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evidence_speed.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/action_units_table.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/prosody_agreement.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/features_speed.py --sizes toy
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/label_scoring.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/model_speed.py

example: $(VENV)/.dev ## make the example clip again (needs espeak-ng)
	$(BIN)/python examples/clips/make_astronaut.py

nano: $(VENV)/.dev ## train the nano model from nothing, about 4 hours on 4 cores (NANO_ARGS="--root DIR --until STEP")
	$(BIN)/python packages/merr-synth/scripts/nano $(NANO_ARGS)

lock: ## resolve the versions in constraints.txt anew
	scripts/lock

clean: ## remove what the jobs made
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache
