"""Fig. 3: accuracy under attack, by the attack's radius."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, legend, length_label, percent_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "norm": str, "epsilon": float}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, norm, epsilon, correct, method, seed; the norm becomes "2" or "inf"."""
    summary = summarise_methods(table, KEYS, "correct", context)
    return summary.assign(norm=summary["norm"].map("{:g}".format))


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per norm; the training epsilon stands where the norm is the training's."""
    norms, training = sorted(summary["norm"].unique()), f"{context.norm:g}"
    figure, row = row_of_panels(len(norms), legend(summary, context, training=training in norms))
    for axes, norm in zip(row, norms, strict=True):
        curves(axes, summary[summary["norm"] == norm], context, "epsilon")
        if norm == training:
            style.training_epsilon(axes, context.epsilon)
        axes.set_xlabel(length_label(norm, r"perturbation $\epsilon$"))
    percent_axis(row[0].yaxis)
    row[0].set_ylim(-0.02, 1.02)
    row[0].set_ylabel(f"accuracy on {context.dataset} (%)")
    return figure
