"""Theorem 1 on trained networks, inside ReLU cells and beyond."""

from __future__ import annotations

import math

import numpy as np

from opnorm.claims.cases import detailed, each, together
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, Statistic, where
from opnorm.claims.margins import AGREEMENT, ALL_PASSED, MUCH_LARGER, ROUNDING
from opnorm.claims.methods import any_method, robust
from opnorm.claims.reductions import at, over_geometric_mean, reach, value, whole
from opnorm.claims.verdict import Above

FRACTION = 0.5
"""Of a cell's radius, which the analysis `theorem` takes for its ball."""


PAIRS = {f"l{p:g}_to_l{q:g}": (p, q) for p in (1.0, 2.0, math.inf) for q in (1.0, 2.0, math.inf)}
"""The (p, q) of Theorem 1, by the name of a case."""


def _agree(difference: Floats) -> Floats:
    return (difference <= ROUNDING).astype(float)


def _cosine(of: Case) -> list[Measure]:
    rows = Rows("theorem_distance", "cosine", where(p=of.norm, q=2.0), "epsilon")
    return [Measure(rows, at(of.epsilon))]


def _log_radius(epsilon: Floats) -> Floats:
    """Of the cell, of which the analysis takes a part; NaN where there is no ball."""
    found: Floats = np.log(epsilon / FRACTION, out=np.full(epsilon.shape, math.nan), where=epsilon > 0.0)
    return found


def _reach_and_radius(of: Case) -> list[Measure]:
    p, q = PAIRS.get(of.detail, (of.norm, 2.0))
    cosine = Rows("theorem_distance", "cosine", where(p=p, q=q), "epsilon")
    radius = Rows("theorem", "epsilon", where(p=p, q=q), transform=_log_radius)
    return [Measure(cosine, reach(AGREEMENT)), Measure(radius, whole)]


_SHARE_IN_AGREEMENT = Statistic(
    f"share of iterates that differ by at most {ROUNDING:g} of the radius",
    "theorem",
    lambda _: [Measure(Rows("theorem", "difference", where(in_cell=True), transform=_agree), whole)],
    value,
    checked=True,
)
_SHARE_IN_CELL = Statistic(
    "share of samples and (p, q), in balls of half the cell's radius, none of whose iterates leaves the cell",
    "theorem",
    lambda _: [Measure(Rows("theorem", "in_cell"), whole)],
    value,
    checked=True,
)
_COSINE = Statistic(
    "mean cosine of the last iterates at the training epsilon, q = 2", "theorem_distance", _cosine, value
)
_REACH = Statistic(
    f"radius up to which the mean cosine of the last iterates is at least {AGREEMENT:g}, q = 2, over the geometric "
    "mean of the ReLU cells' radii",
    "theorem_distance",
    _reach_and_radius,
    over_geometric_mean(MUCH_LARGER),
)
_LEAST_REACH = Statistic(
    f"radius up to which the mean cosine of the last iterates is at least {AGREEMENT:g}, {{detail}}, over the "
    "geometric mean of the ReLU cells' radii; the least of {all}",
    "theorem_distance",
    _reach_and_radius,
    over_geometric_mean(MUCH_LARGER),
    least=True,
)

CLAIMS = (
    Claim("theorem_exact", "4.3",
          "inside ReLU cells of {0}, the attack's iterates are the power method's, for all p and q",
          each(any_method), _SHARE_IN_AGREEMENT, ALL_PASSED),
    Claim("theorem_in_cell", "4.3",
          "balls of half the radius lie in the ReLU cells of {0}: attack and power method stay there",
          each(any_method), _SHARE_IN_CELL, ALL_PASSED),
    Claim("theorem_approximate", "4.3",
          "in the training ball around data, the attack on {0} still finds the power method's direction",
          each(robust), _COSINE, Above(AGREEMENT)),
    Claim("theorem_beyond_cell", "4.3",
          "the attack on {0} finds the power method's direction in a region much larger than the ReLU cell",
          each(any_method), _REACH, Above(MUCH_LARGER)),
    Claim("theorem_beyond_cell_for_all_norms", "4.3",
          "for {detail}, too, the attack finds the power method's direction in a region much larger than the ReLU "
          "cell, on {all}",
          detailed(together(at_least=1), lambda _: PAIRS), _LEAST_REACH, Above(MUCH_LARGER)),
)  # fmt: skip
