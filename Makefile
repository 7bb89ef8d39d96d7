# The entry point for developers and CI: `make run` and `make test` do all the set-up on a fresh machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.PHONY: help run test thorough check format generate prefect faults bench bench-peers bench-page simulate kills failover lock clean browser ray
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

run: $(VENV)/run.stamp  ## install, and run the controller on the example deployments/ (Ctrl-C ends it)
	$(BIN)/controller run --repo .

RAY := .venv-ray
$(RAY)/ray.stamp: requirements/ray.txt $(VENV)/run.stamp
	@test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	$(BIN)/uv pip install --quiet --python $(RAY)/bin/python --require-hashes -r requirements/ray.txt
	@touch $@

test: $(VENV)/dev.stamp browser  ## install, and pass the tests
	$(BIN)/python -m pytest -n 3 --dist worksteal -q -o faulthandler_timeout=600

APT_INSTALL := apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300
browser:  ## install chromium, which the end-to-end tests drive; the headless one needs half of the CPU time
	@command -v chromium-headless-shell >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && export DEBIAN_FRONTEND=noninteractive && \
	    apt-get update -qq && { $(APT_INSTALL) chromium-headless-shell || $(APT_INSTALL) chromium; }; } || \
	  command -v chromium >/dev/null || \
	  { echo "The end-to-end tests need chromium: install your distribution's package." >&2; exit 1; }

check: $(VENV)/dev.stamp  ## formatting, lint, prose, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m tests.prose
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/generated

format: $(VENV)/dev.stamp  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(VENV)/dev.stamp  ## write the files that are generated from the code
	$(BIN)/python -m tests.generated

prefect: $(VENV)/dev.stamp  ## install Prefect into .venv-prefect, and run its own flows with us
	test -x .venv-prefect/bin/python || $(PYTHON) -m venv .venv-prefect
	.venv-prefect/bin/python -m pip --disable-pip-version-check --quiet install "prefect>=3,<4"
	$(BIN)/python -m pytest -q -m prefect

ray: $(VENV)/dev.stamp $(RAY)/ray.stamp  ## install Ray into .venv-ray, and run jobs and flows on a cluster of two nodes; RAY_RUNS=100 runs 50 while processes are killed
	$(BIN)/python -m pytest -n 2 --dist loadfile -q -m ray tests/ray

faults: $(VENV)/dev.stamp  ## cut the power of a disk under the controller, and make system calls fail (needs root)
	$(BIN)/python -m pytest -q -m faults tests/faults

bench: $(VENV)/dev.stamp $(if $(QUICK),,browser)  ## measure everything, print a table, write benchmarks/results.json; QUICK=1 takes three minutes
	$(BIN)/python -m benchmarks $(if $(QUICK),quick,full) databases

PEERS := .bench-peers
$(PEERS)/stamp:
	test -x $(PEERS)/prefect/bin/python || $(PYTHON) -m venv $(PEERS)/prefect
	$(PEERS)/prefect/bin/python -m pip --disable-pip-version-check --quiet install "prefect>=3,<4"
	npm install --silent --no-audit --no-fund --prefix $(PEERS)/dagu @dagu-org/dagu-linux-x64 || \
	  echo "Dagu is left out: it needs npm and an x86-64 machine." >&2
	@touch $@

bench-peers: $(VENV)/dev.stamp $(PEERS)/stamp  ## install Prefect and Dagu into .bench-peers, and measure them beside controller
	$(BIN)/python -m benchmarks peers

bench-page: $(VENV)/dev.stamp $(PEERS)/stamp  ## measure everything in docs/performance.md, and update the page
	$(BIN)/python -m benchmarks quick growth databases peers places
	$(BIN)/python -m benchmarks.page

thorough: $(VENV)/dev.stamp browser  ## pass the tests with five times as many random examples, all pairs of crash points, and axe in all looks
	THOROUGH=1 $(BIN)/python -m pytest -n 3 --dist worksteal -q

simulate: $(VENV)/dev.stamp  ## play SEEDS=2000 random histories of STEPS=60 against the controller, beginning with FROM=0
	SIMULATE_FROM=$(or $(FROM),0) SIMULATE_SEEDS=$(or $(SEEDS),2000) SIMULATE_STEPS=$(or $(STEPS),60) \
	  $(BIN)/python -m pytest -n 2 -q tests/simulation

kills: $(VENV)/dev.stamp  ## kill everything of a small company, and of a site with a cluster, at random for SECONDS=300; SEED= repeats the random choices
	KILLS_SECONDS=$(or $(SECONDS),300) $(if $(SEED),KILLS_SEED=$(SEED)) \
	  $(BIN)/python -m pytest -q --log-level=INFO -o log_cli=true \
	  tests/acceptance/test_killed_company.py tests/acceptance/test_killed_cluster.py

failover: $(VENV)/dev.stamp  ## make RUNS=1000 with three controllers and PostgreSQL, while leaders and the server fail
	FAILOVER_RUNS=$(or $(RUNS),1000) \
	  $(BIN)/python -m pytest -q --log-level=INFO -o log_cli=true tests/acceptance/test_failing_leaders.py

lock:  ## resolve the pinned, hashed requirements again
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	  --custom-compile-command "make lock" pyproject.toml requirements/build.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	  --custom-compile-command "make lock" pyproject.toml requirements/build.in --group dev -c requirements/run.txt \
	  -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	  --custom-compile-command "make lock" requirements/ray.in -o requirements/ray.txt

clean:  ## remove everything that make created
	rm -rf $(VENV) .venv-prefect $(RAY) $(PEERS) .controller build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
