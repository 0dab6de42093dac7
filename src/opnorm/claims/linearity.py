"""Sec. 5.4, Fig. 4: how linear the networks are around data, and how steep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Reduction, Role, Rows, compared, each, in_l2, where
from opnorm.claims.margins import APPROXIMATION, LARGER, SMALLER, STRONG
from opnorm.claims.methods import Context
from opnorm.claims.reductions import at, bend, growth, ratio, up_to, value
from opnorm.claims.verdict import Above, Below

DIRECTIONS = ("random", "adversarial")


def in_directions(cases: Callable[[Context], Sequence[Case]]) -> Callable[[Context], list[Case]]:
    """Each case once for each direction, which is its detail."""
    return in_l2(
        lambda context: [replace(found, detail=direction) for found in cases(context) for direction in DIRECTIONS]
    )


def _deviation(direction: str) -> Rows:
    return Rows("linearity", "deviation", where(direction=direction), "distance")


def _along(rows: Callable[[str], Rows], reduction: Callable[[float], Reduction]) -> Callable[[Case], Sequence[Measure]]:
    """The curve in the case's direction, reduced with its epsilon."""
    return lambda of: [Measure(rows(of.detail), reduction(of.epsilon))]


def _relative(of: Case) -> list[Measure]:
    linear = replace(_deviation("adversarial"), value="linear")
    return [Measure(rows, at(of.epsilon)) for rows in (_deviation("adversarial"), linear)]


def _both_directions(of: Case) -> list[Measure]:
    return [Measure(_deviation(direction), up_to(of.epsilon)) for direction in reversed(DIRECTIONS)]


def _around(cases: Role) -> Callable[[Context], list[Case]]:
    return in_directions(compared(cases, methods.standard))


def _steepness(analysis: str, of: str, prefix: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `of` in words, `prefix` in names."""

    def singular_value(direction: str) -> Rows:
        return Rows(analysis, "singular_value", where(direction=direction), "distance")

    return (
        Claim(
            name=f"{prefix}singular_value_develops",
            section="5.4",
            statement=f"{{0}} develops large dominant {of} singular values around data, in {{detail}} directions",
            statistic="mean largest singular value at distances above 0 and up to the training epsilon, over that at 0",
            figure=analysis,
            cases=in_directions(each(methods.standard)),
            measures=_along(singular_value, growth),
            combination=value,
            rule=LARGER,
        ),
        Claim(
            name=f"{prefix}singular_value_kept_low",
            section="5.4",
            statement=f"{{0}} keeps the dominant {of} singular value low around data, in {{detail}} directions",
            statistic="mean largest singular value at distances above 0 and up to the training epsilon, {0} over {1}",
            figure=analysis,
            cases=_around(methods.robust),
            measures=_along(singular_value, up_to),
            combination=ratio,
            rule=SMALLER,
        ),
    )


CLAIMS = (
    Claim(
        name="more_linear",
        section="5.4",
        statement="{0} is significantly more linear around data than {1}, in {detail} directions",
        statistic="mean deviation from linearity at distances up to the training epsilon, {0} over {1}",
        figure="linearity",
        cases=_around(methods.robust),
        measures=_along(_deviation, up_to),
        combination=ratio,
        rule=SMALLER,
    ),
    Claim(
        name="linear_in_ball",
        section="5.4",
        statement="the Jacobian of {0} is a good approximation in the whole ball, even in the adversarial direction",
        statistic="mean deviation from linearity at the training epsilon, adversarial direction, over the mean change "
        "|J z| that is predicted",
        figure="linearity",
        cases=in_l2(each(methods.robust)),
        measures=_relative,
        combination=ratio,
        rule=Below(APPROXIMATION),
    ),
    Claim(
        name="flat_then_growing",
        section="5.4",
        statement="{0}'s deviation from linearity is flat up to the order of the training epsilon and grows beyond",
        statistic="mean slope of the deviation beyond the training epsilon over that up to it, adversarial direction",
        figure="linearity",
        cases=in_l2(each(methods.robust)),
        measures=lambda of: [Measure(_deviation("adversarial"), bend(of.epsilon))],
        combination=value,
        rule=Above(STRONG),
    ),
    Claim(
        name="least_linear_adversarially",
        section="5.4",
        statement="{0} is less linear in adversarial than in random directions",
        statistic="mean deviation from linearity up to the training epsilon, adversarial over random direction",
        figure="linearity",
        cases=in_l2(each(methods.any_method)),
        measures=_both_directions,
        combination=ratio,
        rule=LARGER,
    ),
    *_steepness("dominant_singular_value", "features'", ""),
    *_steepness("logit_dominant_singular_value", "logits'", "logit_"),
)
