"""Tables in, a csv and its picture out."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure

from opnorm.errors import FileError
from opnorm.figures import REGISTRY, style
from opnorm.figures.context import RANDOM, FigureContext
from opnorm.figures.summary import STATISTICS
from opnorm.tables import atomic_path, read_parquet, write_csv

StrPath = str | os.PathLike[str]


def render(
    name: str,
    tables: Iterable[tuple[str, int, StrPath]],
    context: FigureContext,
    *,
    pdf: StrPath,
    png: StrPath,
    csv: StrPath,
) -> None:
    """Summarise an analysis' tables, write the summary and draw it.

    Args:
        name: a figure in the registry.
        tables: method, seed and parquet file of each run.
        context: the experiment.
        pdf, png, csv: where the results go; the picture is drawn from the csv as it was written.

    Raises:
        FileError: a table is missing or damaged, or a result cannot be written.
        SettingsError: a table has a method that the experiment lacks, or lacks what the figure shows.
    """
    write_csv(_module(name).summarise(_read(tables), context), csv)
    redraw(name, csv, context, pdf=pdf, png=png)


def redraw(name: str, csv_path: StrPath, context: FigureContext, *, pdf: StrPath, png: StrPath) -> None:
    """Draw a figure from its csv; the same csv gives the same bytes.

    Raises:
        FileError: the csv is missing, or is not this figure's or this experiment's.
    """
    module = _module(name)
    figure = module.draw(_read_summary(csv_path, module.KEYS, context), context)
    save(figure, pdf, png)


def _module(name: str) -> ModuleType:
    return importlib.import_module(REGISTRY[name].module)


def _read(tables: Iterable[tuple[str, int, StrPath]]) -> pd.DataFrame:
    frames = [read_parquet(path).assign(method=method, seed=seed) for method, seed, path in tables]
    return pd.concat(frames, ignore_index=True)


def _read_summary(path: StrPath, keys: dict[str, type], context: FigureContext) -> pd.DataFrame:
    try:
        # A method may be called "null"; only an empty field, such as the spread of a single seed, is missing.
        summary = pd.read_csv(path, dtype=dict(keys), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: not a readable table ({error})") from error
    missing = {*keys, *STATISTICS} - {*summary.columns}
    if missing:
        raise FileError(f"{path}: not this figure's table: it lacks {', '.join(sorted(missing))}")
    unknown = {*summary.get("method", ())} - {*context.methods, RANDOM}
    if unknown:
        raise FileError(f"{path}: has methods that the experiment does not list: {', '.join(sorted(unknown))}")
    return summary


@style.paper_style()
def save(figure: Figure, pdf: StrPath, png: StrPath) -> None:
    """Write both pictures; the same figure gives the same bytes."""
    with atomic_path(pdf) as path:
        # The hour of drawing would make equal pictures differ.
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
    with atomic_path(png) as path:
        figure.savefig(path, format="png")
