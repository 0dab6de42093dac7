"""Sec. 5.1: that the conclusions on robustness do not depend on the attack, and that the attacks can be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Rows, compared, each, where
from opnorm.claims.margins import ALL_PASSED, MORE_ACCURATE, NOT_MORE_ACCURATE, SAME_ACCURACY
from opnorm.claims.methods import Context
from opnorm.claims.reductions import at, difference, value, whole

# Of the analysis `evaluation`, where the experiment does not say otherwise.
ITERATIONS, RESTARTS = (10, 50, 200), 5

_STATISTIC = "accuracy under {detail} at the training epsilon, {0} minus {1}"


def attacks(context: Context) -> list[str]:
    """The longest ascent, AutoAttack, and all attacks together, as the column `attack` calls them."""
    options = context.analyses.get("evaluation", {})
    longest, restarts = options.get("iterations", ITERATIONS)[-1], options.get("restarts", RESTARTS)
    ascent = f"pga_{longest}x{restarts}" if restarts > 1 else f"pga_{longest}"
    return [ascent, *(["autoattack"] if options.get("autoattack", True) else []), "worst_case"]


def _by_attack(cases: Callable[[Context], list[Case]]) -> Callable[[Context], list[Case]]:
    return lambda context: [replace(of, detail=attack) for of in cases(context) for attack in attacks(context)]


def _accuracy(of: Case) -> list[Measure]:
    return [Measure(Rows("evaluation", "correct", where(norm=of.norm, attack=of.detail), "epsilon"), at(of.epsilon))]


def _checks(**columns: str) -> Callable[[Case], list[Measure]]:
    return lambda _: [Measure(Rows("sanity", "passed", where(**columns)), whole)]


CLAIMS = (
    Claim(
        name="attacked_equally_robust",
        section="5.1",
        statement="{0} is as robust as {1} under {detail} too",
        statistic=_STATISTIC,
        figure="evaluation",
        cases=_by_attack(compared(methods.data_dependent, methods.adversarial)),
        measures=_accuracy,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="attacked_more_robust_than_standard",
        section="5.1",
        statement="{0} is significantly more robust than {1} under {detail} too",
        statistic=_STATISTIC,
        figure="evaluation",
        cases=_by_attack(compared(methods.robust, methods.standard)),
        measures=_accuracy,
        combination=difference,
        rule=MORE_ACCURATE,
    ),
    Claim(
        name="attacked_global_snr_not_robust",
        section="5.1",
        statement="{0} is not substantially more robust than {1} under {detail} either",
        statistic=_STATISTIC,
        figure="evaluation",
        cases=_by_attack(compared(methods.global_snr, methods.standard)),
        measures=_accuracy,
        combination=difference,
        rule=NOT_MORE_ACCURATE,
    ),
    Claim(
        name="accuracy_falls_with_epsilon",
        section="evaluation",
        statement="attacks on {0} succeed more often the larger the ball",
        statistic="share of checks passed: accuracy does not rise with epsilon",
        figure="sanity",
        cases=each(methods.any_method),
        measures=_checks(check="monotone"),
        combination=value,
        rule=ALL_PASSED,
    ),
    Claim(
        name="chance_at_large_epsilon",
        section="evaluation",
        statement="in a ball that covers all images the accuracy of {0} is at most that of chance",
        statistic="share of checks passed: accuracy at most that of guessing",
        figure="sanity",
        cases=each(methods.any_method),
        measures=_checks(check="large_epsilon"),
        combination=value,
        rule=ALL_PASSED,
    ),
    Claim(
        name="attacks_can_be_believed",
        section="evaluation",
        statement="no check of the attacks on {0} gives reason to doubt them",
        statistic="share of checks passed: gradients, randomness, more iterations, a black-box attack, large balls",
        figure="sanity",
        cases=each(methods.any_method),
        measures=_checks(),
        combination=value,
        rule=ALL_PASSED,
    ),
)
