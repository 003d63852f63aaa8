# mrtlab. Two commands matter: `make book` and `make test`. Both start from nothing but Python ≥ 3.11.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SITE   := _build/html
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYDEVD_DISABLE_FILE_VALIDATION = 1
# Notebooks run from notebooks/, so the cache has an absolute path.
BOOK_CACHE  := $(CURDIR)/_build/cache-book
SMOKE_CACHE := $(CURDIR)/_build/cache-smoke

.PHONY: help env book test lab serve clean notebooks lint unit nbtest site-test
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

env: $(STAMP)  ## make .venv with everything the book and the tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mrtlab needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Could not make a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[lm,book,test]"
	@touch $@

book: env  ## run the notebooks at book scale (cached), build the site, print its path
	@MRTLAB_SCALE=book $(BIN)/python -m mrtlab.show.book.execute --cache $(BOOK_CACHE)
	@$(BIN)/python -m mrtlab.show.book.build --cache $(BOOK_CACHE) --scale book --site $(SITE)

test: env lint unit nbtest site-test  ## unit tests, notebooks at smoke scale, book build, browser tests

lint: env
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m mrtlab.show.notebooks --check

unit: env
	@$(BIN)/python -m pytest --ignore=tests/book

nbtest: env
	@MRTLAB_SCALE=smoke $(BIN)/python -m pytest -p no:cacheprovider --override-ini addopts= --nbmake --nbmake-timeout=120 notebooks

site-test: env
	@MRTLAB_SCALE=smoke $(BIN)/python -m mrtlab.show.book.execute --cache $(SMOKE_CACHE)
	@$(BIN)/python -m mrtlab.show.book.build --cache $(SMOKE_CACHE) --scale smoke --site _build/smoke
	@MRTLAB_SITE=_build/smoke $(BIN)/python -m pytest tests/book -rs

lab: env  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

serve: book  ## build the book and serve it on http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE) 8000

notebooks: env  ## strip the notebooks' outputs and bring their generated cells up to date
	@$(BIN)/python -m mrtlab.show.notebooks

clean:  ## remove what was built (not .venv, not artifacts/)
	@rm -rf _build .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
