"""How close cross-entropy's direction among the logits, the topic of Sec. 7.4, comes to the dominant one."""

from __future__ import annotations

from opnorm.claims.cases import each
from opnorm.claims.claim import OWN, Claim, Measure, Rows, Statistic, where
from opnorm.claims.margins import LARGER
from opnorm.claims.methods import any_method
from opnorm.claims.reductions import ratio, whole

_CROSS_ENTROPY, _RANDOM = (
    Measure(Rows("logit_direction", "cosine", where(inputs="clean", direction=direction)), whole)
    for direction in ("cross_entropy", "random")
)
_AHEAD_OF_RANDOM = Statistic(
    "mean cosine with u_1 at clean inputs, softmax(z) - e_y over a random direction",
    "logit_direction",
    lambda _: [_CROSS_ENTROPY, _RANDOM],
    ratio,
)

CLAIMS = (
    Claim("cross_entropy_direction", OWN,
          "in the logits of {0}, attacks on the cross-entropy push closer to the dominant singular vector than a "
          "random direction does",
          each(any_method), _AHEAD_OF_RANDOM, LARGER),
)  # fmt: skip
