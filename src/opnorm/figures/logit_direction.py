"""Sec. 7.4: how far the logit direction of cross-entropy is the one that the Jacobian amplifies most, by method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from opnorm.figures import style
from opnorm.figures.context import RANDOM, FigureContext
from opnorm.figures.panels import drawn_methods, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "quantity": str, "direction": str, "inputs": str}

_QUANTITIES = {
    "cosine": r"cosine $|\langle d, u_1 \rangle| / \|d\|_2$",
    "gain": r"gain $\|J_f^\top d\|_2 / (\|d\|_2 \, \sigma_1)$",
}
_CROSS_ENTROPY = "cross_entropy"
_INPUTS = ("clean", "adversarial")


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, inputs, direction, cosine, gain, method, seed; one row for each quantity."""
    columns = ["sample", "seed", "method", "direction", "inputs"]
    long = table.melt(columns, list(_QUANTITIES), var_name="quantity", value_name="value")
    return summarise_methods(long, KEYS, "value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per quantity, a row per method; clean inputs filled, attacked ones open; random directions in gray."""
    methods = drawn_methods(summary, context)
    figure, row = row_of_panels(len(_QUANTITIES), _legend())
    figure.set_figheight(0.9 + 0.22 * len(methods))
    for axes, (quantity, label) in zip(row, _QUANTITIES.items(), strict=True):
        _draw_panel(axes, summary[summary["quantity"] == quantity], methods, context)
        axes.set_xlabel(label)
    row[0].set_yticks(range(len(methods)), [context.label(method) for method in methods])
    row[0].set_ylim(len(methods) - 0.4, -0.6)
    return figure


def _draw_panel(axes: Axes, part: pd.DataFrame, methods: list[str], context: FigureContext) -> None:
    columns = ["method", "direction", "inputs", "mean", "standard_error"]
    for method, direction, inputs, mean, error in part[columns].itertuples(index=False):
        appearance = style.look(method if direction == _CROSS_ENTROPY else RANDOM, context)
        # The two kinds of inputs side by side, so that neither hides the other.
        place = methods.index(method) + 0.24 * _INPUTS.index(inputs) - 0.12
        _draw_point(axes, mean, place, error, appearance, filled=inputs == _INPUTS[0])
    axes.set_xlim(0.0, 1.03)
    axes.grid(visible=False, axis="y")


def _draw_point(axes: Axes, mean: float, place: float, error: float, appearance: style.Look, *, filled: bool) -> None:
    axes.errorbar(
        mean, place, xerr=error, fmt=appearance.marker, markersize=3.5, color=appearance.colour, elinewidth=0.8,
        markerfacecolor=appearance.colour if filled else "white", markeredgewidth=0.7,
    )  # fmt: skip


def _legend() -> list[Line2D]:
    def handle(label: str, marker: str, colour: str, face: str) -> Line2D:
        return Line2D(
            [], [], linestyle="none", label=label, marker=marker, color=colour, markerfacecolor=face, markersize=3.5,
            markeredgewidth=0.7,
        )  # fmt: skip

    gray = style.look(RANDOM, FigureContext((), {}, 2.0, 0.0, "")).colour
    return [
        handle("clean inputs", "o", "black", "black"),
        handle("adversarial inputs", "o", "black", "white"),
        handle(r"in colour: $d$ = softmax$(z) - e_y$, $y$ predicted", "", "black", "black"),
        handle("random $d$ that sums to zero", "*", gray, gray),
    ]
