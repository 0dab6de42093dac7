"""Fig. 7: accuracy under attack between data-dependent spectral norm regularisation and adversarial training."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.errors import SettingsError
from opnorm.figures import style
from opnorm.figures.context import FigureContext
from opnorm.figures.panels import norm_label, percent_axis, row_of_panels
from opnorm.figures.summary import summarise as summarise_by

KEYS = {"mixture": float, "norm": str, "epsilon": float}

# Of the y axis, so that lines of text do not touch.
_GAP = 0.08


def summarise(table: pd.DataFrame, context: FigureContext) -> pd.DataFrame:
    """From the columns sample, norm, epsilon, correct, method, seed: methods become their mixtures, others go.

    Of seeds those that all mixtures have, so that no point differs by its seeds.

    Raises:
        SettingsError: two methods have the same mixture, or there is no such seed.
    """
    table = table[table["method"].isin(list(context.mixtures))]
    seeds = [set(part) for _, part in table.groupby("method")["seed"]]
    table = table[table["seed"].isin(set.intersection(*seeds))]
    if table.empty:
        raise SettingsError("group interpolation: mixtures and the main methods at their ends have no seed in common")
    methods = sorted(table["method"].unique())
    mixtures = [context.mixtures[method] for method in methods]
    if len({*mixtures}) < len(mixtures):
        raise SettingsError(f"methods {', '.join(methods)}: two of the group interpolation have the same mixture")
    mixed = table.assign(mixture=table["method"].map(dict(context.mixtures)).astype(float))
    summary = summarise_by(mixed, KEYS, "correct")
    return summary.assign(norm=summary["norm"].map("{:g}".format))


@style.paper_style()
def draw(summary: pd.DataFrame, context: FigureContext) -> Figure:
    """A panel per norm: accuracy over the mixture, a curve for each epsilon; that of the training is thick."""
    norms = sorted(summary["norm"].unique())
    figure, row = row_of_panels(len(norms), [])
    for axes, norm in zip(row, norms, strict=True):
        _draw_panel(axes, summary[summary["norm"] == norm], context.epsilon if norm == f"{context.norm:g}" else -1.0)
        axes.set_title(rf"{norm_label(norm)} attacks of radius $\epsilon$")
        axes.set_xlabel("share of adversarial training (0: d.d. SNR)")
    percent_axis(row[0].yaxis)
    row[0].set_ylim(-0.02, 1.02)
    row[0].set_ylabel(f"accuracy on {context.dataset} (%)")
    return figure


def _draw_panel(axes: Axes, part: pd.DataFrame, training: float) -> None:
    epsilons = sorted(part["epsilon"].unique())
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(epsilons)))
    ends = []
    for epsilon, colour in zip(epsilons, colours, strict=True):
        rows = part[part["epsilon"] == epsilon].sort_values("mixture")
        width = 2.0 if np.isclose(epsilon, training) else 0.9
        error = rows["standard_error"]
        axes.plot(rows["mixture"], rows["mean"], color=colour, linewidth=width, marker="o", markersize=3.0)
        axes.fill_between(rows["mixture"], rows["mean"] - error, rows["mean"] + error, color=colour, alpha=0.2, lw=0)
        ends.append(rows["mean"].iloc[-1])
    for epsilon, colour, end in zip(epsilons, colours, spread(ends, _GAP), strict=True):
        text = "clean" if epsilon == 0.0 else f"{epsilon:g}"
        axes.annotate(text, (1.03, end), xycoords=axes.get_yaxis_transform(), va="center", fontsize=6.5, color=colour)


def spread(falling: list[float], gap: float) -> list[float]:
    """Places for labels of falling values, each at least `gap` below the one before and above what comes after: the
    highest as they are, moved down where they are too near, and up again from the bottom."""
    places = list(falling)
    for i in range(1, len(places)):
        places[i] = min(places[i], places[i - 1] - gap)
    for i in range(len(places) - 1, -1, -1):
        places[i] = max(places[i], gap * (len(places) - 1 - i))
    return places
