import os
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from opnorm import figures, locks, plan
from opnorm.analysis import ON_TEST_SPLIT
from opnorm.claims.methods import describe
from opnorm.errors import OpnormError
from opnorm.figures.context import figure_context, read_contexts
from opnorm.launch_slurm import SITE_VARIABLES
from opnorm.launch_watch import stop_launchers_on_termination
from opnorm.options import suggest
from opnorm.report.constants import constants
from opnorm.selection import comparison
from opnorm.settings import Experiment


def read_experiment():
    schema = Path(workflow.current_basedir) / "../schemas/experiment.schema.yaml"
    return Experiment.from_config(config, yaml.safe_load(schema.read_text()), source())


def source():
    """Where the experiment is described, for messages."""
    files = ", ".join(os.path.relpath(path) for path in workflow.configfiles)
    return " and ".join(
        [files] * bool(files) + ["--config"] * bool(workflow.config_settings.config)
    )


def in_words(read):
    """What `read` returns; a wrong file ends Snakemake with its message alone."""
    try:
        return read()
    except OpnormError as error:
        sys.exit(f"Error: {error}")


def not_drawn(target, lacks):
    """The end, in words, of an experiment that is asked for a figure that it has not."""
    sys.exit(
        f"Error: {source()}: cannot draw {target} for want of {lacks}. With every figure there is "
        f"config/digits_full.yaml: snakemake {target} --configfile config/digits_full.yaml"
    )


def refuse_others(wildcards):
    """No input; the end, in words, where the results are those of the library alone."""
    # Either would take the other's files for its own, whatever settings had made them.
    if Path(FILES.ledger).is_file():
        sys.exit(
            f"Error: {RESULTS} has results of `python -m opnorm.reference run`, which goes on with them. For "
            "Snakemake's, choose another name (`experiment`), or remove the folder"
        )
    return []


def figure_files(*names):
    return expand(FIGURE_FILE, figure=names, suffix=["pdf", "png", "csv"])


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


def analysed_samples(seeds):
    """The attacked samples of a method's seeds, for the measurements that look at them."""

    def files(wildcards):
        if wildcards.analysis in ON_TEST_SPLIT:
            return []
        return [FILES.adversarial(wildcards.method, seed) for seed in seeds]

    return files


def rule_name(stage, seeds):
    """A job makes the files of all of a method's seeds, so that each list of seeds has a rule of its own."""
    return stage if seeds == EXPERIMENT.seeds else f"{stage}_seeds_{'_'.join(map(str, seeds))}"


def methods_with(seeds):
    """A pattern of the methods that have these seeds; one that matches nothing if there are none."""
    own = [method.name for method in EXPERIMENT.methods if method.seeds == seeds]
    others = [method.name for method in EXPERIMENT.methods if method.seeds != seeds]
    if len(own) <= len(others):
        return "|".join(own) or "(?!)"
    # Snakemake reads through the pattern for every file of every job: a thousand names take seconds.
    return rf"(?!(?:{'|'.join(others)})(?![\w-]))[\w-]+"


def known(name):
    """A method's name; the end, in words, where there is no such method."""
    if name not in METHODS:
        sys.exit(f"Error: {source()}: methods.{name} is not there{suggest(name, METHODS)}")
    return name


def share_resources(stage, seeds):
    """What --set-threads and --set-resources say of a stage holds for all of its rules."""
    take_resources(rule_name(stage, seeds), stage)


def take_resources(rule, stage):
    """Let what is said of a stage hold for a rule that does the same work."""
    workflow.get_rule(rule).resources = workflow.get_rule(stage).resources


def awaited(*methods):
    """The tables of the choices that the training of methods, or else a measurement, waits for."""
    # A table that was made again matters only where it chooses otherwise: then `decided` differs.
    return [
        ancient(FILES.choice(choice.table)) for choice in EXPERIMENT.selection.awaited(*methods)
    ]


def chosen_numbers(*methods):
    """What was chosen for the same, by its key."""
    return plan.chosen_numbers(FILES, EXPERIMENT.selection.awaited(*methods))


def decided(*methods):
    """The experiment with the numbers that were chosen for the same."""
    numbers = chosen_numbers(*methods)
    return EXPERIMENT.with_choices(numbers) if numbers else EXPERIMENT


def measured_threat():
    """The adversary of attacks and measurements; where its radius is chosen by rule, what finds it."""
    # Called for every job, it would take seconds of a thousand.
    if EXPERIMENT.selection.awaited():
        return lambda wildcards: asdict(decided().threat)
    return asdict(EXPERIMENT.threat)


def training_settings(wildcards):
    return decided(wildcards.method).training(wildcards.method).to_dict()


def candidate_settings(wildcards):
    value = None if wildcards.value == plan.ITSELF else float(wildcards.value)
    return decided().training(wildcards.method, value).to_dict()


def candidate_histories():
    """The history of each candidate's training, seed by seed."""
    return [FILES.candidate_history(*run) for run in EXPERIMENT.selection.candidates()]


def standard_models():
    standard = EXPERIMENT.method(EXPERIMENT.selection.epsilon.standard)
    return [FILES.model(standard.name, seed) for seed in standard.seeds]


EXPERIMENT = in_words(read_experiment)
SEEDS = list(dict.fromkeys([EXPERIMENT.seeds, *(method.seeds for method in EXPERIMENT.methods)]))
FIGURES = EXPERIMENT.figures()
METHODS = [method.name for method in EXPERIMENT.methods]
DRAWN = plan.drawn(EXPERIMENT)

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
CANDIDATE_MODEL = FILES.candidate_model("{method}", "{value}", "{seed}")
CANDIDATE_HISTORY = FILES.candidate_history("{method}", "{value}", "{seed}")
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


wildcard_constraints:
    seed=r"\d+",
    analysis="|".join(EXPERIMENT.analyses),


if locks.release_if_stale(Path(".snakemake")):
    logger.info(
        "The Snakemake that held this folder's lock is gone; going on from what it finished."
    )


# Snakemake's SLURM executor forgets these when it runs in a job itself.
SITE = {name: os.environ[name] for name in SITE_VARIABLES if name in os.environ}


# Snakemake reads local-cores nowhere: it would limit the threads of a cluster's jobs, and how many
# methods are waited for, by this machine's cores.
if workflow.resource_settings.local_cores:
    workflow.resource_settings.cores = workflow.resource_settings.local_cores
    workflow.global_resources["_cores"] = workflow.resource_settings.local_cores


onstart:
    locks.claim(Path(".snakemake"))
    os.environ.update(SITE)
    stop_launchers_on_termination(workflow.local_exec)
    if workflow.local_exec:
        # For its limit of submissions a second every pass of the scheduler asks for another, and
        # each finished job begins a new chain of them: after a hundred jobs they take a fifth of a
        # core.
        workflow.scheduler.job_rate_limiter = None
