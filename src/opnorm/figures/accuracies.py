"""Table 2: accuracy without an attack and under the training's threat model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.errors import SettingsError
from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import beside, drawn_methods, norm_label, percent_axis, rows_from_top
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "epsilon": float}

# Where the heading is, in rows.
_HEADING = -1.2


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the robustness table: the rows of the training norm at epsilon 0 and at the training epsilon.

    Raises:
        SettingsError: the training's threat model was not measured.
    """
    # An epsilon may have been through float32 on its way into the table.
    trained = np.isclose(table["epsilon"], context.epsilon, rtol=1e-6, atol=0.0)
    same_norm = table["norm"] == context.norm
    if not (same_norm & trained).any():
        raise SettingsError(
            f"accuracy was not measured at the training's epsilon {context.epsilon:g} in its norm, "
            f"l{context.norm:g}; add it to the analysis robustness"
        )
    return summarise_methods(table[same_norm & (trained | (table["epsilon"] == 0.0))], KEYS, "correct", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A row per method: filled markers for clean, open ones for attacked inputs, and the numbers beside."""
    methods = drawn_methods(summary, context)
    figure = Figure(figsize=(style.COLUMN_WIDTH, 0.75 + 0.2 * len(methods)), layout="constrained")
    axes = figure.subplots()
    for row, method in enumerate(methods):
        appearance = style.look(method, context)
        part = summary[summary["method"] == method].sort_values("epsilon")
        axes.plot(part["mean"], [row] * len(part), color=appearance.colour, linewidth=0.8)
        for epsilon, mean, error in part[["epsilon", "mean", "standard_error"]].to_numpy():
            _draw_cell(axes, row, epsilon, mean, error, appearance)
    for epsilon in summary["epsilon"].unique():
        _write(axes, _HEADING, epsilon, "● clean" if epsilon == 0.0 else _attack(context.norm, epsilon))
    rows_from_top(axes, [context.label(method) for method in methods])
    axes.set_xlim(-0.03, 1.04)
    percent_axis(axes.xaxis)
    axes.set_xlabel(f"accuracy on {context.dataset} (%)")
    return figure


def _attack(norm: float, epsilon: float) -> str:
    """In two lines, since a radius may have many digits."""
    return rf"○ {norm_label(f'{norm:g}')} attack" + "\n" + rf"$\epsilon = {epsilon:g}$"


def _draw_cell(axes: Axes, row: int, epsilon: float, mean: float, error: float, appearance: style.Look) -> None:
    face = appearance.colour if epsilon == 0.0 else "white"
    axes.errorbar(
        mean,
        row,
        xerr=error,
        fmt=appearance.marker,
        markersize=3.5,
        color=appearance.colour,
        markerfacecolor=face,
    )
    _write(axes, row, epsilon, f"{100 * mean:.1f}±{100 * error:.1f}")


def _write(axes: Axes, row: float, epsilon: float, text: str) -> None:
    """Set `text` right of the axes, clean inputs' numbers first; above the first row is the heading."""
    beside(axes, row, 24.0 if epsilon == 0.0 else 66.0, text, fontsize=7)
