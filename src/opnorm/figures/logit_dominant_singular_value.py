"""The largest singular value of the logits' Jacobian, by distance."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import dominant_singular_value, style
from opnorm.figures.context import FigureContext
from opnorm.figures.dominant_singular_value import KEYS, summarise

__all__ = ["KEYS", "draw", "summarise"]


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """As `dominant_singular_value`, which shows the features'."""
    figure = dominant_singular_value.draw(summary, context)
    figure.axes[0].set_ylabel("dominant singular value $\\sigma_1$ of $J_f$\n(logits per pixel unit)")
    return figure
