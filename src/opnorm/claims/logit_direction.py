"""Sec. 7.4: how the direction of cross-entropy at the logits lies to the dominant one."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Claim, Measure, Rows, each, where
from opnorm.claims.margins import LARGER
from opnorm.claims.reductions import ratio, whole

_CROSS_ENTROPY, _RANDOM = (
    Measure(Rows("logit_direction", "cosine", where(inputs="clean", direction=direction)), whole)
    for direction in ("cross_entropy", "random")
)

CLAIMS = (
    Claim(
        name="cross_entropy_direction",
        section="7.4",
        statement="in the logits of {0}, attacks on the cross-entropy push along the dominant singular vector",
        statistic="mean cosine with u_1 at clean inputs, softmax(z) - e_y over a random direction",
        figure="logit_direction",
        cases=each(methods.any_method),
        measures=lambda _: [_CROSS_ENTROPY, _RANDOM],
        combination=ratio,
        rule=LARGER,
    ),
)
