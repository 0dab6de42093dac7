import os
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from opnorm import figures, locks, plan
from opnorm.claims.methods import describe
from opnorm.errors import OpnormError
from opnorm.figures.context import figure_context, read_contexts
from opnorm.launch_slurm import SITE_VARIABLES
from opnorm.launch_watch import stop_launchers_on_termination
from opnorm.settings import Experiment


def read_experiment():
    schema = Path(workflow.current_basedir) / "../schemas/experiment.schema.yaml"
    source = ", ".join(os.path.relpath(path) for path in workflow.configfiles) or "--config"
    return Experiment.from_config(config, yaml.safe_load(schema.read_text()), source)


def in_words(read):
    """What `read` returns; a wrong file ends Snakemake with its message alone."""
    try:
        return read()
    except OpnormError as error:
        sys.exit(f"Error: {error}")


def figure_files(*names):
    return expand(FIGURE_FILE, figure=names, suffix=["pdf", "png", "csv"])


def caption(figure):
    """Its text in workflow/report, as a parameter of the report: a change writes it again."""
    path = Path(workflow.current_basedir) / f"../report/{figure}.rst"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def tables(analyses, *groups):
    """The tables of some analyses for all runs of some groups' methods."""
    return [
        TABLE.format(analysis=name, method=method, seed=seed)
        for name in analyses
        for method, seed in EXPERIMENT.runs(*groups)
    ]


def redrawn(reference, figure, suffix):
    return f"results/redrawn/{reference}/{figure}.{suffix}"


def collected_contexts():
    """Collected experiment -> figure -> what it has to know; of the figures that there still are."""
    return {
        path.parent.name: {
            name: context
            for name, context in read_contexts(path).items()
            if name in figures.REGISTRY
        }
        for path in sorted(Path(REFERENCE).glob("*/figures.json"))
    }


def per_seed(pattern, seeds):
    """`pattern` once for each seed; its other wildcards stay."""
    return expand(pattern, seed=seeds, allow_missing=True)


def rule_name(stage, seeds):
    """A job makes the files of all of a method's seeds, so that each list of seeds has a rule of its own."""
    return stage if seeds == EXPERIMENT.seeds else f"{stage}_seeds_{'_'.join(map(str, seeds))}"


def methods_with(seeds):
    """A pattern of the methods that have these seeds; one that matches nothing if there are none."""
    return "|".join(method.name for method in EXPERIMENT.methods if method.seeds == seeds) or "(?!)"


def share_resources(stage, seeds):
    """What --set-threads and --set-resources say of a stage holds for all of its rules."""
    workflow.get_rule(rule_name(stage, seeds)).resources = workflow.get_rule(stage).resources


EXPERIMENT = in_words(read_experiment)
SEEDS = list(dict.fromkeys([EXPERIMENT.seeds, *(method.seeds for method in EXPERIMENT.methods)]))
FIGURES = EXPERIMENT.figures()

RESULTS = f"results/{EXPERIMENT.name}"
FILES = plan.Files(RESULTS)
SPLIT = FILES.split("{split}")
MODEL = FILES.model("{method}", "{seed}")
HISTORY = FILES.history("{method}", "{seed}")
ADVERSARIAL = FILES.adversarial("{method}", "{seed}")
TABLE = FILES.table("{analysis}", "{method}", "{seed}")
CLAIMS = FILES.claims
FIGURE_FILE = FILES.figure("{figure}", "{suffix}")
REFERENCE = "results/reference"
CONTEXTS = in_words(collected_contexts)
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


wildcard_constraints:
    method="|".join(method.name for method in EXPERIMENT.methods),
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
