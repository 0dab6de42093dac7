"""Reasons to doubt a robust accuracy: a number per check and method, and whether it is above its threshold."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import drawn_methods, norm_label, rows_from_top
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "check": str, "norm": str, "epsilon": float, "threshold": float}

NETWORK = "network"
"""What stands in the column `norm` for checks of the network alone, whose epsilon is 0."""

_NAMES = {
    "zero_gradients": "zero gradients",
    "randomness": "answers that differ",
    "probabilities": "probabilities for logits",
    "black_box": "broken by black box alone",
    "monotone": "accuracy rises with radius",
    "large_epsilon": "accuracy in largest ball",
}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, check, norm, epsilon, value, threshold, method, seed; the norm becomes a word."""
    norm = table["norm"].map("{:g}".format).where(table["norm"].notna(), NETWORK)
    # The radius that accuracy rises to differs between runs, which are averaged.
    epsilon = table["epsilon"].where(table["norm"].notna() & (table["check"] != "monotone"), 0.0)
    return summarise_methods(table.assign(norm=norm, epsilon=epsilon), KEYS, "value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A row per check, a column per method: the value, mean over seeds, bold on red where it is above the threshold."""
    keys = ["check", "norm", "epsilon", "threshold"]
    checks = list(summary[keys].drop_duplicates().itertuples(index=False, name=None))
    checks.sort(key=lambda check: (_place(check[0]), *check[1:]))
    methods = drawn_methods(summary, context)
    figure = Figure(figsize=(style.DOUBLE_COLUMN_WIDTH, 0.5 + 0.18 * len(checks)), layout="constrained")
    axes = figure.subplots()
    for row, check in enumerate(checks):
        own = summary[(summary[keys] == list(check)).all(axis=1)].set_index("method")["mean"]
        for column, method in enumerate(methods):
            if method in own.index:
                _draw_cell(axes, row, column, own[method], check[3])
    rows_from_top(axes, [_label(*check) for check in checks])
    axes.set_xticks(range(len(methods)), [context.label(method) for method in methods])
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0.0)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def _draw_cell(axes: Axes, row: int, column: int, value: float, threshold: float) -> None:
    # Not a number is no pass.
    doubtful = not value <= threshold
    axes.text(
        column, row, f"{value:.3g}", ha="center", va="center", fontsize=7,
        fontweight="bold" if doubtful else "normal",
        bbox={"facecolor": "#F4B6A6", "edgecolor": "none", "pad": 1.5} if doubtful else None,
    )  # fmt: skip


def _place(check: str) -> tuple[int, int]:
    """Checks of the network first, then longer attacks, then the others."""
    names = list(_NAMES)
    if check in names:
        return (0 if names.index(check) < 3 else 2, names.index(check))
    return (1, int(check.removeprefix("more_iterations_")))


def _label(check: str, norm: str, epsilon: float, threshold: float) -> str:
    name = _NAMES.get(check) or f"gained by {check.removeprefix('more_iterations_')} iterations"
    ball = "" if norm == NETWORK else f", {norm_label(norm)}" + (f" {epsilon:g}" if epsilon else "")
    return rf"{name}{ball} ($\leq$ {threshold:g})"
