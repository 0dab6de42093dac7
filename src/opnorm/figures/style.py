"""One look for every figure: sizes of a two-column paper, a palette for all eyes, a method always alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from opnorm.figures.context import RANDOM, FigureContext

COLUMN_WIDTH = 3.25
DOUBLE_COLUMN_WIDTH = 6.75
"""Inches, as conferences with two columns have them."""

_GRAY = "0.5"

TRAINING_LINE: dict[str, Any] = {
    "label": r"training $\epsilon$",
    "color": _GRAY,
    "linewidth": 0.8,
    "linestyle": (0, (4.0, 2.0)),
}

# Okabe and Ito's palette without its yellow, too light for a line on white; then three of Tol's "muted".
_COLOURS = (
    "#000000", "#D55E00", "#009E73", "#0072B2", "#E69F00",
    "#56B4E9", "#CC79A7", "#882255", "#999933", "#332288",
)  # fmt: skip
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p")

_PARAMETERS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "legend.borderaxespad": 0.3,
    "legend.borderpad": 0.0,
    "lines.dashed_pattern": (3.2, 1.4),
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default Type 3
    "savefig.dpi": 300,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """The parameters that figures are drawn and saved under; nothing outside the block or function changes.

    It starts from matplotlib's defaults, so that a reader's own matplotlibrc does not change the pictures.
    """
    with matplotlib.style.context(["default", _PARAMETERS]):
        yield


@dataclass(frozen=True)
class Look:
    """How a method is drawn, in every figure.

    Methods that follow each other differ in more than colour: a thick line with small filled markers lies
    under thinner ones with larger open markers, so that curves that coincide are all seen.

    Attributes:
        colour: as matplotlib names it.
        marker: its shape.
        layer: 0, 1 or 2, from the thickest line at the bottom to the thinnest on top.
        stagger: in [0, 1), where between two markers of a long curve this method's markers are.
    """

    colour: str
    marker: str
    layer: int
    stagger: float

    def line(self) -> dict[str, Any]:
        """Keyword arguments of a `Line2D`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linewidth": (1.8, 0.9, 0.6)[self.layer],
            "markersize": (3.3, 3.9, 5.0)[self.layer],
            "markerfacecolor": "none" if self.layer else self.colour,
            "markeredgewidth": 0.7,
            "zorder": 2.0 + 0.1 * self.layer,
        }


def look(method: str, context: FigureContext) -> Look:
    """The look of `method`: by its place among the drawn ones, gray for untrained networks.

    After ten methods the colours come again with other markers.
    """
    if method == RANDOM:
        return Look(_GRAY, "*", layer=1, stagger=0.0)
    place = context.methods.index(method)
    turn, index = divmod(place, len(_COLOURS))
    marker = _MARKERS[(index + turn) % len(_MARKERS)]
    return Look(_COLOURS[index], marker, place % 3, place / len(context.methods))


def curve(
    axes: Axes,
    x: ArrayLike,
    mean: ArrayLike,
    standard_error: ArrayLike,
    appearance: Look,
    *,
    linestyle: str = "solid",
    label: str = "",
) -> None:
    """A curve with its standard error shaded; markers at every point, or spread over a long curve."""
    x, mean, error = np.asarray(x), np.asarray(mean), np.asarray(standard_error)
    every = None if len(x) <= 12 else (0.02 + 0.16 * appearance.stagger, 0.16)
    axes.plot(x, mean, linestyle=linestyle, markevery=every, label=label, **appearance.line())
    axes.fill_between(x, mean - error, mean + error, color=appearance.colour, alpha=0.2, linewidth=0)


def training_epsilon(axes: Axes, epsilon: float) -> Line2D:
    """A dashed vertical line at the radius that was used in training."""
    line = axes.axvline(epsilon, zorder=1)
    line.update(TRAINING_LINE)
    return line
