"""Sec. 5.2, Fig. 2 right: how perturbations align with singular vectors."""

from __future__ import annotations

from opnorm.claims.cases import compared, each, in_l2, together
from opnorm.claims.claim import OWN, Case, Claim, Measure, Reduction, Rows, Statistic, where
from opnorm.claims.margins import AGREEMENT, FLAT, LARGER, SAME_SIZE, SMALLER, STRONG
from opnorm.claims.methods import any_method, robust, standard
from opnorm.claims.reductions import at, average, beyond, contrast, drop, first, last, ratio, trend, value, whole
from opnorm.claims.verdict import Above, Below, Within


def _claims(prefix: str, of: str) -> tuple[Claim, ...]:
    """The claims of one Jacobian: `prefix` in names, `of` in words."""
    analysis = f"{prefix}alignment"
    trained, untrained = (Rows(analysis, "cosine", where(network=network), "rank") for network in ("trained", "random"))
    return (
        Claim(f"{prefix}alignment_strong", "5.2",
              f"perturbations of {{0}} align strongly with dominant singular vectors of the {of} Jacobian",
              each(any_method),
              Statistic("mean cosine at rank 1 over its mean in the second half of the ranks",
                        analysis, lambda _: [Measure(trained, contrast)], value),
              Above(STRONG)),
        Claim(f"{prefix}alignment_beyond_random", "5.2",
              f"perturbations of {{0}} align more with the dominant singular vectors of its {of} Jacobian than with a "
              "random network's",
              each(any_method),
              Statistic("mean cosine at rank 1, trained over random network",
                        analysis, lambda _: [Measure(trained, first), Measure(untrained, first)], ratio),
              LARGER),
        Claim(f"{prefix}alignment_decreasing", "5.2",
              f"the alignment of {{0}} with the {of} Jacobian decreases with increasing rank",
              each(any_method),
              Statistic("slope of the mean cosine per doubling of the rank (least squares)",
                        analysis, lambda _: [Measure(trained, trend)], value),
              Below(0.0)),
        Claim(f"{prefix}alignment_random_flat", "earlier version",
              f"the alignment with a random network's {of} Jacobian does not depend on the rank",
              together(at_least=1),
              Statistic("mean cosine at rank 1 minus its mean in the second half of the ranks, over {all}",
                        analysis, lambda _: [Measure(untrained, drop)], average),
              Within(-FLAT, FLAT)),
    )  # fmt: skip


_OVER_EPSILON = Rows("alignment_distance", "cosine", axis="epsilon")


def _iterations(of: Case) -> float:
    """Of the attack in training."""
    return float(of.methods[0].iterations)


def _claims_on_iterations(prefix: str, of: str) -> tuple[Claim, ...]:
    """The claims on what few and many iterations find, of one Jacobian."""
    analysis = f"{prefix}alignment_iterations"

    def process(name: str, reduction: Reduction) -> Measure:
        return Measure(Rows(analysis, "cosine", where(process=name), "iterations"), reduction)

    return (
        Claim(f"{prefix}input_gradient_misses_dominant_vector", "4.3",
              f"the input gradient of {{0}} does not approximate the dominant singular vector of the {of} Jacobian "
              "well",
              each(any_method),
              Statistic("mean cosine of the input gradient with v_1",
                        analysis, lambda _: [process("input_gradient", whole)], value),
              Below(AGREEMENT)),
        Claim(f"{prefix}input_gradient_misses_more_than_attack", OWN,
              f"the input gradient of {{0}} approximates the dominant singular vector of the {of} Jacobian less well "
              "than the iterated attack",
              in_l2(each(any_method)),
              Statistic("mean cosine of the input gradient with v_1 over that of the attack after its longest run",
                        analysis, lambda _: [process("input_gradient", whole), process("attack", last)], ratio),
              SMALLER),
        Claim(f"{prefix}alignment_under_longer_attack", "5.1",
              f"longer attacks on {{0}} align with the dominant singular vector of the {of} Jacobian as its own do",
              each(any_method),
              Statistic("mean cosine of the attack with v_1 after its longest run over that after as many iterations "
                        "as in training", analysis,
                        lambda case: [process("attack", beyond(_iterations(case))),
                                      process("attack", at(_iterations(case)))], ratio),
              SAME_SIZE),
        Claim(f"{prefix}one_power_iteration_misses_dominant_vector", "4.3",
              f"a single iteration of the power method on {{0}} does not approximate the dominant singular vector of "
              f"the {of} Jacobian well",
              each(any_method),
              Statistic("mean cosine with v_1 after one iteration",
                        analysis, lambda _: [process("power_method", at(1.0))], value),
              Below(AGREEMENT)),
    )  # fmt: skip


CLAIMS = (
    *_claims("", "features'"),
    *_claims("logit_", "logits'"),
    Claim("alignment_falls_with_epsilon", "earlier version",
          "the alignment of {0} with its dominant singular vector falls as the perturbation grows",
          each(any_method),
          Statistic("slope of the mean cosine per doubling of epsilon (least squares)",
                    "alignment_distance", lambda _: [Measure(_OVER_EPSILON, trend)], value),
          Below(0.0)),
    Claim("alignment_above_standard", "earlier version",
          "perturbations of {0} align more with the dominant singular vector than those of {1}",
          in_l2(compared(robust, standard)),
          Statistic("mean cosine at the training epsilon, {0} over {1}",
                    "alignment_distance", lambda of: [Measure(_OVER_EPSILON, at(of.epsilon))], ratio),
          Above(1.0)),
    *_claims_on_iterations("", "features'"),
    *_claims_on_iterations("logit_", "logits'"),
)  # fmt: skip
