"""How far what k iterations find lies along the dominant singular vector of the logits' Jacobian."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import alignment_iterations, style
from opnorm.figures.alignment_iterations import KEYS, summarise
from opnorm.figures.context import FigureContext

__all__ = ["KEYS", "draw", "summarise"]


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """As `alignment_iterations`, which shows the features'."""
    figure = alignment_iterations.draw(summary, context)
    figure.axes[0].set_ylabel(r"cosine $|\langle z, v_1 \rangle| / \|z\|_2$, $v_1$ of $J_f$")
    return figure
