"""How the rules of an experiment chose its constants: each candidate, what it was to reach, and the choice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from opnorm.errors import FileError
from opnorm.figures import style
from opnorm.figures.panels import length_label
from opnorm.figures.render import save
from opnorm.tables import write_csv

StrPath = str | os.PathLike[str]

EPSILON = "epsilon"
"""The column of values in a table of radii; in others it is an option's name."""

# Labels of so many candidates find room below a panel.
_MOST_TICKS = 8

_COLUMNS = ["value", "mean", "seed_std", "target", "chosen"]


@dataclass(frozen=True)
class Panel:
    """One rule as it is drawn.

    Attributes:
        key: of the constant in the experiment file.
        column: of the candidates' values in the table.
        title: what was measured: a method.
        target: what the dashed line is.
        norm: p of the experiment's threat model, in words: "1", "2" or "inf".
    """

    key: str
    column: str
    title: str
    target: str
    norm: str


def render_selection(
    panels: Iterable[Mapping[str, str]], tables: Iterable[StrPath], *, pdf: StrPath, png: StrPath, csv: StrPath
) -> None:
    """Write what is drawn of the tables of choices, and draw it.

    Args:
        panels: a `Panel` in plain values for each table.
        tables: csvs that `opnorm.selection_run` wrote.
        pdf, png, csv: where the results go; the csv holds exactly what is drawn.

    Raises:
        FileError: a table is missing or damaged, or a result cannot be written.
    """
    drawn = [Panel(**panel) for panel in panels]
    read = zip(drawn, tables, strict=True)
    summary = pd.concat([_summarise(panel, path).assign(rule=panel.key) for panel, path in read], ignore_index=True)
    write_csv(summary[["rule", *_COLUMNS]], csv)
    save(draw(summary, drawn), pdf, png)


def _summarise(panel: Panel, path: StrPath) -> pd.DataFrame:
    measured = "misclassified" if panel.column == EPSILON else "accuracy"
    try:
        table = pd.read_csv(path)
        names = {panel.column: "value", measured: "mean", "share": "target"}
        return table.rename(columns=names)[_COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{path}: not a table of a choice ({error}); delete it and run again") from error


@style.paper_style()
def draw(summary: pd.DataFrame, panels: list[Panel]) -> Figure:
    """A panel per rule, two in a row; the choice is the filled marker, bars are deviations over seeds."""
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width = style.COLUMN_WIDTH if columns == 1 else style.DOUBLE_COLUMN_WIDTH
    figure = Figure(figsize=(width, 2.1 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, axes in zip(panels, grid, strict=False):
        _draw_panel(axes, summary[summary["rule"] == panel.key], panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _draw_panel(axes: Axes, points: pd.DataFrame, panel: Panel) -> None:
    points = points.sort_values("value")
    axes.errorbar(
        points["value"], points["mean"], yerr=points["seed_std"], color="black", marker="o", markersize=3.5,
        markerfacecolor="white", linewidth=0.9,
    )  # fmt: skip
    chosen = points[points["chosen"]]
    label = f"chosen: {chosen['value'].iloc[0]:g}"
    axes.plot(chosen["value"], chosen["mean"], "o", color="black", markersize=5.0, zorder=3, label=label)
    axes.axhline(points["target"].iloc[0], **{**style.TRAINING_LINE, "label": panel.target})
    if (points["value"] > 0.0).all():
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        if len(points) <= _MOST_TICKS:
            axes.set_xticks(points["value"])
            axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(panel.title)
    axes.set_xlabel(length_label(panel.norm, "radius") if panel.column == EPSILON else panel.column.replace("_", " "))
    axes.set_ylabel(f"{'misclassified' if panel.column == EPSILON else 'held-out accuracy'} (%)")
    # The accuracies of candidates may differ by less than a percent.
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, symbol=""))
    axes.legend()
