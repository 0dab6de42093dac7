"""All claims, in the paper's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from opnorm import analysis
from opnorm.claims import (
    activations,
    alignment,
    evaluation,
    linearity,
    logit_direction,
    longer_attacks,
    robustness,
    sensitivity,
    spectrum,
    theorem,
)
from opnorm.claims.claim import Case, Claim
from opnorm.claims.methods import Context
from opnorm.errors import SettingsError
from opnorm.options import suggest

CLAIMS: tuple[Claim, ...] = (
    *sensitivity.CLAIMS,
    *theorem.CLAIMS,
    *spectrum.CLAIMS,
    *alignment.CLAIMS,
    *robustness.CLAIMS,
    *evaluation.CLAIMS,
    *longer_attacks.CLAIMS,
    *linearity.CLAIMS,
    *activations.CLAIMS,
    *logit_direction.CLAIMS,
)


def decidable(context: Context) -> Iterator[tuple[Claim, Case]]:
    """The cases of the claims for which the experiment has the methods and the analyses.

    Raises:
        SettingsError: a claim looks at an analysis that there is not.
    """
    for claim in CLAIMS:
        for of in claim.cases(context):
            if not _lacks(claim, of, context):
                yield claim, of


def undecidable(context: Context) -> dict[str, str]:
    """Why the claims without a case among those are not judged, by their names."""
    judged = {claim.name for claim, _ in decidable(context)}
    return {claim.name: _reason(claim, context) for claim in CLAIMS if claim.name not in judged}


def _reason(claim: Claim, context: Context) -> str:
    cases = claim.cases(context)
    if not cases and claim.cases(replace(context, norm=2.0)):
        return f"its distances are l2 lengths, and the experiment's radius is one of l{context.norm:g}"
    if not cases:
        return "the experiment lacks its methods"
    lacking = dict.fromkeys(name for of in cases for name in _lacks(claim, of, context))
    return f"the experiment lacks the analysis {', '.join(lacking)}"


def _lacks(claim: Claim, of: Case, context: Context) -> list[str]:
    """The analyses that a case looks at and the experiment has not."""
    looked_at = dict.fromkeys(rows.analysis for rows in claim.statistic.looked_at(of))
    for name in looked_at:
        if name not in analysis.REGISTRY:
            raise SettingsError(f"claim {claim.name}: unknown analysis {name!r}{suggest(name, analysis.REGISTRY)}")
    return [name for name in looked_at if name not in context.analyses]


def needed(context: Context) -> list[tuple[str, str]]:
    """Analysis and method of each table that is looked at."""
    found: dict[tuple[str, str], None] = {}
    for claim, of in decidable(context):
        for rows in claim.statistic.looked_at(of):
            found.update({(rows.analysis, method.name): None for method in of.methods})
    return list(found)
