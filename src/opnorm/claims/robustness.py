"""Sec. 4.3, 5.1 and 5.3, Fig. 3 and 7: who withstands attacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from opnorm.claims.cases import compared, each, in_linf, in_linf_ball, solvers
from opnorm.claims.claim import Case, Cases, Claim, Measure, Reduction, Rows, Statistic, where
from opnorm.claims.margins import ALMOST_ALL, LESS_ACCURATE, MORE_ACCURATE, NOT_MORE_ACCURATE, SAME_ACCURACY
from opnorm.claims.methods import (
    MAIN,
    Context,
    adversarial,
    data_dependent,
    explained,
    global_snr,
    global_snr_many,
    mixed,
    regularised,
    robust,
    standard,
)
from opnorm.claims.reductions import at, before, difference, up_to, value
from opnorm.claims.verdict import Above, Below

_GRIDS = {2.0: "l2", math.inf: "linf"}
"""The option of `robustness` that has the radii of a norm."""


def _accuracy(reduction: Callable[[float], Reduction]) -> Callable[[Case], Sequence[Measure]]:
    """Accuracy over the radius in the case's norm, reduced with its epsilon."""
    return lambda of: [Measure(Rows("robustness", "correct", where(norm=of.norm), "epsilon"), reduction(of.epsilon))]


def _at_smaller_radii(cases: Cases) -> Cases:
    """Each case once for each radius of the grid below its own, above 0."""

    def radii(of: Case, context: Context) -> list[float]:
        grid = context.analyses.get("robustness", {}).get(_GRIDS.get(of.norm, ""), ())
        return [radius for radius in grid if 0.0 < radius < of.epsilon]

    return lambda context: [replace(of, detail=f"{radius:g}") for of in cases(context) for radius in radii(of, context)]


_OVER_RADII = Statistic(
    "mean accuracy over the attack's radii up to the training epsilon, {0} minus {1}",
    "robustness",
    _accuracy(up_to),
    difference,
)
_AT_RADIUS = Statistic(
    "accuracy under attack at the radius {detail}, {0} minus {1}",
    "robustness",
    lambda of: _accuracy(lambda _: at(float(of.detail)))(of),
    difference,
)
_OF_EXPLANATIONS = replace(_OVER_RADII, figure="explanations")
_IN_LINF = replace(_OVER_RADII, figure="robustness_linf")
_OF_MIXTURES = replace(_OVER_RADII, figure="interpolation")
_AT_EPSILON = Statistic(
    "accuracy under attack at the training epsilon, {0} minus {1}", "robustness", _accuracy(at), difference
)
_LEFT_AT_EPSILON = Statistic("accuracy under attack at the training epsilon", "accuracies", _accuracy(at), value)
_LEFT_BEFORE = Statistic(
    "accuracy under attack at the last radius below the training epsilon", "robustness", _accuracy(before), value
)
_LEFT_IN_LINF, _LEFT_BEFORE_IN_LINF = (
    replace(left, figure="robustness_linf") for left in (_LEFT_AT_EPSILON, _LEFT_BEFORE)
)
_OF_MIXTURES_AT_EPSILON = replace(_AT_EPSILON, figure="interpolation")
_OF_EXPLANATIONS_AT_EPSILON = replace(_AT_EPSILON, figure="explanations")
_IN_LINF_AT_RADIUS = replace(_AT_RADIUS, figure="robustness_linf")
_IN_LINF_AT_EPSILON = replace(_AT_EPSILON, figure="robustness_linf")
_CLEAN = Statistic("accuracy without an attack, {0} minus {1}", "accuracies", _accuracy(lambda _: at(0.0)), difference)
_CLEAN_EXPLANATIONS = replace(_CLEAN, figure="explanations")
_CLEAN_LINF = replace(_CLEAN, figure="robustness_linf")

CLAIMS = (
    Claim("equally_robust", "5.3", "{0} is as robust as {1}, over all radii up to the training epsilon",
          compared(data_dependent, adversarial), _OVER_RADII, SAME_ACCURACY),
    Claim("equally_robust_at_radius", "5.3", "{0} is as robust as {1} at the radius {detail}",
          _at_smaller_radii(compared(data_dependent, adversarial)), _AT_RADIUS, SAME_ACCURACY),
    Claim("equally_robust_at_epsilon", "5.3", "{0} is as robust as {1} at the training epsilon",
          compared(data_dependent, adversarial), _AT_EPSILON, SAME_ACCURACY),
    Claim("more_robust_than_standard", "5.3", "{0} is significantly more robust than {1}",
          compared(robust, standard), _OVER_RADII, MORE_ACCURATE),
    Claim("global_snr_not_robust", "5.3", "{0} is not substantially more robust than {1}",
          compared(global_snr, standard), _OVER_RADII, NOT_MORE_ACCURATE),
    Claim("same_clean_accuracy", "5.1", "{0} has the clean accuracy of {1}",
          compared(regularised, adversarial), _CLEAN, SAME_ACCURACY),
    Claim("training_epsilon_suffices", "5.1", "at the training epsilon almost all inputs to {0} are misclassified",
          each(standard), _LEFT_AT_EPSILON, Below(ALMOST_ALL)),
    Claim("training_epsilon_is_smallest", "5.1",
          "at the next smaller radius that was measured not almost all inputs to {0} are misclassified",
          each(standard), _LEFT_BEFORE, Above(ALMOST_ALL)),
    Claim("iterations_of_global_snr", "5.1",
          "more power iterations per update ({0}) make no difference to the robustness of {1}",
          compared(global_snr_many, global_snr, None), _OF_EXPLANATIONS, SAME_ACCURACY),
    Claim("clean_iterations_of_global_snr", "5.1",
          "more power iterations per update ({0}) make no difference to the clean accuracy of {1}",
          compared(global_snr_many, global_snr, None), _CLEAN_EXPLANATIONS, SAME_ACCURACY),
    Claim("solvers_equally_robust", "4.1",
          "the power method ({0}) makes networks as robust as the exact maximiser ({1}) does",
          solvers, _OVER_RADII, SAME_ACCURACY),
    Claim("mixtures_equally_robust", "5.3", "the mixture {0} is as robust as {1}",
          compared(mixed, adversarial, None), _OF_MIXTURES, SAME_ACCURACY),
    Claim("mixtures_equally_robust_at_epsilon", "5.3", "the mixture {0} is as robust as {1} at the training epsilon",
          compared(mixed, adversarial, None), _OF_MIXTURES_AT_EPSILON, SAME_ACCURACY),
    Claim("explanations_less_robust", "4.3", "{0} protects less against iterative attacks than {1}",
          compared(explained, data_dependent, None), _OF_EXPLANATIONS, LESS_ACCURATE),
    Claim("explanations_less_robust_than_adversarial", "4.3", "{0} protects less against iterative attacks than {1}",
          compared(explained, adversarial, None), _OF_EXPLANATIONS, LESS_ACCURATE),
    Claim("explanations_less_robust_at_epsilon", "4.3",
          "{0} protects less against iterative attacks than {1} at the training epsilon",
          compared(explained, data_dependent, None), _OF_EXPLANATIONS_AT_EPSILON, LESS_ACCURATE),
    Claim("explanations_less_robust_than_adversarial_at_epsilon", "4.3",
          "{0} protects less against iterative attacks than {1} at the training epsilon",
          compared(explained, adversarial, None), _OF_EXPLANATIONS_AT_EPSILON, LESS_ACCURATE),
    Claim("explanations_same_clean_accuracy", "4.3", "{0} has the clean accuracy of {1}",
          compared(explained, adversarial, None), _CLEAN_EXPLANATIONS, SAME_ACCURACY),
    Claim("linf_equally_robust", "5.3", "in the l-infinity ball, {0} is as robust as {1}",
          in_linf(data_dependent, adversarial), _IN_LINF, SAME_ACCURACY),
    Claim("linf_equally_robust_at_radius", "5.3", "in the l-infinity ball of radius {detail}, {0} is as robust as {1}",
          _at_smaller_radii(in_linf(data_dependent, adversarial)), _IN_LINF_AT_RADIUS, SAME_ACCURACY),
    Claim("linf_equally_robust_at_epsilon", "5.3", "at the radius of its l-infinity ball, {0} is as robust as {1}",
          in_linf(data_dependent, adversarial), _IN_LINF_AT_EPSILON, SAME_ACCURACY),
    Claim("linf_same_clean_accuracy", "5.1", "{0} has the clean accuracy of {1}, both trained in an l-infinity ball",
          in_linf(data_dependent, adversarial), _CLEAN_LINF, SAME_ACCURACY),
    Claim("linf_more_robust_than_standard", "5.3", "in the l-infinity ball, {0} is significantly more robust than {1}",
          in_linf(robust, standard, MAIN), _IN_LINF, MORE_ACCURATE),
    Claim("linf_global_snr_not_robust", "5.3",
          "in the l-infinity ball, {0} is not substantially more robust than {1}",
          in_linf_ball(compared(global_snr, standard)), _IN_LINF, NOT_MORE_ACCURATE),
    Claim("linf_training_epsilon_suffices", "5.1",
          "at the radius of the l-infinity ball almost all inputs to {0} are misclassified",
          in_linf_ball(each(standard)), _LEFT_IN_LINF, Below(ALMOST_ALL)),
    Claim("linf_training_epsilon_is_smallest", "5.1",
          "in the l-infinity ball of the next smaller radius that was measured not almost all inputs to {0} are "
          "misclassified",
          in_linf_ball(each(standard)), _LEFT_BEFORE_IN_LINF, Above(ALMOST_ALL)),
)  # fmt: skip
