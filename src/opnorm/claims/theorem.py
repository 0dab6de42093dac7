"""Theorem 1 on trained networks, inside ReLU cells and beyond."""

from __future__ import annotations

from opnorm.claims.cases import each
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, Statistic, where
from opnorm.claims.margins import AGREEMENT, ALL_PASSED, ROUNDING
from opnorm.claims.methods import any_method, robust
from opnorm.claims.reductions import at, value, whole
from opnorm.claims.verdict import Above


def _agree(difference: Floats) -> Floats:
    return (difference <= ROUNDING).astype(float)


def _cosine(of: Case) -> list[Measure]:
    rows = Rows("theorem_distance", "cosine", where(p=of.norm, q=2.0), "epsilon")
    return [Measure(rows, at(of.epsilon))]


_SHARE_IN_AGREEMENT = Statistic(
    f"share of iterates that differ by at most {ROUNDING:g} of the radius",
    "theorem",
    lambda _: [Measure(Rows("theorem", "difference", where(in_cell=True), transform=_agree), whole)],
    value,
)
_COSINE = Statistic(
    "mean cosine of the last iterates at the training epsilon, q = 2", "theorem_distance", _cosine, value
)

CLAIMS = (
    Claim("theorem_exact", "4.3",
          "inside ReLU cells of {0}, the attack's iterates are the power method's, for all p and q",
          each(any_method), _SHARE_IN_AGREEMENT, ALL_PASSED),
    Claim("theorem_approximate", "4.3",
          "in the training ball around data, the attack on {0} still finds the power method's direction",
          each(robust), _COSINE, Above(AGREEMENT)),
)  # fmt: skip
