# Each target sets up what it needs; a second call costs no set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench eval conformance soak

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The pages are tried in a real browser, which Debian packages.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { echo "installing Debian's chromium"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || { echo "make test needs chromium on the PATH: install it, then call again"; exit 1; }

# The store is tried on a real PostgreSQL as well, which Debian packages too. No server of it is started here.
.PHONY: postgres
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { echo "installing Debian's postgresql"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } \
	  || { echo "make test needs PostgreSQL's server: install it, then call again"; exit 1; }

demo: $(READY)
	@$(BIN)/mcp-convex demo

test: $(READY) browser postgres
	@$(BIN)/pytest -n 3 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(READY) postgres
	@$(BIN)/python -m benchmarks.run

# What agents get done: scripted ones, or a model with MODEL=name (or `default`) and ANTHROPIC_API_KEY. TASK=name for one.
eval: $(READY)
	@$(BIN)/python -m benchmarks.evals $(TASK) $(if $(MODEL),--model $(MODEL))

# 10,000 damaged requests, then two servers on one PostgreSQL under load, for MINUTES=15 unless said otherwise.
# The last line is PASSED or FAILED.
soak: $(READY) postgres
	@FUZZED=10000 $(BIN)/pytest -q tests/server/test_fuzzed.py
	@$(BIN)/python -W ignore -m tests.soak $(if $(MINUTES),--minutes $(MINUTES))

# The official suite, in both protocol revisions; the last line counts.
conformance: $(READY)
	@$(BIN)/python -W ignore -m tests.conformance.suite
