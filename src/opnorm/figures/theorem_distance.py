"""Beyond Theorem 1: how far the attack goes along the power method's maximiser when its ball outgrows the ReLU cell."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import (
    EXPONENTS,
    curves,
    exponents_as_words,
    legend,
    length_label,
    panels_of_exponents,
)
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "p": str, "q": str, "epsilon": float}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, p, q, epsilon, cosine, method, seed; exponents become "1", "2" or "inf"."""
    return exponents_as_words(summarise_methods(table, KEYS, "cosine", context))


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per (p, q): the cosine over a logarithmic epsilon; the training epsilon stands where p is its norm."""
    training = f"{context.norm:g}"
    handles = legend(summary, context, training=training in EXPONENTS)
    figure, panels = panels_of_exponents(handles, height=1.3, sharex="row")
    for (p, q), axes in panels.items():
        curves(axes, summary[(summary["p"] == p) & (summary["q"] == q)], context, "epsilon")
        if p == training:
            style.training_epsilon(axes, context.epsilon)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(length_label(p, r"radius $\epsilon$"))
    axes.set_ylim(0.0, 1.05)
    figure.supylabel(r"cosine $|\langle x_k - x, v_k \rangle| / (\|x_k - x\|_2 \|v_k\|_2)$", fontsize=8)
    return figure
