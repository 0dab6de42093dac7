"""Where an experiment's results lie, and which code each goes through: for those that make them. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opnorm import analysis, datasets, figures, models, objectives
from opnorm.claims.methods import Context, describe
from opnorm.claims.registry import needed, undecidable
from opnorm.figures.context import FigureContext, figure_context
from opnorm.provenance import code_digest
from opnorm.selection import EPSILON_KEY, Choice, EpsilonRule, MatchRule, read_choice
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

    def candidate_model(self, method: str, value: float | str | None, seed: int | str) -> str:
        """The weights of a training that a rule compares; the value is None for a method that others match."""
        return f"{self.selection}/models/{method}/{_candidate(value)}/{seed}.safetensors"

    def candidate_history(self, method: str, value: float | str | None, seed: int | str) -> str:
        """Its epochs."""
        return f"{self.selection}/history/{method}/{_candidate(value)}/{seed}.csv"

    def candidate_checkpoints(self, method: str, value: float | str | None) -> str:
        """The folder of its checkpoints, with a folder for each seed."""
        return f"{self.selection}/checkpoints/{method}/{_candidate(value)}"

    @property
    def report(self) -> str:
        """Everything on one page."""
        return f"{self.folder}/report.html"

    @property
    def provenance(self) -> str:
        """What made the results."""
        return f"{self.folder}/provenance.json"

    @property
    def ledger(self) -> str:
        """What `python -m opnorm.reference run` has made."""
        return f"{self.folder}/made.json"

    @property
    def claims(self) -> str:
        """The verdicts on the paper's claims."""
        return f"{self.folder}/claims.csv"


def drawn(experiment: Experiment) -> list[str]:
    """The figures among an experiment's results: without numbers for what rules choose, how they chose is one."""
    return [*experiment.figures(), *(["selection"] if experiment.selection.is_open else [])]


def not_drawn(experiment: Experiment) -> dict[str, str]:
    """What the experiment lacks, in words, by each name of a figure, and number of the paper's, that it cannot draw."""
    groups = {method.group for method in experiment.methods}
    found: dict[str, str] = {}
    for target, names in ({name: [name] for name in figures.REGISTRY} | figures.aliases()).items():
        entries = [figures.REGISTRY[name] for name in names]
        analyses = [entry.analysis for entry in entries if entry.analysis not in experiment.analyses]
        missing = [group for entry in entries for group in entry.groups if group not in groups]
        lacks = dict.fromkeys(
            [f"the analysis {name}" for name in analyses] + [f"a method of the group {name}" for name in missing]
        )
        if lacks:
            found[target] = " and ".join(lacks)
    return found


def report_figures(experiment: Experiment, captions: Path) -> list[dict[str, Any]]:
    """What the report says of each figure: `name`; `paper`, the figures and tables that it reproduces; `caption`.

    Args:
        experiment: what was run.
        captions: a folder with a text per figure; one that is not there is empty.
    """
    return [{"name": name, "paper": _paper(name), "caption": caption(name, captions)} for name in drawn(experiment)]


def caption(figure: str, captions: Path) -> str:
    """A figure's text in the folder `captions`; empty if there is none."""
    path = captions / f"{figure}.rst"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def captions(experiment: Experiment, folder: Path) -> dict[str, str]:
    """The text of each figure of an experiment, from `folder`; empty if there is none."""
    return {name: caption(name, folder) for name in experiment.figures()}


def report_context(experiment: Experiment) -> FigureContext:
    """What the report has to know of an experiment, with its own threat model: that of the last group."""
    return figure_context(experiment, *reversed(figures.groups()))


def open_tables(experiment: Experiment, files: Files) -> list[str]:
    """The tables of all choices, where something has to be chosen before the experiment can go on."""
    selection = experiment.selection
    return [files.choice(choice.table) for choice in selection.choices()] if selection.is_open else []


def chosen_numbers(files: Files, choices: Iterable[Choice]) -> dict[str, float]:
    """What was chosen, by its key, for `Experiment.with_choices`.

    Raises:
        FileNotFoundError: a choice is not made yet.
        FileError: its table is damaged.
    """
    return {choice.key: read_choice(files.choice(choice.table), choice.column) for choice in choices}


def numbers_by_rule(experiment: Experiment) -> dict[str, float]:
    """The numbers of an experiment for what its rules choose, by their keys, and those that methods take of these."""
    chosen = {
        choice.key: experiment.threat.epsilon
        if choice.key == EPSILON_KEY
        else experiment.method(choice.table).options[choice.column]
        for choice in experiment.selection.choices()
    }
    taken = experiment.selection.taken
    return chosen | {number.key: chosen[number.source] for number in taken if number.source in chosen}


def as_rule(rule: EpsilonRule | MatchRule) -> dict[str, Any]:
    """In plain values, without what the experiment file says that it chooses."""
    return {key: value for key, value in asdict(rule).items() if key != "chosen"}


def without_radius(experiment: Experiment) -> dict[str, Any]:
    """The experiment's adversary in plain values, while the radius is chosen."""
    return {key: value for key, value in asdict(experiment.threat).items() if key != "epsilon"}


def selection_panels(experiment: Experiment) -> list[dict[str, str]]:
    """What the figure says of each choice: whose networks were measured, and what the dashed line is."""
    label = {method.name: method.label for method in experiment.methods}
    rules, norm = experiment.selection, f"{experiment.threat.norm:g}"
    panels = []
    for choice in rules.choices():
        if rules.epsilon is not None and choice.key == EPSILON_KEY:
            title, target = label[rules.epsilon.standard], f"{100 * rules.epsilon.share:g} %"
        else:
            title, target = label[choice.table], label[rules.matches[choice.table].match]
        panels.append({"key": choice.key, "column": choice.column, "title": title, "target": target, "norm": norm})
    return panels


def claimed_runs(experiment: Experiment) -> list[tuple[str, str, int]]:
    """Analysis, method and seed of each table by which a claim is judged."""
    seeds = {method.name: method.seeds for method in experiment.methods}
    return [
        (name, method, seed)
        for name, method in needed(Context.from_dict(describe(experiment)))
        for seed in seeds[method]
    ]


def not_judged(experiment: Experiment) -> dict[str, str]:
    """Why claims are not judged, by their names."""
    return undecidable(Context.from_dict(describe(experiment)))


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


def _candidate(value: float | str | None) -> float | str:
    return ITSELF if value is None else value


def _paper(figure: str) -> tuple[str, ...]:
    return figures.REGISTRY[figure].paper if figure in figures.REGISTRY else ()


def _model(experiment: Experiment) -> str:
    return _module(models.REGISTRY, experiment.model["name"])


def _module(registry: Mapping[str, str], name: str) -> str:
    return registry[name].split(":")[0]
