# heatproof: everything a newcomer needs is `make demo` and `make test`.
VENV    ?= .venv
PYTHON  ?= python3
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
CONFIG  ?= heatproof.toml
STUDY   ?=
SECONDS ?= 300
# Programs of pynetdicom by the names of DCMTK's, which they would shadow wherever this environment is active.
SHADOWS := echoscp echoscu findscu getscu movescu qrscp storescp storescu
# The tests start many processes of the same modules: whatever the environment says, these are compiled once.
export PYTHONDONTWRITEBYTECODE :=
.PHONY: help install demo serve test check combinations docs fuzz requirements sbom release peers clean
help:            ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(STAMP) ## make the virtual environment with pinned dependencies
$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 1.6 GB with the CPU build of torch; some minutes) ..."
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[test,demo]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt --no-deps grad-cam quantus
	rm -f $(addprefix $(BIN)/,$(SHADOWS))
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

fuzz: $(STAMP)   ## fuzz every parser of foreign bytes (SECONDS=300 of a processor each)
	set -e; for target in elements pdu multipart bundle rules passport; do $(BIN)/python -m tests.fuzzing $$target --seconds $(SECONDS); done

requirements: $(STAMP) ## write deploy/requirements*.txt: what is installed, with the hash of every file (needs uv)
	$(BIN)/python deploy/make_requirements.py

sbom: $(STAMP)   ## write build/sbom.json (CycloneDX) and deploy/LICENSES.md
	$(BIN)/python deploy/sbom.py build/sbom.json --licences deploy/LICENSES.md

release: sbom    ## build the wheel into dist, check what it holds, and write digests beside it
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps -w dist .
	$(BIN)/python deploy/check_wheel.py dist/*.whl
	cp build/sbom.json dist/ && cd dist && sha256sum * > SHA256SUMS

peers:           ## fetch OHIF, dwv and axe-core; install Orthanc, DCMTK, PostgreSQL and Chromium where that is possible
	@deploy/install-peers.sh

test: $(STAMP) peers ## everything: lint, types, all tests; peers that cannot be installed are skipped by name
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist worksteal -p no:cacheprovider

clean:           ## remove what was built
	rm -rf $(VENV) demo build *.egg-info
