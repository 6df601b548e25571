# Every target sets up what it needs: a virtual environment in .venv with the tested versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test slow lint format evaluators judges docs site wheels matrix versions clean

help:  ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt hatch_build.py src/xcodec2/codec/kernels/snake.c src/xcodec2/codec/compiled/engine.c src/xcodec2/llasa/decoding/llama.c src/xcodec2/codec/kernels/build.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## real speech -> tokens -> speech with the model inside; results in demo/
	@mkdir -p demo
	cp src/xcodec2/assets/demo.flac demo/original.flac
	$(BIN)/xcodec2 reconstruct demo/original.flac -o demo/reconstruction.wav \
		--codes demo/codes.npz --picture demo/spectrograms.png --stoi

# One process a core, one thread each: threads of two test processes would wait for each other in busy loops.
# Files in their order: ordered by their number of tests, those of few and long ones would come last, to one process.
test: $(READY)  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(READY)  ## the tests with full-size models and long audio
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## ruff, mypy and import-linter, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

evaluators: $(READY)  ## fetch the weights of the evaluation's models into the user's cache (300 MB)
	$(BIN)/python -m xcodec2.evaluators.fetch

judges: evaluators

docs: $(READY)  ## write docs/reference/cli.md from the commands' own --help
	$(BIN)/python scripts/make_cli_docs.py

site: $(READY)  ## build the documentation into build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The wheel for this platform and the one for all others, from one source distribution.
wheels:  ## build and check the distributions into dist/
	rm -rf dist build/packaging
	$(PYTHON) -m venv build/packaging
	build/packaging/bin/python -m pip install --quiet build twine uv
	build/packaging/bin/python -m build
	XCODEC2_PURE=1 build/packaging/bin/python -m build --wheel
	build/packaging/bin/twine check --strict dist/*

matrix: wheels  ## install the wheels into clean environments: all Pythons here, oldest and newest versions
	build/packaging/bin/python scripts/install_matrix.py dist

versions: wheels  ## the fast tests with the oldest and the newest versions, on all Pythons here
	build/packaging/bin/python scripts/install_matrix.py dist --extra dev --tests tests

clean:  ## remove the environment, the demo's results and caches
	rm -rf $(VENV) build dist demo .cache .pytest_cache .ruff_cache .mypy_cache .hypothesis
