"""Table 1 on data: the nine (p, q) operator norms of the logits' Jacobian, by method."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import exponents_as_words, panels_of_exponents
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "p": str, "q": str, "exact": bool}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, p, q, exact, norm, upper, method, seed; exponents become "1", "2" or "inf".

    The column `upper` is the mean of the bounds from above: `mean` itself where norms are exact.
    """
    norm, upper = (summarise_methods(table, KEYS, column, context) for column in ("norm", "upper"))
    return exponents_as_words(norm.assign(upper=upper["mean"]))


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per (p, q) on a scale of its own from zero, a row per method; dotted lines go from estimates to their
    bounds from above, where the summary has these.
    """
    estimate = ", enclosed" if "upper" in summary else ", estimate from below"
    summary = summary.assign(upper=summary.get("upper", math.nan))
    methods = [method for method in context.methods if (summary["method"] == method).any()]
    figure, panels = panels_of_exponents([], height=0.5 + 0.135 * len(methods))
    for (p, q), axes in panels.items():
        part = summary[(summary["p"] == p) & (summary["q"] == q)]
        _draw_panel(axes, part, methods, context)
        if not part["exact"].all():
            axes.set_title(axes.get_title() + estimate)
    figure.supxlabel(r"operator norm $\|J_f\|_{p,q}$ of the logits' Jacobian (logits per pixel unit)", fontsize=8)
    return figure


def _draw_panel(axes: Axes, part: pd.DataFrame, methods: list[str], context: FigureContext) -> None:
    columns = ["method", "mean", "standard_error", "exact", "upper"]
    for method, mean, error, exact, upper in part[columns].itertuples(index=False):
        appearance, row = style.look(method, context), methods.index(method)
        axes.plot([0.0, mean], [row, row], color=appearance.colour, linewidth=0.8)
        if not exact:
            axes.plot([mean, upper], [row, row], color=appearance.colour, linewidth=0.8, linestyle=":", marker="|")
        axes.errorbar(
            mean, row, xerr=error, fmt=appearance.marker, markersize=3.5, color=appearance.colour,
            label=context.label(method),
        )  # fmt: skip
    axes.set_yticks(range(len(methods)), [context.label(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    ends = (part["mean"] + part["standard_error"].fillna(0.0)).combine(part["upper"], np.fmax)
    axes.set_xlim(0.0, 1.08 * ends.max())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 4, 5, 10]))
    axes.grid(visible=False, axis="y")
