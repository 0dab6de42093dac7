"""Sec. 5.1: that what the networks do at attacked inputs does not depend on the attack's number of iterations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opnorm.claims.activations import changed
from opnorm.claims.cases import compared
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, Statistic, as_it_is
from opnorm.claims.margins import SAME_SIZE, SMALLER
from opnorm.claims.methods import global_snr, robust, standard
from opnorm.claims.reductions import beyond, ratio

_ENDS = "where the longest attack ends, {0} over {1}"


def _where_it_ends(
    column: str, transform: Callable[[Floats], Floats] = as_it_is
) -> Callable[[Case], Sequence[Measure]]:
    """The column after the longest attack, which has to be longer than that of training."""
    rows = Rows("attack_iterations", column, axis="iterations", transform=transform)
    return lambda of: [Measure(rows, beyond(float(of.methods[0].iterations)))]


_SINGULAR_VALUE = Statistic(
    f"mean largest singular value of the features' Jacobian {_ENDS}",
    "attack_iterations",
    _where_it_ends("singular_value"),
    ratio,
)
_DEVIATION = Statistic(
    f"mean deviation from linearity {_ENDS}", "attack_iterations", _where_it_ends("deviation"), ratio
)
_CHANGED = Statistic(
    f"mean share of ReLU states that change {_ENDS}",
    "attack_iterations",
    _where_it_ends("shared", changed),
    ratio,
)

CLAIMS = (
    Claim("longer_attack_singular_value_dampened", "5.1",
          "{0} dampens the largest singular value at inputs under longer attacks too",
          compared(robust, standard), _SINGULAR_VALUE, SMALLER),
    Claim("longer_attack_singular_value_not_dampened", "5.1",
          "{0} has almost no effect on the largest singular value at inputs under longer attacks either",
          compared(global_snr, standard), _SINGULAR_VALUE, SAME_SIZE),
    Claim("longer_attack_more_linear", "5.1", "{0} is more linear than {1} under longer attacks too",
          compared(robust, standard), _DEVIATION, SMALLER),
    Claim("longer_attack_cells_larger", "5.1", "{0} has larger ReLU cells than {1} under longer attacks too",
          compared(robust, standard), _CHANGED, SMALLER),
)  # fmt: skip
