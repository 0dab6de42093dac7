"""Abstract: sensitivity to adversarial examples is tied to the spectrum."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Rows, case, where
from opnorm.claims.methods import Context
from opnorm.claims.reductions import correlation, first, up_to
from opnorm.claims.verdict import Below

STRONGLY_NEGATIVE = -0.5


def _all_methods(context: Context) -> list[Case]:
    found = context.those(methods.any_method)
    return [case(context, *found, pooled=True)] if len(found) > 2 else []


def _steepness_and_accuracy(of: Case) -> list[Measure]:
    steepness = Rows("spectrum", "singular_value", where(inputs="clean"), "rank")
    accuracy = Rows("robustness", "correct", where(norm=of.norm), "epsilon")
    return [Measure(steepness, first), Measure(accuracy, up_to(of.epsilon))]


CLAIMS = (
    Claim(
        name="sensitivity_tied_to_spectrum",
        section="abstract",
        statement="networks with larger singular values are less robust, over the training methods {all}",
        statistic="correlation over methods of the mean largest singular value with the mean accuracy over the "
        "attack's radii up to the training epsilon",
        figure="robustness",
        cases=_all_methods,
        measures=_steepness_and_accuracy,
        combination=correlation,
        rule=Below(STRONGLY_NEGATIVE),
    ),
)
