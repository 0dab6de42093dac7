"""An interval and where it has to be, as a small picture."""

from __future__ import annotations

import math
import re

from opnorm.report.html import Html, element

_WIDTH, _HEIGHT, _MARGIN = 150, 14, 12


def draw(estimate: float, low: float, high: float, criterion: str) -> Html | None:
    """The interval as a line, its estimate as a dot, and the region where it has to be as a shade.

    Args:
        estimate, low, high: the interval.
        criterion: "above a", "below b", "at most b" or "between a and b"; of others nothing is shaded.

    Returns:
        An SVG, whose numbers are words elsewhere; nothing where one of them is not finite.
    """
    if not all(map(math.isfinite, (estimate, low, high))):
        return None
    region = limits(criterion)
    shown = [estimate, low, high, *filter(math.isfinite, region or ())]
    least, most = min(shown), max(shown)
    scale = (_WIDTH - 2 * _MARGIN) / ((most - least) or 1.0)

    def place(value: float) -> float:
        return round(min(max(_MARGIN + (value - least) * scale, 0.0), _WIDTH), 1)

    middle = f"{_HEIGHT / 2:g}"
    return element(
        "svg",
        _shade(*map(place, region)) if region else None,
        element("line", x1=str(place(low)), x2=str(place(high)), y1=middle, y2=middle),
        element("circle", cx=str(place(estimate)), cy=middle, r="3"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        aria_hidden="true",
        class_="drawn",
    )


def limits(criterion: str) -> tuple[float, float] | None:
    """Where an interval has to be; None for a criterion in other words than `draw` knows."""
    numbers = [float(found) for found in re.findall(r"-?\d[\d.]*(?:e[+-]?\d+)?", criterion)]
    match criterion.partition(" ")[0], numbers:
        case "above", [lower]:
            return lower, math.inf
        case (("below" | "at"), [upper]):
            return -math.inf, upper
        case "between", [lower, upper]:
            return lower, upper
    return None


def _shade(left: float, right: float) -> Html:
    return element("rect", x=str(left), y="0", width=str(round(right - left, 1)), height=_HEIGHT)
