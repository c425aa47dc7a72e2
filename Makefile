# Every target sets up what it needs, once. The virtual environment lies in .venv.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11
INSTALLED := $(VENV)/.installed
OUT ?= bookplate-demo
KRONFLUENCE ?= .venv/kronfluence

.PHONY: demo test faults check dist-check min-check docs notebooks bench bench-influence format clean help

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/bookplate
	touch $@

demo: $(INSTALLED)   ## train models, audit them, write the evidence report to bookplate-demo/
	rm -rf $(OUT)
	$(BIN)/bookplate demo --out $(OUT)

test: $(INSTALLED)   ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/stats/test_kernels.py tests/stats/test_ranking.py -q

# FAULTS_SEED=N repeats the random moments of a run, which prints its N. Some of these need root.
faults: $(INSTALLED) ## kill, fill the disk, take away input and memory, at random moments; some minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m faults -n 2 --dist loadscope

# Types are checked through a link named bookplate, so that the checkout may have any name.
check: $(INSTALLED)  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd $(VENV)/types && MYPYPATH=. ../bin/mypy --config-file bookplate/pyproject.toml -p bookplate

dist-check: $(INSTALLED)  ## build sdist and wheel, install each into a clean environment and use it; some minutes
	PYTHON=$(CURDIR)/$(BIN)/python .ci/dist-check

# The lowest versions that pyproject.toml admits, on the tests that touch the most of other libraries.
MIN_TESTS := tests/cli/test_commands.py tests/cli/test_detect_command.py tests/cli/test_embed_command.py \
	tests/stats tests/provenance/test_suspect.py tests/watermark/test_embed.py tests/watermark/test_detect.py \
	tests/provenance/test_custody_log.py
$(VENV)/min/.installed: pyproject.toml constraints-min.txt
	test -x $(@D)/bin/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-min.txt torch setuptools
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-min.txt \
		--editable '.[adapters,int8,ngrams,recording]' pytest pytest-xdist hypothesis mpmath pypdf build
	touch $@

min-check: $(VENV)/min/.installed  ## tests with the lowest versions of all dependencies, in an environment of their own
	OMP_NUM_THREADS=1 $(VENV)/min/bin/python -m pytest -n 2 --dist loadfile $(MIN_TESTS)

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[docs]'
	touch $@

# Warnings are errors (strict: in mkdocs.yml), but only where they are shown: with --quiet none would count. To
# search in the pages: python -m http.server -d build/docs
docs: $(VENV)/.docs  ## the documentation, into build/docs/index.html; nothing is loaded from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

notebooks: $(INSTALLED)  ## execute the notebooks anew, and write their outputs into them
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/execute.py

bench: $(INSTALLED)  ## benchmarks, some 20 minutes; RESULTS.md holds the last measured tables
	for script in watermark stats calibration; do $(BIN)/python benchmarks/$$script.py || exit 1; done

# kronfluence asks for torchvision, which it does not use: its few other requirements are named here.
$(KRONFLUENCE)/.installed: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable . \
		accelerate einops einconv opt-einsum tqdm
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps kronfluence==1.0.1
	touch $@

bench-influence: $(KRONFLUENCE)/.installed  ## influence against kronfluence, in a venv of its own
	OMP_NUM_THREADS=1 $(KRONFLUENCE)/bin/python benchmarks/influence_kronfluence.py

format: $(INSTALLED) ## apply formatting and safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## remove what the targets made
	rm -rf $(VENV) build *.egg-info bookplate-demo
