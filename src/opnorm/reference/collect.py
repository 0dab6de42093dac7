"""From an experiment's results to what is kept of them in git: tables, figures and how they were made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from opnorm import figures, plan, provenance
from opnorm.errors import FileError
from opnorm.figures.context import figure_context, write_contexts
from opnorm.plan import Files
from opnorm.reference.readme import readme
from opnorm.settings import Experiment
from opnorm.tables import write_csv, write_text

LARGEST = 10 * 2**20
"""So many bytes may be collected of an experiment."""

# A pdf is kept beside its png up to this size; one with thousands of markers is redrawn where it is wanted.
_LARGEST_PDF = 200 * 2**10
_HISTORY = ("loss", "accuracy", "test_accuracy")


def collect(
    experiment: Experiment, files: Files, destination: Path, made_by: Mapping[str, Any], *, captions: Mapping[str, str]
) -> None:
    """Gather what there is of an experiment's tables and figures in `destination`, in place of what is there.

    How rules chose stays where this run took their numbers as recorded.

    Args:
        experiment: what was run, with numbers for what its rules chose.
        files: where its results are.
        destination: a folder for this experiment alone: figures/ has each figure's numbers and pictures, figures.json
            what they need to be drawn again, history.csv a row for each training; further claims.csv, selection/,
            provenance.json and a README.md.
        made_by: what `provenance.record` found when the results were made.
        captions: what each figure shows, as `plan.captions` has it.

    Raises:
        FileError: there are no figures, or more than `LARGEST` bytes.
    """
    aside = destination.with_name(f".{destination.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _gather(experiment, files, aside, made_by, captions, earlier=destination)
        _refuse_large(aside)
        shutil.rmtree(destination, ignore_errors=True)
        aside.replace(destination)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _gather(
    experiment: Experiment,
    files: Files,
    folder: Path,
    made_by: Mapping[str, Any],
    captions: Mapping[str, str],
    *,
    earlier: Path,
) -> None:
    drawn = [name for name in experiment.figures() if Path(files.figure(name, "csv")).is_file()]
    if not drawn:
        raise FileError(f"{files.folder}/figures: no figures there; run the experiment first")
    (folder / "figures").mkdir(parents=True)
    for name in drawn:
        for path in _pictures(files, name):
            shutil.copy(path, folder / "figures" / path.name)
    contexts = {name: figure_context(experiment, *figures.REGISTRY[name].groups) for name in drawn}
    write_contexts(contexts, folder / "figures.json")
    if Path(files.claims).is_file():
        shutil.copy(files.claims, folder / "claims.csv")
    chosen = plan.numbers_by_rule(experiment)
    for source in (Path(files.folder), *([earlier] if chosen else [])):
        if _copy_selection(source, folder):
            break
    write_csv(histories(experiment, files), folder / "history.csv")
    provenance.write({**made_by, "chosen": chosen} if chosen else made_by, folder / "provenance.json")
    write_text(readme(experiment, folder, made_by, captions), folder / "README.md")


def _copy_selection(source: Path, folder: Path) -> bool:
    """Copy how rules chose, which is not among the figures that can be drawn again; whether there was any."""
    tables = list(source.glob("selection/*.csv"))
    for path in [*tables, *source.glob("figures/selection.*")] if tables else []:
        target = folder / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    return bool(tables)


def _pictures(files: Files, name: str) -> Iterator[Path]:
    """The numbers and pictures of a figure that are kept."""
    for suffix in ("csv", "png", "pdf"):
        path = Path(files.figure(name, suffix))
        if path.is_file() and (suffix != "pdf" or path.stat().st_size <= _LARGEST_PDF):
            yield path


def histories(experiment: Experiment, files: Files) -> pd.DataFrame:
    """What each training came to.

    Returns:
        Columns method, seed, epochs; loss, accuracy and test_accuracy of the last epoch; seconds and images per second
        of all epochs. A row for each run whose history is there.
    """
    rows = []
    for method in experiment.methods:
        for seed in method.seeds:
            path = Path(files.history(method.name, seed))
            if path.is_file():
                rows.append({"method": method.name, "seed": seed, **_summary(pd.read_csv(path))})
    return pd.DataFrame(rows)


def _summary(history: pd.DataFrame) -> dict[str, Any]:
    last = history.iloc[-1]
    images = (history["seconds"] * history["images_per_second"]).sum()
    seconds = history["seconds"].sum()
    return {
        "epochs": int(last["epoch"]),
        **{name: last[name] for name in _HISTORY},
        "seconds": seconds,
        "images_per_second": images / seconds,
    }


def _refuse_large(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    if sum(sizes.values()) > LARGEST:
        largest = max(sizes, key=lambda path: sizes[path])
        raise FileError(
            f"{sum(sizes.values()) / 2**20:.1f} MiB would be kept, more than {LARGEST / 2**20:.0f}; "
            f"the largest is {largest.relative_to(folder)} with {sizes[largest] / 2**20:.1f} MiB"
        )
