"""Fig. 4, right: the largest singular value of the Jacobian, by distance."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import over_distance
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "direction": str, "distance": float}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, direction, distance, singular_value, method, seed."""
    return summarise_methods(table, KEYS, "singular_value", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """The dominant singular value at a distance from the data; adversarial directions are dashed."""
    return over_distance(summary, context, "dominant singular value $\\sigma_1$\n(features per pixel unit)")
