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
	$(PIP) install --quiet --editable '.[dev,recbole]'
	touch $@

# RecBole's wheel carries a copy of MovieLens 100K. Without its dependencies: some have no wheels here, and none is needed for that file.
$(BIN)/.movielens: $(BIN)/.installed
	$(PIP) install --quiet --no-deps recbole thop
	touch $@

movielens: $(BIN)/.movielens
	$(BIN)/sif search movielens

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(BIN)/.installed-dev
	$(BIN)/mypy

test: lint types $(BIN)/.movielens
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

clean:
	rm -rf $(VENV) build dist
