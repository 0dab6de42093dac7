"""Spectrum, linearity and ReLU states where attacks of growing length end, by method."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, legend, percent_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "quantity": str, "iterations": int}

_QUANTITIES = {
    "singular_value": "largest singular value\n(features per pixel unit)",
    "deviation": "deviation from linearity\n($\\ell_2$, features)",
    "shared": "shared activations (%)",
}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, iterations, singular_value, deviation, shared, method, seed; a row for each quantity."""
    columns = ["sample", "seed", "method", "iterations"]
    long = table.melt(columns, list(_QUANTITIES), var_name="quantity", value_name="value")
    return summarise_methods(long, KEYS, "value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per quantity, over the number of iterations."""
    figure, panels = row_of_panels(len(_QUANTITIES), legend(summary, context), sharey=False)
    counts = sorted(summary["iterations"].unique())
    for (quantity, label), axes in zip(_QUANTITIES.items(), panels, strict=True):
        part = summary[summary["quantity"] == quantity]
        curves(axes, part.assign(place=part["iterations"].map(counts.index)), context, "place")
        axes.set_xticks(range(len(counts)), [f"{count:g}" for count in counts])
        axes.set_xlabel("iterations $k$")
        axes.set_ylabel(label)
        if quantity == "shared":
            percent_axis(axes.yaxis)
        else:
            axes.set_ylim(bottom=0.0)
    return figure
