# Targets set up .venv themselves.  `make run` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SIZE   ?= 1000000

.PHONY: run test check image soak bench feedbench figures definitions clean help

help:            ## what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

run: $(READY)    ## start the demo: a hospital's sample day becomes one FHIR record
	@$(BIN)/tellonce demo $(ARGS)

test: $(READY)   ## everything that this machine can run; says what it could not
	@sh scripts/test.sh $(ARGS)

check: $(READY)  ## style, types, floors, generated files
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_generated.py

image: $(READY)  ## what can be run of the Dockerfile without a container engine
	@$(BIN)/python scripts/dockerfile_steps.py --quick

soak: $(READY)   ## the long checks
	@$(BIN)/pytest -m soak $(ARGS)
	@$(BIN)/python scripts/growth.py run $(SIZE)

growth: $(READY) ## what searches cost in a record of SIZE Observations against 50,000
	@$(BIN)/python scripts/growth.py run $(SIZE)

bench: $(READY)  ## CPU per request against a bare ASGI echo; ARGS=--stores: SQLite and MongoDB side by side
	@$(BIN)/python scripts/bench.py $(ARGS)

figures: $(READY) ## what FHIRPath costs, against its budgets
	@$(BIN)/python scripts/fhirpath_figures.py

feedbench: $(READY)  ## HL7v2 messages a second, end to end, and CPU per message
	@$(BIN)/python scripts/bench_feed.py $(ARGS) && $(BIN)/python scripts/bench_feed.py --small $(ARGS)

definitions: $(READY)  ## make server/fhir/data again from ../shared/data
	@$(BIN)/python scripts/gen_definitions.py && $(BIN)/python scripts/gen_ucum.py

clean:           ## remove what the targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml scripts/setup_venv.sh
	@sh scripts/setup_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $(READY)
