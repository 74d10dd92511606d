# heatproof: everything a newcomer needs is `make demo` and `make test`.
VENV    ?= .venv
PYTHON  ?= python3
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
CONFIG  ?= heatproof.toml
STUDY   ?=
.PHONY: help install demo serve test check combinations docs peers clean
help:            ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(STAMP) ## make the virtual environment with pinned dependencies
$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 1.6 GB with the CPU build of torch; some minutes) ..."
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[test,demo]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt --no-deps grad-cam quantus
	touch $(STAMP)

demo: $(STAMP)   ## run the main job end to end (STUDY=dir for your own DICOM folder)
	$(BIN)/heatproof demo --out demo $(if $(STUDY),--study "$(STUDY)")

serve: $(STAMP)  ## run the node (CONFIG=heatproof.toml)
	$(BIN)/heatproof serve --config $(CONFIG)

check: $(STAMP)  ## lint, types and the quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m "not slow and not peers" -n 2 -p no:cacheprovider

docs: $(STAMP)   ## write the API documentation into build/docs; a warning is an error
	$(BIN)/python deploy/make_docs.py build/docs

combinations: $(STAMP)   ## 5,000 seeded combinations of odd things in one series (half an hour)
	HEATPROOF_ODD_COMBINATIONS=5000 $(BIN)/pytest -p no:cacheprovider --hypothesis-show-statistics tests/inference/reading/test_combinations.py

peers:           ## install Orthanc, DCMTK, PostgreSQL and Chromium where that is possible
	@deploy/install-peers.sh

test: $(STAMP) peers ## everything: lint, types, all tests; peers that cannot be installed are skipped by name
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal -p no:cacheprovider

clean:           ## remove what was built
	rm -rf $(VENV) demo build *.egg-info
