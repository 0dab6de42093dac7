"""All claims, in the paper's order."""

from __future__ import annotations

from collections.abc import Iterator

from opnorm.claims import (
    activations,
    alignment,
    evaluation,
    linearity,
    logit_direction,
    robustness,
    sensitivity,
    spectrum,
    theorem,
)
from opnorm.claims.claim import Case, Claim
from opnorm.claims.methods import Context

CLAIMS: tuple[Claim, ...] = (
    *sensitivity.CLAIMS,
    *theorem.CLAIMS,
    *spectrum.CLAIMS,
    *alignment.CLAIMS,
    *robustness.CLAIMS,
    *evaluation.CLAIMS,
    *linearity.CLAIMS,
    *activations.CLAIMS,
    *logit_direction.CLAIMS,
)


def decidable(context: Context) -> Iterator[tuple[Claim, Case]]:
    """The cases of the claims for which the experiment has the methods and the analyses."""
    for claim in CLAIMS:
        for of in claim.cases(context):
            if all(measure.rows.analysis in context.analyses for measure in claim.statistic.measures(of)):
                yield claim, of


def needed(context: Context) -> list[tuple[str, str]]:
    """Analysis and method of each table that is looked at."""
    found: dict[tuple[str, str], None] = {}
    for claim, of in decidable(context):
        for measure in claim.statistic.measures(of):
            found.update({(measure.rows.analysis, method.name): None for method in of.methods})
    return list(found)
