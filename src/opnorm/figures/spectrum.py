"""Fig. 2, left: the singular values of the Jacobian, by rank."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, legend, rank_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "inputs": str, "rank": int}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, inputs, rank, singular_value, method, seed."""
    return summarise_methods(table, KEYS, "singular_value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """Singular values, on a linear axis so that damping is seen, over logarithmic rank; adversarial ones dashed."""
    names = {"clean": "clean inputs", "adversarial": "adversarial inputs"}
    figure, (axes,) = row_of_panels(1, legend(summary, context, column="inputs", names=names))
    curves(axes, summary, context, "rank", column="inputs")
    rank_axis(axes)
    axes.set_ylim(0.0, 1.05 * summary["mean"].max())
    axes.set_ylabel("singular value $\\sigma_r$\n(features per pixel unit)")
    return figure
