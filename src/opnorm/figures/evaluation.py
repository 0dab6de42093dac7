"""Robust accuracy under each of several attacks, and in the worst case over all of them."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.attack_names import attack_label, attack_order, longest_ascent
from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import beside, drawn_methods, length_label, mark_beside, percent_axis, rows_from_top
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "norm": str, "epsilon": float, "attack": str}

_ROW_HEIGHT = 0.16


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, norm, epsilon, attack, correct, method, seed; the norm becomes "1", "2" or "inf".

    An attack that was run on some of the samples alone has the accuracy under the longest ascent on all of them, plus
    what it changes on its own, which may happen to be easier or harder than others; at least 0, below which such a sum
    may fall. `n` is the number of its own.
    """
    summary = summarise_methods(_on_all_samples(table), KEYS, "correct", context)
    n = table.groupby(list(KEYS))["sample"].nunique().rename("n").reset_index()
    summary = summary.drop(columns="n").merge(n, how="left", on=list(KEYS))[list(summary)]
    return summary.assign(norm=summary["norm"].map("{:g}".format), mean=summary["mean"].clip(lower=0.0))


def _on_all_samples(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a row for each sample and attack: values whose mean over all samples is the difference estimator,
    and whose standard error is that of its two parts."""
    ball = ["method", "seed", "norm", "epsilon"]
    answers = table.pivot(index=[*ball, "sample"], columns="attack", values="correct")
    if answers.notna().all(axis=None):
        return table
    answers = answers.astype("float64")
    longest = answers[longest_ascent(table["attack"].unique())]
    changed = answers.sub(longest, axis=0)
    networks = changed.groupby(ball)
    mean, share = networks.transform("mean"), networks.transform("count").div(networks.transform("size"), axis=0)
    values = ((changed - mean).div(share).fillna(0.0) + mean).add(longest, axis=0)
    return values.reset_index().melt([*ball, "sample"], var_name="attack", value_name="correct").dropna()


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per ball and a row per attack, with a marker per method, whose numbers stand beside in columns."""
    balls = sorted(set(zip(summary["norm"], summary["epsilon"], strict=True)))
    names = sorted(summary["attack"].unique(), key=attack_order)
    methods = drawn_methods(summary, context)
    height = len(balls) * (0.75 + _ROW_HEIGHT * len(names)) + 0.15 * (1 + len(methods) // 4)
    figure = Figure(figsize=(style.DOUBLE_COLUMN_WIDTH, height), layout="constrained")
    for (norm, epsilon), axes in zip(balls, figure.subplots(len(balls), squeeze=False)[:, 0], strict=True):
        part = summary[(summary["norm"] == norm) & (summary["epsilon"] == epsilon)]
        _draw_panel(axes, part, names, methods, context)
        axes.set_title(rf"{length_label(norm, 'ball')}, $\epsilon = {epsilon:g}$")
    axes.set_xlabel(f"accuracy on {context.dataset} (%)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _then(attack: str) -> str:
    """In front of the parts of AutoAttack that are run on what those before them left."""
    return "then " if attack in ("apgd_t", "fab_t", "square") else ""


def _draw_panel(axes: Axes, part: pd.DataFrame, names: list[str], methods: list[str], context: FigureContext) -> None:
    for column, method in enumerate(methods):
        own = part[part["method"] == method].set_index("attack")
        present = [name for name in names if name in own.index]
        places, appearance = [names.index(name) for name in present], style.look(method, context)
        mean, error = own["mean"][present], own["standard_error"][present]
        axes.errorbar(
            mean, places, xerr=error, fmt=appearance.marker, markersize=3.5, color=appearance.colour,
            elinewidth=0.8, markerfacecolor="none" if appearance.layer else appearance.colour,
            label=context.label(method),
        )  # fmt: skip
        offset = 14.0 + 22.0 * column
        mark_beside(axes, -0.9, offset, appearance)
        for place, value in zip(places, mean, strict=True):
            beside(axes, place, offset, f"{100 * value:.1f}", fontsize=6.5, color=appearance.colour)
    rows_from_top(axes, [_then(name) + attack_label(name) for name in names])
    axes.set_xlim(-0.02, 1.02)
    percent_axis(axes.xaxis)
