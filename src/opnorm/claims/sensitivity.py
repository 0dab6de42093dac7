"""Abstract: sensitivity to adversarial examples is tied to the spectrum."""

from __future__ import annotations

from opnorm.claims.cases import together
from opnorm.claims.claim import Case, Claim, Measure, Rows, Statistic, where
from opnorm.claims.margins import STRONGLY_NEGATIVE
from opnorm.claims.reductions import correlation, first, up_to
from opnorm.claims.verdict import Below


def _steepness_and_accuracy(of: Case) -> list[Measure]:
    steepness = Rows("spectrum", "singular_value", where(inputs="clean"), "rank")
    accuracy = Rows("robustness", "correct", where(norm=of.norm), "epsilon")
    return [Measure(steepness, first), Measure(accuracy, up_to(of.epsilon))]


_CORRELATION = Statistic(
    "correlation, over these methods alone, of the mean largest singular value with the mean accuracy over the "
    "attack's radii up to the training epsilon",
    "robustness",
    _steepness_and_accuracy,
    correlation,
)

CLAIMS = (
    Claim("sensitivity_tied_to_spectrum", "abstract",
          "networks with larger singular values are less robust, over the training methods {all}",
          together(at_least=3), _CORRELATION, Below(STRONGLY_NEGATIVE)),
)  # fmt: skip
