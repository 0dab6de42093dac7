"""Sec. 5.4, Fig. 4: how linear the networks are around data, and how steep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opnorm.claims.cases import compared, each, in_directions, in_l2
from opnorm.claims.claim import Case, Claim, Measure, Reduction, Rows, Statistic, where
from opnorm.claims.margins import APPROXIMATION, LARGER, NOT_LARGER, SMALLER, STRONG
from opnorm.claims.methods import any_method, robust, standard
from opnorm.claims.reductions import at, bend, growth, ratio, up_to, value
from opnorm.claims.verdict import Above, Below


def _deviation(direction: str) -> Rows:
    return Rows("linearity", "deviation", where(direction=direction), "distance")


def _along(rows: Callable[[str], Rows], reduction: Callable[[float], Reduction]) -> Callable[[Case], Sequence[Measure]]:
    """The curve in the case's direction, reduced with its epsilon."""
    return lambda of: [Measure(rows(of.detail), reduction(of.epsilon))]


def _deviation_and_change(of: Case) -> list[Measure]:
    predicted = Rows("linearity", "linear", where(direction="adversarial"), "distance")
    return [Measure(rows, at(of.epsilon)) for rows in (_deviation("adversarial"), predicted)]


_DEVIATION = Statistic(
    "mean deviation from linearity at distances up to the training epsilon, {0} over {1}",
    "linearity",
    _along(_deviation, up_to),
    ratio,
)
_RELATIVE_ERROR = Statistic(
    "mean deviation from linearity at the training epsilon, adversarial direction, over the mean change |J z| that is "
    "predicted",
    "linearity",
    _deviation_and_change,
    ratio,
)
_BEND = Statistic(
    "mean slope of the deviation beyond the training epsilon over that up to it, adversarial direction",
    "linearity",
    lambda of: [Measure(_deviation("adversarial"), bend(of.epsilon))],
    value,
)
_BETWEEN_DIRECTIONS = Statistic(
    "mean deviation from linearity up to the training epsilon, adversarial over random direction",
    "linearity",
    lambda of: [Measure(_deviation(direction), up_to(of.epsilon)) for direction in ("adversarial", "random")],
    ratio,
)


def _steepness(prefix: str, of: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `prefix` in names, `of` in words."""
    analysis = f"{prefix}dominant_singular_value"

    def singular_value(direction: str) -> Rows:
        return Rows(analysis, "singular_value", where(direction=direction), "distance")

    mean = "mean largest singular value at distances above 0 and up to the training epsilon"
    grown = Statistic(f"{mean}, over that at 0", analysis, _along(singular_value, growth), value)
    return (
        Claim(f"{prefix}singular_value_develops", "5.4",
              f"{{0}} develops large dominant {of} singular values around data, in {{detail}} directions",
              in_directions(each(standard)), grown, LARGER),
        Claim(f"{prefix}singular_value_kept_low", "5.4",
              f"{{0}} keeps the dominant {of} singular value low around data, in {{detail}} directions",
              in_directions(compared(robust, standard)),
              Statistic(f"{mean}, {{0}} over {{1}}", analysis, _along(singular_value, up_to), ratio),
              SMALLER),
        Claim(f"{prefix}singular_value_stays", "5.4",
              f"{{0}} develops no larger dominant {of} singular values around data, in {{detail}} directions",
              in_directions(each(robust)), grown, NOT_LARGER),
    )  # fmt: skip


CLAIMS = (
    Claim("more_linear", "5.4", "{0} is significantly more linear around data than {1}, in {detail} directions",
          in_directions(compared(robust, standard)), _DEVIATION, SMALLER),
    Claim("linear_in_ball", "5.4",
          "the Jacobian of {0} is a good approximation in the whole ball, even in the adversarial direction",
          in_l2(each(robust)), _RELATIVE_ERROR, Below(APPROXIMATION)),
    Claim("flat_then_growing", "5.4",
          "{0}'s deviation from linearity is flat up to the order of the training epsilon and grows beyond",
          in_l2(each(robust)), _BEND, Above(STRONG)),
    Claim("least_linear_adversarially", "5.4", "{0} is less linear in adversarial than in random directions",
          in_l2(each(any_method)), _BETWEEN_DIRECTIONS, LARGER),
    *_steepness("", "features'"),
    *_steepness("logit_", "logits'"),
)  # fmt: skip
