"""Sec. 4.3, 5.1 and 5.3, Fig. 3 and 7: who withstands attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Reduction, Role, Rows, case, compared, each, where
from opnorm.claims.margins import ALMOST_ALL, LESS_ACCURATE, MORE_ACCURATE, NOT_MORE_ACCURATE, SAME_ACCURACY
from opnorm.claims.methods import LINF, Context
from opnorm.claims.reductions import above_mean_of_others, at, before, difference, up_to, value
from opnorm.claims.verdict import Above, Below

_CURVE = "mean accuracy over the attack's radii up to the training epsilon, {0} minus {1}"
_POINT = "accuracy under attack at the training epsilon, {0} minus {1}"


def _accuracy(reduction: Callable[[float], Reduction]) -> Callable[[Case], Sequence[Measure]]:
    """Accuracy over the radius in the case's norm, reduced with its epsilon."""

    def measures(of: Case) -> list[Measure]:
        rows = Rows("robustness", "correct", where(norm=of.norm), "epsilon")
        return [Measure(rows, reduction(of.epsilon))]

    return measures


def _clean(_: float) -> Reduction:
    return at(0.0)


_curve, _point = _accuracy(up_to), _accuracy(at)


def _linf(role: Role, other: Role, group: str = LINF) -> Callable[[Context], list[Case]]:
    """Methods trained in an l-infinity ball, in the ball of adversarial training there."""

    def cases(context: Context) -> list[Case]:
        return [
            Case((method, reference), trained.norm, trained.epsilon)
            for trained in context.first(methods.adversarial, LINF)
            for method in context.those(role, LINF)
            for reference in context.first(other, group)
        ]

    return cases


def _mixtures(context: Context) -> list[Case]:
    """Each mixture with the two that are mixed."""
    return [
        case(context, mixture, attacked, regularised)
        for mixture in context.those(methods.mixed, None)
        for attacked in context.first(methods.adversarial)
        for regularised in context.first(methods.data_dependent)
    ]


CLAIMS = (
    Claim(
        name="equally_robust",
        section="5.3",
        statement="{0} is as robust as {1}, over all radii up to the training epsilon",
        statistic=_CURVE,
        figure="robustness",
        cases=compared(methods.data_dependent, methods.adversarial),
        measures=_curve,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="equally_robust_at_epsilon",
        section="5.3",
        statement="{0} is as robust as {1} at the training epsilon",
        statistic=_POINT,
        figure="robustness",
        cases=compared(methods.data_dependent, methods.adversarial),
        measures=_point,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="more_robust_than_standard",
        section="5.3",
        statement="{0} is significantly more robust than {1}",
        statistic=_CURVE,
        figure="robustness",
        cases=compared(methods.robust, methods.standard),
        measures=_curve,
        combination=difference,
        rule=MORE_ACCURATE,
    ),
    Claim(
        name="global_snr_not_robust",
        section="5.3",
        statement="{0} is not substantially more robust than {1}",
        statistic=_CURVE,
        figure="robustness",
        cases=compared(methods.global_snr, methods.standard),
        measures=_curve,
        combination=difference,
        rule=NOT_MORE_ACCURATE,
    ),
    Claim(
        name="same_clean_accuracy",
        section="5.1",
        statement="{0} has the clean accuracy of {1}",
        statistic="accuracy without an attack, {0} minus {1}",
        figure="accuracies",
        cases=compared(methods.regularised, methods.adversarial),
        measures=_accuracy(_clean),
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="training_epsilon_suffices",
        section="5.1",
        statement="at the training epsilon almost all inputs to {0} are misclassified",
        statistic="accuracy under attack at the training epsilon",
        figure="accuracies",
        cases=each(methods.standard),
        measures=_point,
        combination=value,
        rule=Below(ALMOST_ALL),
    ),
    Claim(
        name="training_epsilon_is_smallest",
        section="5.1",
        statement="at smaller radii not almost all inputs to {0} are misclassified",
        statistic="accuracy under attack at the last radius below the training epsilon",
        figure="robustness",
        cases=each(methods.standard),
        measures=_accuracy(before),
        combination=value,
        rule=Above(ALMOST_ALL),
    ),
    Claim(
        name="iterations_of_global_snr",
        section="5.1",
        statement="more power iterations per update ({0}) make no difference to the robustness of {1}",
        statistic=_CURVE,
        figure="explanations",
        cases=compared(methods.global_snr_many, methods.global_snr, None),
        measures=_curve,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="solvers_equally_robust",
        section="4.1",
        statement="the power method ({0}) makes networks as robust as the exact maximiser ({1}) does",
        statistic=_CURVE,
        figure="robustness",
        cases=compared(methods.solved_by_power, methods.solved_exactly),
        measures=_curve,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="mixtures_equally_robust",
        section="5.3",
        statement="{0} is as robust as what it mixes, {1} and {2}",
        statistic="mean accuracy over the attack's radii up to the training epsilon, minus the mean of the two ends'",
        figure="interpolation",
        cases=_mixtures,
        measures=_curve,
        combination=above_mean_of_others,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="explanations_less_robust",
        section="4.3",
        statement="{0} protects less against iterative attacks than {1}",
        statistic=_CURVE,
        figure="explanations",
        cases=compared(methods.explained, methods.data_dependent, None),
        measures=_curve,
        combination=difference,
        rule=LESS_ACCURATE,
    ),
    Claim(
        name="linf_equally_robust",
        section="5.3",
        statement="in the l-infinity ball, {0} is as robust as {1}",
        statistic=_CURVE,
        figure="robustness_linf",
        cases=_linf(methods.data_dependent, methods.adversarial),
        measures=_curve,
        combination=difference,
        rule=SAME_ACCURACY,
    ),
    Claim(
        name="linf_more_robust_than_standard",
        section="5.3",
        statement="in the l-infinity ball, {0} is significantly more robust than {1}",
        statistic=_CURVE,
        figure="robustness_linf",
        cases=_linf(methods.robust, methods.standard, methods.MAIN),
        measures=_curve,
        combination=difference,
        rule=MORE_ACCURATE,
    ),
)
