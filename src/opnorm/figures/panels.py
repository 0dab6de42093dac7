"""What figures share above a single curve: panels under a legend, a curve per method and condition, axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from opnorm.figures import style
from opnorm.figures.context import RANDOM, FigureContext

DASHED = "adversarial"
"""The condition drawn dashed, in every figure that has it; all others are solid."""

EXPONENTS = ("1", "2", "inf")
"""Of the norms of Table 1, as figures' tables write them."""

DIRECTIONS = {"random": "random direction", "adversarial": "adversarial direction"}

Draw = Callable[[pd.DataFrame, FigureContext], Figure]
"""A figure's `draw`: summary and context -> figure."""

_PANEL_HEIGHT = 2.1
_LEGEND_ROW_HEIGHT = 0.15


def relabelled(draw: Draw, label: str) -> Draw:
    """A figure as `draw` makes it, of another quantity: its leftmost y axis has this label."""

    @style.paper_style()
    def drawn(summary: pd.DataFrame, context: FigureContext) -> Figure:
        figure = draw(summary, context)
        figure.axes[0].set_ylabel(label)
        return figure

    return drawn


def row_of_panels(count: int, legend: Sequence[Line2D], *, sharey: bool = True) -> tuple[Figure, list[Axes]]:
    """`count` panels side by side, with one y axis or each with its own, one column wide or two, and a legend above all
    of them."""
    width, columns = (style.COLUMN_WIDTH, 2) if count == 1 else (style.DOUBLE_COLUMN_WIDTH, 4)
    rows = -(-len(legend) // columns)
    figure = Figure(figsize=(width, _PANEL_HEIGHT + rows * _LEGEND_ROW_HEIGHT), layout="constrained")
    axes = figure.subplots(1, count, sharey=sharey, squeeze=False)[0]
    figure.legend(handles=list(legend), loc="outside upper center", ncols=columns)
    return figure, list(axes)


def panels_of_exponents(
    legend: Sequence[Line2D], *, height: float, sharex: bool | Literal["row"] = False
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A panel for each (p, q), p down and q across as in Table 1, two columns wide under a legend.

    Args:
        legend: handles; may be empty.
        height: of a panel with its title and ticks, in inches.
        sharex: which panels have one x axis; all have one y axis.
    """
    rows = -(-len(legend) // 4)
    size = (style.DOUBLE_COLUMN_WIDTH, len(EXPONENTS) * height + rows * _LEGEND_ROW_HEIGHT + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(EXPONENTS), len(EXPONENTS), sharex=sharex, sharey=True)
    panels = dict(zip(product(EXPONENTS, EXPONENTS), grid.flat, strict=True))
    for (p, q), axes in panels.items():
        axes.set_title(rf"$p = {exponent(p)}$, $q = {exponent(q)}$")
    if legend:
        figure.legend(handles=list(legend), loc="outside upper center", ncols=4)
    return figure, panels


def exponents_as_words(summary: pd.DataFrame) -> pd.DataFrame:
    """The same with the exponents in the columns p and q as "1", "2" or "inf"."""
    return summary.assign(p=summary["p"].map("{:g}".format), q=summary["q"].map("{:g}".format))


def exponent(word: str) -> str:
    """ "1", "2" or "inf" as formulas have it."""
    return r"\infty" if word == "inf" else word


def norm_label(word: str) -> str:
    """The lp norm of an exponent in words."""
    return rf"$\ell_{{{exponent(word)}}}$"


def legend(
    summary: pd.DataFrame,
    context: FigureContext,
    *,
    column: str | None = None,
    names: Mapping[str, str] | None = None,
    training: bool = False,
) -> list[Line2D]:
    """Handles for the methods in `summary`, for solid and dashed curves, and for the training epsilon.

    Args:
        summary: what is drawn.
        context: the experiment.
        column: what decides between solid and dashed.
        names: what to call each of its values.
        training: whether a panel shows the training epsilon.
    """
    handles = [
        Line2D([], [], label=context.label(method), **style.look(method, context).line())
        for method in drawn_methods(summary, context)
    ]
    for value, name in (names or {}).items():
        if (summary[column] == value).any():
            handles.append(Line2D([], [], color="black", linewidth=1.0, linestyle=_linestyle(value), label=name))
    if training:
        handles.append(Line2D([], [], **style.TRAINING_LINE))
    return handles


def drawn_methods(summary: pd.DataFrame, context: FigureContext) -> list[str]:
    """Those in `summary`, in the experiment's order, untrained networks last."""
    present = set(summary["method"])
    return [method for method in (*context.methods, RANDOM) if method in present]


def curves(axes: Axes, summary: pd.DataFrame, context: FigureContext, x: str, *, column: str | None = None) -> None:
    """A curve over the column `x` for each method and, where given, each value of `column`, its condition."""
    for method in drawn_methods(summary, context):
        rows = summary[summary["method"] == method].sort_values(x)
        for condition, part in _conditions(rows, column):
            style.curve(
                axes,
                part[x],
                part["mean"],
                part["standard_error"],
                style.look(method, context),
                linestyle=_linestyle(condition),
                label=", ".join(filter(None, (context.label(method), condition))),
            )


def over_distance(summary: pd.DataFrame, context: FigureContext, label: str) -> Figure:
    """One panel of curves from zero over the l2 distance; `label` is the y axis', adversarial directions are dashed."""
    figure, (axes,) = row_of_panels(1, distance_legend(summary, context))
    distance_curves(axes, summary, context)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel(label)
    return figure


def distance_legend(summary: pd.DataFrame, context: FigureContext) -> list[Line2D]:
    """The legend of curves over the l2 distance."""
    return legend(summary, context, column="direction", names=DIRECTIONS, training=context.norm == 2.0)


def distance_curves(axes: Axes, summary: pd.DataFrame, context: FigureContext) -> None:
    """Curves over the l2 distance, and the training epsilon where it is such a distance."""
    curves(axes, summary, context, "distance", column="direction")
    if context.norm == 2.0:
        style.training_epsilon(axes, context.epsilon)
    axes.set_xlabel(length_label("2", r"distance $\|z\|_2$"))


def rank_axis(axes: Axes) -> None:
    """A logarithmic x axis of ranks: the few dominant directions take as much room as the many others."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("rank $r$")


def rows_from_top(axes: Axes, labels: Sequence[str]) -> None:
    """A y axis with a row per label, the first at the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def beside(axes: Axes, row: float, offset: float, text: str, **font: Any) -> None:
    """Write `text` right of the axes at a height of y = `row`, its middle `offset` points from them."""
    axes.annotate(
        text, (1.0, row), (offset, 0.0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        ha="center", va="center", annotation_clip=False, **font,
    )  # fmt: skip


def mark_beside(axes: Axes, row: float, offset: float, appearance: style.Look) -> None:
    """A method's marker in the place where `beside` writes."""
    right = axes.get_yaxis_transform() + ScaledTranslation(offset / 72.0, 0.0, axes.figure.dpi_scale_trans)
    axes.plot(
        1.0, row, transform=right, clip_on=False, linestyle="none", marker=appearance.marker, markersize=3.5,
        color=appearance.colour, markerfacecolor="none" if appearance.layer else appearance.colour,
    )  # fmt: skip


def percent_axis(axis: Axis) -> None:
    """Show fractions in per cent."""
    axis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0, symbol=""))


def length_label(norm: str, quantity: str) -> str:
    """An axis label for a length in the l`norm` norm ("1", "2" or "inf"), with its unit."""
    return f"{norm_label(norm)} {quantity} (pixels in $[0, 1]$)"


def _conditions(rows: pd.DataFrame, column: str | None) -> Iterator[tuple[str, pd.DataFrame]]:
    if column is None:
        yield "", rows
    else:
        for condition in sorted(rows[column].unique(), key=lambda name: name == DASHED):
            yield condition, rows[rows[column] == condition]


def _linestyle(condition: str) -> Literal["dashed", "solid"]:
    return "dashed" if condition == DASHED else "solid"
