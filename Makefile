# make compare   set everything up and run the main job, emulated, on a real small model; leaves report.html
# make test      set everything up and pass the tests
# make help      the other targets

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ROWS   ?= 1000000
# files of tests that run at the same time; many wait more than they work
JOBS   ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup model browser compare compare-real test check format bench soak statistics fuzz peers clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(MAKEFILE_LIST)

# make setup     the virtual environment .venv with batchmark and its tools, pinned by constraints.txt
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: batchmark needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 700 MB, a minute or two)"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[local,test]'
	@touch $@

# make model     fetch the small real model that answers in the emulator (93 MB, once)
model: setup
	@$(BIN)/batchmark emulator install-model >/dev/null || echo "no local model: answers will be synthetic, and labelled so" >&2

# make browser   Debian's chromium for the tests of the report; needs root, else what is there is used
browser:
	@command -v chromium >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium"; { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	    || echo "chromium could not be installed: browser tests will be skipped" >&2; \
	  else echo "no chromium and no root: browser tests will be skipped" >&2; fi

compare: setup model
	@$(BIN)/batchmark compare --emulate --on openai --on google --on anthropic --jobs 8 --time-budget 100

# make compare-real  the same on your own accounts and money: shows the plan first, needs YES=1
compare-real: setup
	@if [ "$(YES)" = 1 ]; then $(BIN)/batchmark compare; else \
	  $(BIN)/batchmark doctor; echo; \
	  echo "48 short questions to every provider above with a key, at most 48 tokens an answer: well below one US cent each."; \
	  echo "To send them: make compare-real YES=1"; fi

test: setup model browser
	@rm -f .coverage .coverage.*
	@PYTHONDONTWRITEBYTECODE= $(BIN)/coverage run -m pytest -n $(JOBS) --dist loadfile
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --include='src/batchmark/domain/*,src/batchmark/providers/*,src/batchmark/emulator/*' --fail-under=90

# make check     lint, types, import contract
check: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports --no-logo
	@echo "lint, types and imports are clean"

# make format    put the code into shape
format: setup
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# make bench     speed and memory of a run from end to end, emulated, beside the floor of this machine (ROWS=1000000)
bench: setup
	@$(BIN)/python benchmarks/data_path.py
	@$(BIN)/python benchmarks/ledger.py
	@$(BIN)/python benchmarks/run.py --rows $(ROWS)
	@$(BIN)/python -m benchmarks.report
	@$(BIN)/python -m benchmarks.emulator --rows $(ROWS)

# make statistics  what the intervals, tests and hints promise, kept in a thousand experiments of each kind (a minute)
statistics: setup
	@$(BIN)/python -m tests.unit.compare.simulation

# make soak      a run of 20,000 rows at each provider, emulated and full of faults, killed 50 times at random (SOAK_SEED=… repeats one)
soak: setup
	@$(BIN)/python -m tests.crash.soak

# make fuzz      hostile calls of all kinds against the emulator and its descriptions, for MINUTES=10 (SEED=… repeats, DIALECT=… picks one)
fuzz: setup
	@$(BIN)/python -m tests.fuzz

# make peers     other people's batch clients, unmodified, against the emulator, each in an environment of its own (PEERS="litellm …" picks, PEERS=all adds what takes minutes to install)
peers: setup
	@$(BIN)/python peers/run.py --jobs $(JOBS) $(PEERS)

# make clean     remove what make made here
clean:
	rm -rf $(VENV) .peers .coverage .coverage.* .mypy_cache .ruff_cache .import_linter_cache .hypothesis report.html comparison.json
