"""Theorem 1 on trained networks, inside ReLU cells and beyond."""

from __future__ import annotations

from opnorm.claims.cases import each
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, Statistic, where
from opnorm.claims.margins import AGREEMENT, ALL_PASSED, MUCH_LARGER, ROUNDING
from opnorm.claims.methods import any_method, robust
from opnorm.claims.reductions import at, ratio, reach, value, whole
from opnorm.claims.verdict import Above

FRACTION = 0.5
"""Of a cell's radius, which the analysis `theorem` takes for its ball."""


def _agree(difference: Floats) -> Floats:
    return (difference <= ROUNDING).astype(float)


def _cosine(of: Case) -> list[Measure]:
    rows = Rows("theorem_distance", "cosine", where(p=of.norm, q=2.0), "epsilon")
    return [Measure(rows, at(of.epsilon))]


def _radius(epsilon: Floats) -> Floats:
    """Of the cell, of which the analysis takes a part."""
    return epsilon / FRACTION


def _reach_and_radius(of: Case) -> list[Measure]:
    cosine = Rows("theorem_distance", "cosine", where(p=of.norm, q=2.0), "epsilon")
    radius = Rows("theorem", "epsilon", where(p=of.norm, q=2.0), transform=_radius)
    return [Measure(cosine, reach(AGREEMENT)), Measure(radius, whole)]


_SHARE_IN_AGREEMENT = Statistic(
    f"share of iterates that differ by at most {ROUNDING:g} of the radius",
    "theorem",
    lambda _: [Measure(Rows("theorem", "difference", where(in_cell=True), transform=_agree), whole)],
    value,
    checked=True,
)
_SHARE_IN_CELL = Statistic(
    "share of iterates in balls of half the cell's radius that are in the cell",
    "theorem",
    lambda _: [Measure(Rows("theorem", "in_cell"), whole)],
    value,
    checked=True,
)
_COSINE = Statistic(
    "mean cosine of the last iterates at the training epsilon, q = 2", "theorem_distance", _cosine, value
)
_REACH = Statistic(
    f"radius up to which the mean cosine of the last iterates is at least {AGREEMENT:g}, q = 2, over the mean radius "
    "of the ReLU cells",
    "theorem_distance",
    _reach_and_radius,
    ratio,
)

CLAIMS = (
    Claim("theorem_exact", "4.3",
          "inside ReLU cells of {0}, the attack's iterates are the power method's, for all p and q",
          each(any_method), _SHARE_IN_AGREEMENT, ALL_PASSED),
    Claim("theorem_in_cell", "4.3",
          "no iterate that is compared on {0} leaves its ReLU cell",
          each(any_method), _SHARE_IN_CELL, ALL_PASSED),
    Claim("theorem_approximate", "4.3",
          "in the training ball around data, the attack on {0} still finds the power method's direction",
          each(robust), _COSINE, Above(AGREEMENT)),
    Claim("theorem_beyond_cell", "4.3",
          "the attack on {0} finds the power method's direction in a region much larger than the ReLU cell",
          each(any_method), _REACH, Above(MUCH_LARGER)),
)  # fmt: skip
