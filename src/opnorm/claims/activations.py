"""Sec. 5.5, Fig. 5 and 9: where the ReLU cells are larger."""

from __future__ import annotations

from opnorm.claims.cases import compared, in_directions, in_l2
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, Statistic, where
from opnorm.claims.margins import SAME_SIZE, SMALLER
from opnorm.claims.methods import robust, standard
from opnorm.claims.reductions import ratio, ratio_of_ratios, up_to

_CHANGED = "mean share of ReLU states that change over distances up to the training epsilon"


def changed(shared: Floats) -> Floats:
    """The share of states that change, of that which two points share."""
    return 1.0 - shared


def _around(center: str, direction: str, of: Case) -> Measure:
    rows = Rows("activations", "shared", where(center=center, direction=direction), "distance", changed)
    return Measure(rows, up_to(of.epsilon))


_AROUND_DATA = Statistic(
    f"{_CHANGED}, {{0}} over {{1}}", "activations", lambda of: [_around("data", of.detail, of)], ratio
)
_AWAY_FROM_DATA = Statistic(
    f"{_CHANGED} around uniform points, {{0}} over {{1}}",
    "activations",
    lambda of: [_around("uniform", "random", of)],
    ratio,
)
_DATA_OVER_AWAY = Statistic(
    f"{_CHANGED}, {{0}} over {{1}}, around data over the same around uniform points",
    "activations",
    lambda of: [_around("data", "random", of), _around("uniform", "random", of)],
    ratio_of_ratios,
)

CLAIMS = (
    Claim("cells_larger", "5.5", "{0} has larger ReLU cells around data than {1}, in {detail} directions",
          in_directions(compared(robust, standard)), _AROUND_DATA, SMALLER),
    Claim("cells_unchanged_away", "5.5",
          "{0} has no effect on ReLU cells away from the data manifold, compared with {1}",
          in_l2(compared(robust, standard)), _AWAY_FROM_DATA, SAME_SIZE),
    Claim("cells_mainly_on_data", "5.5",
          "{0} acts on ReLU cells more on the data manifold than away from it, compared with {1}",
          in_l2(compared(robust, standard)), _DATA_OVER_AWAY, SMALLER),
)  # fmt: skip
