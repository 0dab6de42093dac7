"""Fig. 5 and 9: the share of ReLUs that keep their state, by distance, around data and away from data."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import distance_curves, distance_legend, percent_axis, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "center": str, "direction": str, "distance": float}

_CENTERS = {"data": "around test samples", "uniform": "around uniform noise"}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, center, direction, distance, shared, method, seed."""
    return summarise_methods(table, KEYS, "shared", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per center; adversarial directions (Fig. 9) are dashed."""
    centers = [center for center in _CENTERS if (summary["center"] == center).any()]
    figure, row = row_of_panels(len(centers), distance_legend(summary, context))
    for axes, center in zip(row, centers, strict=True):
        distance_curves(axes, summary[summary["center"] == center], context)
        axes.set_title(_CENTERS[center])
    percent_axis(row[0].yaxis)
    row[0].set_ylabel("shared activations (%)")
    return figure
