# What people run: `make demo` and `make test`. Everything is installed into .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check lint types imports soak lock clean

demo: $(INSTALLED)  ## migrate a table, a bucket and queues on local clouds, and compare both sides
	$(BIN)/replicator demo

test: export PYTHONDONTWRITEBYTECODE =
test: $(INSTALLED)  ## the whole suite but what takes minutes
	$(BIN)/pytest -m "not slow" --numprocesses 4 --dist worksteal

check: lint types imports test  ## what CI runs

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy
	MYPYPATH=tests $(BIN)/mypy --explicit-package-bases tests

imports: $(INSTALLED)
	$(BIN)/lint-imports

soak: $(INSTALLED)  ## what takes minutes: memory over 200,000 items, long fault scenarios
	$(BIN)/pytest -m slow --timeout=1800

lock:  ## pins what is tested together; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra sandbox --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info .coverage htmlcov

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "replicator needs Python 3.11 or newer; name one: make PYTHON=python3.13 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@
