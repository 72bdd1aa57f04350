# make demo | demo-roles | test | check | fmt | golden | parity: everything runs in .venv, which `make setup` fills.
PYTHON ?= python3
VENV   := .venv
PARITY := .parity
BIN    := $(VENV)/bin

.PHONY: setup demo demo-roles test check fmt golden parity clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "merv needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/merv demo

demo-roles: setup
	$(BIN)/merv demo-roles

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: setup
	MERV_WRITE_GOLDEN=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/conf/test_golden_configs.py

# The original LanguageBind tower, in a folder of its own and without what it asks for, beside ours.
parity: setup $(PARITY)/.installed
	PYTHONPATH=$(PARITY) OMP_NUM_THREADS=1 $(BIN)/python scripts/parity_languagebind.py

$(PARITY)/.installed: | setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(PARITY) --no-deps languagebind==0.1.0
	@touch $@

clean:
	rm -rf $(VENV) $(PARITY) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
