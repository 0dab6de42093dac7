"""How far what k iterations find lies along the Jacobian's dominant singular vector."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import curves, drawn_methods, legend, row_of_panels
from opnorm.figures.summary import summarise_methods

KEYS = {"method": str, "process": str, "iterations": int}

_PANELS = {"attack": "projected gradient ascent", "power_method": "power method"}
_GRADIENT, _GRADIENT_TICK = "input_gradient", "input\ngradient"


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, process, iterations, cosine, method, seed."""
    return summarise_methods(table, KEYS, "cosine", context)


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """The cosine with v_1 over the number of iterations, of the attack and of the power method; the input gradient
    stands left of the attack's first."""
    figure, panels = row_of_panels(2, legend(summary, context))
    counts = sorted(summary["iterations"].unique())
    for (process, title), axes in zip(_PANELS.items(), panels, strict=True):
        part = summary[summary["process"] == process]
        curves(axes, part.assign(place=part["iterations"].map(counts.index)), context, "place")
        ticks = dict(enumerate(f"{count:g}" for count in counts))
        if process == "attack":
            _mark_gradient(axes, summary[summary["process"] == _GRADIENT], context)
            ticks = {-1: _GRADIENT_TICK, **ticks}
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_title(title)
        axes.set_xlabel("iterations $k$")
    panels[0].set_ylim(bottom=0.0)
    panels[0].set_ylabel(r"cosine $|\langle z, v_1 \rangle| / \|z\|_2$")
    return figure


def _mark_gradient(axes: Axes, summary: pd.DataFrame, context: FigureContext) -> None:
    for method in drawn_methods(summary, context):
        row, appearance = summary[summary["method"] == method].iloc[0], style.look(method, context)
        axes.errorbar(
            -1, row["mean"], yerr=row["standard_error"], fmt=appearance.marker, markersize=3.5,
            color=appearance.colour, elinewidth=0.8, markerfacecolor="none" if appearance.layer else appearance.colour,
            label=f"{context.label(method)}, {_GRADIENT}",
        )  # fmt: skip
