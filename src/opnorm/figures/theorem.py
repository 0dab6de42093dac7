"""Theorem 1: how far the attack's iterates are from the power method's inside the ReLU cell, by (p, q)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from opnorm.errors import SettingsError
from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, exponents_as_words, legend, panels_of_exponents
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "p": str, "q": str, "iteration": int}

# float64's rounding of numbers of order one. Below it the axis is linear, since many differences are zero.
_ROUNDING = 2.0**-52


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, p, q, iteration, difference, in_cell, method, seed; exponents become words.

    Samples whose iterates have left the cell are not what the theorem speaks of.

    Raises:
        SettingsError: no sample is left.
    """
    inside = table[table["in_cell"]]
    if inside.empty:
        raise SettingsError("theorem: no sample's attack has stayed in its ReLU cell; measure more samples")
    return exponents_as_words(summarise_methods(inside, KEYS, "difference", context))


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per (p, q): the difference over the iteration, logarithmic above float64's rounding."""
    figure, panels = panels_of_exponents(legend(summary, context), height=1.1, sharex=True)
    for (p, q), axes in panels.items():
        curves(axes, summary[(summary["p"] == p) & (summary["q"] == q)], context, "iteration")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_yscale("symlog", linthresh=_ROUNDING, linscale=0.5)
    axes.yaxis.set_major_locator(FixedLocator([0.0, 1e-15, 1e-10, 1e-5, 1.0]))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.set_ylim(-0.5 * _ROUNDING, 2.0)
    figure.supxlabel("iteration $k$", fontsize=8)
    figure.supylabel(r"difference $\|(x_k - x) / \epsilon - v_k\|_\infty$", fontsize=8)
    return figure
