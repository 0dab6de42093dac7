import os
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from opnorm import analysis, datasets, figures, locks, models, objectives
from opnorm.errors import SettingsError
from opnorm.launch_slurm import SITE_VARIABLES
from opnorm.launch_watch import stop_launchers_on_termination
from opnorm.provenance import code_digest
from opnorm.settings import Experiment


def read_experiment():
    schema = Path(workflow.current_basedir) / "../schemas/experiment.schema.yaml"
    source = ", ".join(os.path.relpath(path) for path in workflow.configfiles) or "--config"
    try:
        return Experiment.from_config(config, yaml.safe_load(schema.read_text()), source)
    except SettingsError as error:
        sys.exit(f"Error: {error}")


def module_of(registry, name):
    """The module behind a registry's entry, for the code digest."""
    return registry[name].split(":")[0]


def training_code(method):
    return code_digest(
        "opnorm.training",
        module_of(models.REGISTRY, EXPERIMENT.model["name"]),
        module_of(objectives.REGISTRY, EXPERIMENT.method(method).objective),
    )


def analysis_code(*modules):
    return code_digest(
        "opnorm.analysis.run", module_of(models.REGISTRY, EXPERIMENT.model["name"]), *modules
    )


def figure_code(figure):
    return code_digest("opnorm.figures.render", figures.REGISTRY[figure].module)


def figure_context():
    return {
        "methods": METHODS,
        "labels": {method.name: method.label for method in EXPERIMENT.methods},
        "norm": EXPERIMENT.threat.norm,
        "epsilon": EXPERIMENT.threat.epsilon,
        "dataset": EXPERIMENT.dataset,
    }


def per_seed(pattern):
    """`pattern` once for each seed; its other wildcards stay."""
    return expand(pattern, seed=EXPERIMENT.seeds, allow_missing=True)


EXPERIMENT = read_experiment()
METHODS = [method.name for method in EXPERIMENT.methods]
FIGURES = [
    name for name, entry in figures.REGISTRY.items() if entry.analysis in EXPERIMENT.analyses
]

RESULTS = f"results/{EXPERIMENT.name}"
SPLIT = f"{RESULTS}/data/{{split}}.safetensors"
MODEL = f"{RESULTS}/models/{{method}}/{{seed}}.safetensors"
HISTORY = f"{RESULTS}/history/{{method}}/{{seed}}.csv"
ADVERSARIAL = f"{RESULTS}/adversarial/{{method}}/{{seed}}.safetensors"
TABLE = f"{RESULTS}/analysis/{{analysis}}/{{method}}/{{seed}}.parquet"
FIGURE_FILE = f"{RESULTS}/figures/{{figure}}.{{suffix}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


wildcard_constraints:
    method="|".join(METHODS),
    seed=r"\d+",
    analysis="|".join(EXPERIMENT.analyses),


if locks.release_if_stale(Path(".snakemake")):
    logger.info(
        "The Snakemake that held this folder's lock is gone; going on from what it finished."
    )


# Snakemake's SLURM executor forgets these when it runs in a job itself.
SITE = {name: os.environ[name] for name in SITE_VARIABLES if name in os.environ}


onstart:
    locks.claim(Path(".snakemake"))
    os.environ.update(SITE)
    stop_launchers_on_termination(workflow.local_exec)
