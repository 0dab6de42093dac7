"""Fig. 2, left: the singular values of the Jacobian, by rank."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, legend, rank_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "inputs": str, "rank": int}

# Smaller singular values are a rank deficiency's rounding errors; showing them would flatten all others.
_SMALLEST_SHOWN = 1e-4


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, inputs, rank, singular_value, method, seed."""
    return summarise_methods(table, KEYS, "singular_value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """Singular values over rank, both logarithmic, so that damping is a shift; adversarial ones dashed."""
    names = {"clean": "clean inputs", "adversarial": "adversarial inputs"}
    figure, (axes,) = row_of_panels(1, legend(summary, context, column="inputs", names=names))
    curves(axes, summary, context, "rank", column="inputs")
    rank_axis(axes)
    axes.set_yscale("log")
    largest, smallest = summary["mean"].max(), summary["mean"].min()
    axes.set_ylim(0.7 * max(smallest, _SMALLEST_SHOWN * largest), 1.5 * largest)
    axes.set_ylabel(r"singular value $\sigma_r$")
    return figure
