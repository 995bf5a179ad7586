# Two commands do all the set-up: `make movielens` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: movielens test lint types clean

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(PIP) install --quiet --editable '.[dev]'
	touch $@

# RecBole's wheel carries a copy of MovieLens 100K: installed last and for that file alone, so without its dependencies.
$(BIN)/.movielens: $(BIN)/.installed
	$(PIP) install --quiet --no-deps recbole
	touch $@

movielens: $(BIN)/.movielens
	$(BIN)/sif search movielens

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed-dev
	$(BIN)/mypy

test: lint types $(BIN)/.movielens
	$(BIN)/python -m pytest -n 2 -m "slow or not slow"

clean:
	rm -rf $(VENV) build dist
