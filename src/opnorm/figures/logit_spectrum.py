"""The singular values of the logits' Jacobian, by rank."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import spectrum, style
from opnorm.figures.context import FigureContext
from opnorm.figures.spectrum import KEYS, summarise

__all__ = ["KEYS", "draw", "summarise"]


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """As `spectrum`, which shows the features'."""
    figure = spectrum.draw(summary, context)
    figure.axes[0].set_ylabel("singular value $\\sigma_r$ of $J_f$\n(logits per pixel unit)")
    return figure
