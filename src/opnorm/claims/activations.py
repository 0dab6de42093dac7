"""Sec. 5.5, Fig. 5 and 9: where the ReLU cells are larger."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, compared, in_l2, where
from opnorm.claims.linearity import in_directions
from opnorm.claims.margins import SAME_SIZE, SMALLER
from opnorm.claims.reductions import ratio, ratio_of_ratios, up_to

_CHANGED = "mean share of ReLU states that change over distances up to the training epsilon"


def _changed(shared: Floats) -> Floats:
    return 1.0 - shared


def _around(center: str, direction: str, of: Case) -> Measure:
    rows = Rows("activations", "shared", where(center=center, direction=direction), "distance", _changed)
    return Measure(rows, up_to(of.epsilon))


CLAIMS = (
    Claim(
        name="cells_larger",
        section="5.5",
        statement="{0} has larger ReLU cells around data than {1}, in {detail} directions",
        statistic=f"{_CHANGED}, {{0}} over {{1}}",
        figure="activations",
        cases=in_directions(compared(methods.robust, methods.standard)),
        measures=lambda of: [_around("data", of.detail, of)],
        combination=ratio,
        rule=SMALLER,
    ),
    Claim(
        name="cells_unchanged_away",
        section="5.5",
        statement="{0} has no effect on ReLU cells away from the data manifold, compared with {1}",
        statistic=f"{_CHANGED} around uniform points, {{0}} over {{1}}",
        figure="activations",
        cases=in_l2(compared(methods.robust, methods.standard)),
        measures=lambda of: [_around("uniform", "random", of)],
        combination=ratio,
        rule=SAME_SIZE,
    ),
    Claim(
        name="cells_mainly_on_data",
        section="5.5",
        statement="{0} acts on ReLU cells more on the data manifold than away from it, compared with {1}",
        statistic=f"{_CHANGED}, {{0}} over {{1}}, around data over the same around uniform points",
        figure="activations",
        cases=in_l2(compared(methods.robust, methods.standard)),
        measures=lambda of: [_around("data", "random", of), _around("uniform", "random", of)],
        combination=ratio_of_ratios,
        rule=SMALLER,
    ),
)
