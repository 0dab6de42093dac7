"""Theorem 1 on trained networks, inside ReLU cells and beyond."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, each, where
from opnorm.claims.margins import AGREEMENT, ALL_PASSED, ROUNDING
from opnorm.claims.reductions import at, value, whole
from opnorm.claims.verdict import Above


def _agree(difference: Floats) -> Floats:
    return (difference <= ROUNDING).astype(float)


def _cosine(of: Case) -> list[Measure]:
    rows = Rows("theorem_distance", "cosine", where(p=of.norm, q=2.0), "epsilon")
    return [Measure(rows, at(of.epsilon))]


CLAIMS = (
    Claim(
        name="theorem_exact",
        section="4.3",
        statement="inside ReLU cells of {0}, the attack's iterates are the power method's, for all p and q",
        statistic=f"share of iterates that differ by at most {ROUNDING:g} of the radius",
        figure="theorem",
        cases=each(methods.any_method),
        measures=lambda _: [Measure(Rows("theorem", "difference", where(in_cell=True), transform=_agree), whole)],
        combination=value,
        rule=ALL_PASSED,
    ),
    Claim(
        name="theorem_approximate",
        section="4.3",
        statement="in the training ball around data, the attack on {0} still finds the power method's direction",
        statistic="mean cosine of the last iterates at the training epsilon, q = 2",
        figure="theorem_distance",
        cases=each(methods.robust),
        measures=_cosine,
        combination=value,
        rule=Above(AGREEMENT),
    ),
)
