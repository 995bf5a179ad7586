# Two commands do all the set-up: `make movielens` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: movielens test lint types clean

# RecBole's wheel carries a copy of MovieLens 100K: installed for the file alone, so without its dependencies.
$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	$(PIP) install --quiet --no-deps recbole
	touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(PIP) install --quiet --editable '.[dev]'
	touch $@

movielens: $(BIN)/.installed
	$(BIN)/sif search movielens

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed-dev
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf $(VENV) build dist
