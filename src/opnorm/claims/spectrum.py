"""Sec. 5.2, Fig. 2 left: which methods dampen the singular values."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Rows, compared, where
from opnorm.claims.margins import SAME_SIZE, SMALLER
from opnorm.claims.reductions import ratio, up_to
from opnorm.claims.verdict import Below

LEADING = 10
"""Ranks that count as leading: as many as CIFAR-10 and the digits have classes."""

_STATISTIC = f"mean singular value of ranks 1 to {LEADING} at clean inputs, {{0}} over {{1}}"


def _claims(analysis: str, of: str, prefix: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `of` in words, `prefix` in names."""

    def leading(_: Case) -> list[Measure]:
        rows = Rows(analysis, "singular_value", where(inputs="clean"), "rank")
        return [Measure(rows, up_to(LEADING))]

    return (
        Claim(
            name=f"{prefix}dampened",
            section="5.2",
            statement=f"{{0}} dampens the leading singular values of the {of} Jacobian",
            statistic=_STATISTIC,
            figure=analysis,
            cases=compared(methods.robust, methods.standard),
            measures=leading,
            combination=ratio,
            rule=SMALLER,
        ),
        Claim(
            name=f"{prefix}not_dampened",
            section="5.2",
            statement=f"{{0}} has almost no effect on the leading singular values of the {of} Jacobian",
            statistic=_STATISTIC,
            figure=analysis,
            cases=compared(methods.global_snr, methods.standard),
            measures=leading,
            combination=ratio,
            rule=SAME_SIZE,
        ),
        Claim(
            name=f"{prefix}dampened_as_much",
            section="earlier version",
            statement=f"{{0}} dampens the leading singular values of the {of} Jacobian at least as much as {{1}}",
            statistic=_STATISTIC,
            figure=analysis,
            cases=compared(methods.data_dependent, methods.adversarial),
            measures=leading,
            combination=ratio,
            rule=Below(1.0),
        ),
        Claim(
            name=f"{prefix}iterations_of_global_snr",
            section="5.1",
            statement=f"more power iterations ({{0}}) make no difference to the {of} Jacobian of {{1}}",
            statistic=_STATISTIC,
            figure=analysis,
            cases=compared(methods.global_snr_many, methods.global_snr, None),
            measures=leading,
            combination=ratio,
            rule=SAME_SIZE,
        ),
        Claim(
            name=f"{prefix}solvers",
            section="4.1",
            statement=f"the power method ({{0}}) dampens the {of} Jacobian as the exact maximiser ({{1}}) does",
            statistic=_STATISTIC,
            figure=analysis,
            cases=compared(methods.solved_by_power, methods.solved_exactly),
            measures=leading,
            combination=ratio,
            rule=SAME_SIZE,
        ),
    )


CLAIMS = (*_claims("spectrum", "features'", "spectrum_"), *_claims("logit_spectrum", "logits'", "logit_spectrum_"))
