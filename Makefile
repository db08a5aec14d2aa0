# Two commands: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
# The tests wait for other processes often enough for one more worker than there are processors.
WORKERS := $(shell expr $$(nproc) + 1)
# One thread of BLAS for each process, and the slow files first: quick ones fill the gaps at the end.
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	--numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick lint pins clean wall

demo: $(RUN) wall          ## grade a class of sample submissions from end to end
	@$(BIN)/python tests/students/demo.py

test: $(DEV) wall          ## all tests
	$(PYTEST)

quick: $(DEV) wall         ## the tests that take less than a minute all together
	$(PYTEST) -m "not slow"

lint: $(DEV)               ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(RUN): $(VENV)/bin/python binder/requirements.txt pyproject.toml
	@echo "Installing what the course needs (a minute the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r binder/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV): $(RUN) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Submissions run behind bubblewrap. It is installed only where that needs no question.
wall:
	@command -v bwrap >/dev/null || { \
	  if [ "$$(id -u)" -eq 0 ]; then sudo=""; else sudo="sudo -n"; fi; \
	  if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
	    echo "Installing bubblewrap"; \
	    $$sudo apt-get update -qq >/dev/null; $$sudo apt-get install -y -qq bubblewrap >/dev/null; \
	  else \
	    echo "bubblewrap is missing. Install it as root: apt-get install bubblewrap"; \
	  fi; }

pins:                      ## the newest versions that work together on every Python from 3.11.2 on
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --upgrade pip
	build/pins/bin/python .ci/pins.py
	rm -rf build/pins

clean:                     ## what the demo and the tools left
	rm -rf demo-course build .pytest_cache .mypy_cache .ruff_cache
