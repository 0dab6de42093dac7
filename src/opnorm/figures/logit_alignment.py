"""How far adversarial perturbations lie along the singular vectors of the logits' Jacobian, by rank."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import alignment, style
from opnorm.figures.alignment import KEYS, summarise
from opnorm.figures.context import FigureContext

__all__ = ["KEYS", "draw", "summarise"]


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """As `alignment`, which shows the features'."""
    figure = alignment.draw(summary, context)
    figure.axes[0].set_ylabel(r"cosine $|\langle z, v_r \rangle| / \|z\|_2$, $v_r$ of $J_f$")
    return figure
