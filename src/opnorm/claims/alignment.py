"""Sec. 5.2, Fig. 2 right: how perturbations align with singular vectors."""

from __future__ import annotations

from opnorm.claims import methods
from opnorm.claims.claim import Case, Claim, Measure, Rows, case, compared, each, in_l2, where
from opnorm.claims.margins import FLAT, LARGER, STRONG
from opnorm.claims.methods import Context
from opnorm.claims.reductions import at, average, contrast, drop, first, ratio, trend, value
from opnorm.claims.verdict import Above, Below, Within


def _pooled(context: Context) -> list[Case]:
    """All main methods at once."""
    found = context.those(methods.any_method)
    return [case(context, *found, pooled=True)] if found else []


def _claims(analysis: str, of: str, prefix: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `of` in words, `prefix` in names."""
    trained, untrained = (Rows(analysis, "cosine", where(network=network), "rank") for network in ("trained", "random"))
    return (
        Claim(
            name=f"{prefix}strong",
            section="5.2",
            statement=f"perturbations of {{0}} align strongly with dominant singular vectors of the {of} Jacobian",
            statistic="mean cosine at rank 1 over its mean in the second half of the ranks",
            figure=analysis,
            cases=each(methods.any_method),
            measures=lambda _: [Measure(trained, contrast)],
            combination=value,
            rule=Above(STRONG),
        ),
        Claim(
            name=f"{prefix}beyond_random",
            section="5.2",
            statement=f"perturbations of {{0}} align more with the dominant singular vectors of its {of} Jacobian than "
            "with a random network's",
            statistic="mean cosine at rank 1, trained over random network",
            figure=analysis,
            cases=each(methods.any_method),
            measures=lambda _: [Measure(trained, first), Measure(untrained, first)],
            combination=ratio,
            rule=LARGER,
        ),
        Claim(
            name=f"{prefix}decreasing",
            section="5.2",
            statement=f"the alignment of {{0}} with the {of} Jacobian decreases with increasing rank",
            statistic="slope of the mean cosine per doubling of the rank (least squares)",
            figure=analysis,
            cases=each(methods.any_method),
            measures=lambda _: [Measure(trained, trend)],
            combination=value,
            rule=Below(0.0),
        ),
        Claim(
            name=f"{prefix}random_flat",
            section="5.2",
            statement=f"the alignment with a random network's {of} Jacobian does not depend on the rank",
            statistic="mean cosine at rank 1 minus its mean in the second half of the ranks, over {all}",
            figure=analysis,
            cases=_pooled,
            measures=lambda _: [Measure(untrained, drop)],
            combination=average,
            rule=Within(-FLAT, FLAT),
        ),
    )


_OVER_EPSILON = Rows("alignment_distance", "cosine", axis="epsilon")

CLAIMS = (
    *_claims("alignment", "features'", "alignment_"),
    *_claims("logit_alignment", "logits'", "logit_alignment_"),
    Claim(
        name="alignment_falls_with_epsilon",
        section="earlier version",
        statement="the alignment of {0} with its dominant singular vector falls as the perturbation grows",
        statistic="slope of the mean cosine per doubling of epsilon (least squares)",
        figure="alignment_distance",
        cases=each(methods.any_method),
        measures=lambda _: [Measure(_OVER_EPSILON, trend)],
        combination=value,
        rule=Below(0.0),
    ),
    Claim(
        name="alignment_above_standard",
        section="earlier version",
        statement="perturbations of {0} align more with the dominant singular vector than those of {1}",
        statistic="mean cosine at the training epsilon, {0} over {1}",
        figure="alignment_distance",
        cases=in_l2(compared(methods.robust, methods.standard)),
        measures=lambda of: [Measure(_OVER_EPSILON, at(of.epsilon))],
        combination=ratio,
        rule=Above(1.0),
    ),
)
