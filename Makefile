PYTHON ?= python3
VENV ?= .venv
CORES ?= all
EXPERIMENT ?= cifar10
CONFIG ?=
MINUTES ?=
RUN := $(VENV)/bin

.PHONY: all env reference test slurm-test lint bench clean

# The default experiment, config/digits.yaml, to all figures.
all: env
	$(RUN)/snakemake --cores $(CORES)

env: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "opnorm needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# An experiment with the library alone, by default the paper's, which wants a GPU; collected in results/reference/ and in
# the README's table. With MINUTES=9 it stops before nine minutes are over; the same command goes on. CONFIG="'seeds=[0]'"
# changes keys of the file, here to what there is time for.
reference: env
	$(RUN)/python -m opnorm.reference run config/$(EXPERIMENT).yaml $(if $(MINUTES),--minutes $(MINUTES)) $(if $(CONFIG),--config $(CONFIG))
	$(RUN)/python -m opnorm.reference collect config/$(EXPERIMENT).yaml $(if $(CONFIG),--config $(CONFIG))
	$(RUN)/python -m opnorm.reference table

test: env
	$(RUN)/pytest -n 2 --dist loadfile

# On a throwaway SLURM cluster of this machine; installs Debian's packages for it. Skips where that cannot be, and says why.
slurm-test: env
	$(RUN)/pytest tests/slurm --slurm -n 2 --dist loadfile

lint: env
	$(RUN)/ruff check . && $(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/snakefmt --check Snakefile workflow
	$(RUN)/snakemake --lint

bench: env
	$(RUN)/python -m benchmarks

clean:
	rm -rf results/digits results/smoke
