"""Fig. 2, right: how far adversarial perturbations lie along the Jacobian's singular vectors, by rank."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import RANDOM, FigureContext
from opnorm.figures.panels import curves, legend, rank_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "rank": int}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, network, rank, cosine, method, seed; untrained networks become one method."""
    method = table["method"].astype(object).mask(table["network"] == "random", RANDOM)
    return summarise_methods(table.assign(method=method), KEYS, "cosine", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """The cosine of a perturbation with the singular vector of each rank; ranks are logarithmic."""
    figure, (axes,) = row_of_panels(1, legend(summary, context))
    curves(axes, summary, context, "rank")
    rank_axis(axes)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel(r"cosine $|\langle z, v_r \rangle| / \|z\|_2$")
    return figure
