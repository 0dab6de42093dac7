"""The page that goes with collected results, written from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from opnorm import figures
from opnorm.plan import numbers_by_rule
from opnorm.reference.markdown import table
from opnorm.selection import Choice, read_choice
from opnorm.settings import Experiment
from opnorm.threat_model import ThreatModel

_VERSIONS = ("python", "torch", "torchvision", "numpy", "pandas", "matplotlib")


def readme(experiment: Experiment, folder: Path, made_by: Mapping[str, Any], captions: Mapping[str, str]) -> str:
    """What was run, where, how long it took, and what came out.

    Args:
        experiment: what was run, with numbers for what its rules chose.
        folder: with the collected files.
        made_by: what `provenance.record` found when the results were made.
        captions: what each figure shows, as `plan.captions` has it.
    """
    parts = (
        _title(experiment),
        _provenance(made_by),
        _chosen(experiment, folder),
        _accuracies(experiment, folder / "figures/accuracies.csv"),
        _claims(folder / "claims.csv"),
        _figures(experiment, folder / "figures", captions),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(experiment: Experiment) -> str:
    name, threat = experiment.name, experiment.threat
    model = ", ".join(f"{key} {value}" for key, value in experiment.model.items()).removeprefix("name ")
    methods = ", ".join(f"{method.label} ({_count(len(method.seeds), 'seed')})" for method in experiment.methods)
    return (
        f"# Reference results: {name}\n\n"
        f"Data: {experiment.dataset}. Model: {model}. Epochs: {experiment.optimization.epochs}. Methods: {methods}. "
        f"Threat: {_radius(threat, threat.epsilon)}, {_count(threat.iterations, 'iteration')}.\n\n"
        f"    make reference EXPERIMENT={name}    # train and measure again; what rules chose is kept\n"
        "    snakemake reference_figures         # every figure from the tables here, in seconds\n\n"
        "`figures/` has each figure's numbers and pictures, `history.csv` what each training came to, "
        "`provenance.json` how all was made."
    )


def _provenance(made_by: Mapping[str, Any]) -> str:
    machines = made_by.get("machines") or ["unknown"]
    versions = made_by.get("versions", {})
    facts = [
        ("commit", _commit(made_by.get("commit"))),
        ("time (UTC)", made_by.get("time", "unknown")),
        ("machine", "; ".join(machines)),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)),
    ]
    stages = [(stage["stage"], stage["jobs"], f"{stage['seconds']:.1f}") for stage in made_by.get("stages", [])]
    total = sum(stage["seconds"] for stage in made_by.get("stages", []))
    times = table(("stage", "jobs", "seconds"), [*stages, ("all", sum(row[1] for row in stages), f"{total:.1f}")])
    return "## How it was made\n\n" + table(("", ""), facts) + (f"\n\nWall time:\n\n{times}" if stages else "")


def _chosen(experiment: Experiment, folder: Path) -> str:
    """The numbers that rules of the experiment file chose, beside what they choose from the tables here."""
    numbers = numbers_by_rule(experiment)
    if not numbers:
        return ""
    here = {choice.key: f"{found:g}" for choice in experiment.selection.choices() if (found := _found(choice, folder))}
    heads = ("constant", "number", *(["chosen from the tables in `selection/`"] if here else []))
    rows = [(f"`{key}`", f"{number:g}", *([here.get(key, "")] if here else [])) for key, number in numbers.items()]
    shown = "\n\n![selection](figures/selection.png)" if (folder / "figures/selection.png").is_file() else ""
    return "## Chosen by rule\n\n" + table(heads, rows) + shown


def _found(choice: Choice, folder: Path) -> float | None:
    path = folder / "selection" / f"{choice.table}.csv"
    return read_choice(str(path), choice.column) if path.is_file() else None


def _commit(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "unknown"
    changes = f", with changes in {', '.join(found['changed'])}" if found["changed"] else ""
    return f"{found['hash']}{changes}"


def _accuracies(experiment: Experiment, path: Path) -> str:
    """Clean and attacked accuracy in percent: mean, standard error over samples, spread over seeds."""
    if not path.is_file():
        return ""
    accuracies = pd.read_csv(path, keep_default_na=False, na_values=[""])
    labels = {method.name: method.label for method in experiment.methods}
    radii = sorted(accuracies["epsilon"].unique())
    cells = {(row.method, row.epsilon): _percent(row) for row in accuracies.itertuples()}
    rows = [
        (labels.get(method, method), *(cells.get((method, radius), "") for radius in radii))
        for method in dict.fromkeys(accuracies["method"])
    ]
    heads = ["clean" if radius == 0.0 else _radius(experiment.threat, radius) for radius in radii]
    return (
        "## Accuracy\n\nIn percent, ± the standard error over test samples; in brackets the standard deviation over "
        f"seeds.\n\n{table(('method', *heads), rows)}"
    )


def _radius(threat: ThreatModel, radius: float) -> str:
    return f"l{threat.norm:g}, epsilon = {radius:g}"


def _percent(row: Any) -> str:
    spread = "" if pd.isna(row.seed_std) else f" ({100 * row.seed_std:.1f})"
    return f"{100 * row.mean:.1f} ± {100 * row.standard_error:.1f}{spread}"


def _claims(path: Path) -> str:
    if not path.is_file():
        return ""
    claims = pd.read_csv(path)
    if claims.empty:
        return ""
    rows = [(row.claim, row.section, row.statement, _estimate(row), row.verdict) for row in claims.itertuples()]
    return "## Claims\n\n" + table(("claim", "section", "statement", "estimate [interval]", "verdict"), rows)


def _estimate(row: Any) -> str:
    estimate = f"{row.estimate:.3g}"
    return estimate if row.low == row.high else f"{estimate} [{row.low:.3g}, {row.high:.3g}]"


def _figures(experiment: Experiment, folder: Path, captions: Mapping[str, str]) -> str:
    parts = ["## Figures"]
    for name in experiment.figures():
        if (folder / f"{name}.png").is_file():
            paper = ", ".join(figures.REGISTRY[name].paper)
            title = f"{name} ({paper})" if paper else name
            picture = f"![{name}](figures/{name}.png)"
            parts += [f"### {title}", picture, *_caption(captions.get(name, ""))]
    missing = [name for name in experiment.figures() if not (folder / f"{name}.csv").is_file()]
    if missing:
        parts.append(f"Not made: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _caption(text: str) -> list[str]:
    """A paragraph of Markdown, from reStructuredText with no more than ``literals``; none if there is no text."""
    text = text.strip().replace("``", "`")
    return [text] if text else []


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
