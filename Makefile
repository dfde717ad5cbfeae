# The one task runner. `make demo` and `make test` need only Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export BENTOML_HOME ?= $(CURDIR)/.bentoml
export BENTOML_DO_NOT_TRACK := True
WEIGHTS := models/weights/pat-s-demo

.PHONY: setup weights demo serve test test-slow bench load bench-peers fuzz chaos check sbom audit-dependencies validate dictionary format build image image-test image-sbom pretrain examples clean

setup: $(VENV)/.installed ## make ./.venv with `pat` in it

$(VENV)/.installed: pyproject.toml constraints.txt constraints-dev.txt $(wildcard pat_runner/engines/native*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -c constraints-dev.txt -e '.[dev]'
	@touch $@

weights: setup ## store the demonstration weights in the BentoML model store
	$(BIN)/pat weights import $(WEIGHTS)

demo: weights ## the main job end to end: serve, analyse an example week, write out/
	$(BIN)/python examples/demo.py

serve: weights ## serve on http://127.0.0.1:3000
	$(BIN)/bentoml serve service:PatService

test: setup ## everything but the slow suites, with branch coverage
	$(BIN)/pytest -m "not slow and not image" --cov --cov-report=term:skip-covered --cov-report=xml

test-slow: setup ## the slow suites
	$(BIN)/pytest -m slow --no-cov

bench: setup ## measure speed and memory; results, tables and plots (about an hour; BENCH="encoder1 --quick" for a part)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -c constraints-dev.txt -e '.[bench,cohort]'
	$(BIN)/python -m benchmarks $(BENCH)

load: setup ## the service below, at and beyond its capacity; results, table and plot (three minutes)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -c constraints-dev.txt -e '.[bench]'
	$(BIN)/python -m benchmarks load

bench-peers: setup ## what users could pick instead, each in an environment of its own, for `make bench`
	$(BIN)/python -m benchmarks.peers

fuzz: setup ## 20,000 damaged copies of every example file; results in docs/fuzz-results.md
	$(BIN)/python -m tests.fuzz.readers --copies 20000 --results docs/fuzz-results.md

chaos: setup ## let everything fail that the service depends on (about 20 minutes); results in docs/chaos-results.md
	$(BIN)/python -m tests.chaos --results docs/chaos-results.md

check: setup ## style, types, who may import whom, and what must not be written
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r api cohorts commands models pat_runner postprocessing preprocessing serving training service.py cli.py
	$(BIN)/pytest -q --no-cov tests/security/test_forbidden.py tests/security/test_secrets.py

AUDIT := $(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -c constraints-dev.txt -e '.[audit]'

sbom: setup ## write what is installed to out/sbom.json, as CycloneDX
	$(AUDIT)
	@mkdir -p out
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --of JSON -o out/sbom.json

audit-dependencies: setup ## compare the pins with known vulnerabilities (needs a network, so CI without one leaves it out)
	$(AUDIT)
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r constraints.txt -r constraints-dev.txt

validate: setup ## compare every metric with the vendors' and published values; results in validation/results
	$(BIN)/python -m validation

dictionary: setup ## write the JSON Schemas of the documents and docs/data-dictionary.md again, from the code
	$(BIN)/python -m postprocessing.schema
	$(BIN)/python -m postprocessing.dictionary docs/data-dictionary.md

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: weights ## make the Bento
	$(BIN)/bentoml build

image: weights ## the container images, from a new Bento (docs/container.md; TOOL=buildah, podman or docker)
	deploy/image.sh

image-test: image ## run the images as production would, measure them, and look into them
	$(BIN)/pytest -m image --no-cov tests/image

image-sbom: setup ## write what is installed in the image to out/image-sbom.json, as CycloneDX
	$(AUDIT)
	@mkdir -p out
	deploy/installed.sh localhost/pat-service | \
		$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --of JSON -o out/image-sbom.json -

pretrain: setup ## train the demonstration weights again, from the seed (docs/demonstration-weights.md)
	$(BIN)/python -m training.pretrain --seed 0 --created 2026-11-22 --output $(WEIGHTS) \
		--decoder tests/training/data/demo-decoder.safetensors

examples: setup ## write the example inputs again, from the seed
	$(BIN)/python -m training.examples examples

clean:
	rm -rf out build .bentoml .pytest_cache .mypy_cache .ruff_cache .coverage coverage.xml
