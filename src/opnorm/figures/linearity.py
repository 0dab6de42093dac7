"""Fig. 4, left: how far the features leave their linearization, by distance."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import over_distance
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "direction": str, "distance": float}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, direction, distance, deviation, method, seed."""
    return summarise_methods(table, KEYS, "deviation", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """Deviation over distance; adversarial directions are dashed."""
    return over_distance(summary, context, "deviation from linearity\n($\\ell_2$, features)")
