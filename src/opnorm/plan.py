"""Where an experiment's results lie, and which code each goes through: for those that make them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opnorm import analysis, datasets, figures, models, objectives
from opnorm.claims.methods import Context, describe
from opnorm.claims.registry import needed
from opnorm.provenance import code_digest
from opnorm.settings import Experiment

ITSELF = "itself"
"""In the place of a candidate's value, of a method that others match."""


@dataclass(frozen=True)
class Files:
    """The paths of an experiment's results below `folder`; what stands in braces stays, as Snakemake's wildcards do."""

    folder: str

    def split(self, split: str) -> str:
        """A prepared split of the data."""
        return f"{self.folder}/data/{split}.safetensors"

    def model(self, method: str, seed: int | str) -> str:
        """A run's weights."""
        return f"{self.folder}/models/{method}/{seed}.safetensors"

    def history(self, method: str, seed: int | str) -> str:
        """A run's epochs."""
        return f"{self.folder}/history/{method}/{seed}.csv"

    def checkpoints(self, method: str) -> str:
        """The folder of a method's checkpoints, with a folder for each seed."""
        return f"{self.folder}/checkpoints/{method}"

    def adversarial(self, method: str, seed: int | str) -> str:
        """A run's attacked samples."""
        return f"{self.folder}/adversarial/{method}/{seed}.safetensors"

    def table(self, analysis: str, method: str, seed: int | str) -> str:
        """What an analysis measured on a run."""
        return f"{self.folder}/analysis/{analysis}/{method}/{seed}.parquet"

    def figure(self, figure: str, suffix: str) -> str:
        """A figure as pdf or png, or its numbers as csv."""
        return f"{self.folder}/figures/{figure}.{suffix}"

    @property
    def selection(self) -> str:
        """The folder of what constants are chosen from."""
        return f"{self.folder}/selection"

    def choice(self, table: str) -> str:
        """What a rule chose, and from what."""
        return f"{self.selection}/{table}.csv"

    def held_out(self, split: str) -> str:
        """A part of the training split: "train" or "validation"."""
        return f"{self.selection}/data/{split}.safetensors"

    def candidate_model(self, method: str, value: float | str, seed: int | str) -> str:
        """The weights of a training that a rule compares; the value is `ITSELF` for a method that others match."""
        return f"{self.selection}/models/{method}/{value}/{seed}.safetensors"

    def candidate_history(self, method: str, value: float | str, seed: int | str) -> str:
        """Its epochs."""
        return f"{self.selection}/history/{method}/{value}/{seed}.csv"

    def candidate_checkpoints(self, method: str, value: float | str) -> str:
        """The folder of its checkpoints, with a folder for each seed."""
        return f"{self.selection}/checkpoints/{method}/{value}"

    @property
    def report(self) -> str:
        """Everything on one page."""
        return f"{self.folder}/report.html"

    @property
    def provenance(self) -> str:
        """What made the results."""
        return f"{self.folder}/provenance.json"

    @property
    def claims(self) -> str:
        """The verdicts on the paper's claims."""
        return f"{self.folder}/claims.csv"


def claimed_runs(experiment: Experiment) -> list[tuple[str, str, int]]:
    """Analysis, method and seed of each table by which a claim is judged."""
    return [
        (name, method, seed)
        for name, method in needed(Context.from_dict(describe(experiment)))
        for seed in experiment.method(method).seeds
    ]


def data_code(experiment: Experiment) -> str:
    """Digest of the code that prepares the data."""
    return code_digest("opnorm.data", _module(datasets.REGISTRY, experiment.dataset))


def training_code(experiment: Experiment, method: str) -> str:
    """Digest of the code that trains `method`."""
    objective = _module(objectives.REGISTRY, experiment.method(method).objective)
    return code_digest("opnorm.training", _model(experiment), objective)


def attack_code(experiment: Experiment) -> str:
    """Digest of the code that attacks the analysed samples."""
    return code_digest("opnorm.analysis.run", _model(experiment))


def analysis_code(experiment: Experiment, name: str) -> str:
    """Digest of the code that takes the measurement `name`."""
    return code_digest("opnorm.analysis.run", _model(experiment), _module(analysis.REGISTRY, name))


def figure_code(name: str) -> str:
    """Digest of the code that draws the figure `name`."""
    return code_digest("opnorm.figures.render", figures.REGISTRY[name].module)


def claims_code() -> str:
    """Digest of the code that judges claims."""
    return code_digest("opnorm.claims.run")


def epsilon_code(experiment: Experiment) -> str:
    """Digest of the code that chooses the radius."""
    return code_digest("opnorm.selection_run", _model(experiment))


def hold_out_code() -> str:
    """Digest of the code that divides the training split."""
    return code_digest("opnorm.validation")


def match_code() -> str:
    """Digest of the code that compares candidates."""
    return code_digest("opnorm.selection_run")


def selection_figure_code() -> str:
    """Digest of the code that draws the figure `selection`."""
    return code_digest("opnorm.figures.selection")


def report_code() -> str:
    """Digest of the code that writes the report."""
    return code_digest("opnorm.report.page", "opnorm.provenance")


def reference_code() -> str:
    """Digest of the code that collects an experiment's results."""
    return code_digest("opnorm.reference.collect")


def _model(experiment: Experiment) -> str:
    return _module(models.REGISTRY, experiment.model["name"])


def _module(registry: Mapping[str, str], name: str) -> str:
    return registry[name].split(":")[0]
