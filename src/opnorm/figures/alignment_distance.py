"""How far adversarial perturbations lie along the Jacobian's dominant singular vector, by their size."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, legend, length_label, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "epsilon": float}


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, epsilon, cosine, method, seed."""
    return summarise_methods(table, KEYS, "cosine", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """The cosine of a perturbation with v_1 over its radius; the training epsilon stands where it is in l2."""
    training = context.norm == 2.0
    figure, (axes,) = row_of_panels(1, legend(summary, context, training=training))
    curves(axes, summary, context, "epsilon")
    if training:
        style.training_epsilon(axes, context.epsilon)
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(length_label("2", r"perturbation $\epsilon$"))
    axes.set_ylabel(r"cosine $|\langle z, v_1 \rangle| / \|z\|_2$")
    return figure
