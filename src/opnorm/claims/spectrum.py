"""Sec. 5.2, Fig. 2 left: which methods dampen the singular values."""

from __future__ import annotations

from dataclasses import replace

from opnorm.claims.cases import compared, solvers
from opnorm.claims.claim import Claim, Measure, Rows, Statistic, where
from opnorm.claims.margins import SAME_SIZE, SMALLER
from opnorm.claims.methods import (
    adversarial,
    data_dependent,
    global_snr,
    global_snr_many,
    robust,
    standard,
)
from opnorm.claims.reductions import ratio, up_to
from opnorm.claims.verdict import Below

LEADING = 10
"""Ranks that count as leading: as many as CIFAR-10 and the digits have classes."""


def _leading_values(analysis: str, inputs: str = "clean") -> Statistic:
    rows = Rows(analysis, "singular_value", where(inputs=inputs), "rank")
    return Statistic(
        f"mean singular value of ranks 1 to {LEADING} at {inputs} inputs, {{0}} over {{1}}",
        analysis,
        lambda _: [Measure(rows, up_to(LEADING))],
        ratio,
    )


def _claims(prefix: str, of: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `prefix` in names, `of` in words."""
    leading, attacked = (_leading_values(f"{prefix}spectrum", inputs) for inputs in ("clean", "adversarial"))
    beside = replace(leading, figure=f"{prefix}spectrum_explanations")
    return (
        Claim(f"{prefix}spectrum_dampened", "5.2",
              f"{{0}} dampens the leading singular values of the {of} Jacobian",
              compared(robust, standard), leading, SMALLER),
        Claim(f"{prefix}spectrum_not_dampened", "5.2",
              f"{{0}} has almost no effect on the leading singular values of the {of} Jacobian",
              compared(global_snr, standard), leading, SAME_SIZE),
        Claim(f"{prefix}spectrum_dampened_attacked", "5.2",
              f"{{0}} dampens the leading singular values of the {of} Jacobian at attacked inputs too",
              compared(robust, standard), attacked, SMALLER),
        Claim(f"{prefix}spectrum_not_dampened_attacked", "5.2",
              f"{{0}} has almost no effect on the leading singular values of the {of} Jacobian at attacked inputs "
              "either",
              compared(global_snr, standard), attacked, SAME_SIZE),
        Claim(f"{prefix}spectrum_dampened_as_much", "earlier version",
              f"{{0}} dampens the leading singular values of the {of} Jacobian more than {{1}}",
              compared(data_dependent, adversarial), leading, Below(1.0)),
        Claim(f"{prefix}spectrum_iterations_of_global_snr", "5.1",
              f"more power iterations ({{0}}) make no difference to the {of} Jacobian of {{1}}",
              compared(global_snr_many, global_snr, None), beside, SAME_SIZE),
        Claim(f"{prefix}spectrum_solvers", "4.1",
              f"the power method ({{0}}) dampens the {of} Jacobian as the exact maximiser ({{1}}) does",
              solvers, leading, SAME_SIZE),
    )  # fmt: skip


CLAIMS = (*_claims("", "features'"), *_claims("logit_", "logits'"))
