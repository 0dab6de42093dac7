"""Sec. 5.1: that the conclusions on robustness do not depend on the attack, and that the attacks can be believed."""

from __future__ import annotations

from dataclasses import replace

from opnorm.attack_names import AFTER, ladder
from opnorm.claims.cases import compared, detailed, each, each_of, in_linf
from opnorm.claims.claim import Case, Claim, Measure, Rows, Statistic, where
from opnorm.claims.margins import (
    ALL_PASSED,
    LESS_ACCURATE,
    LITTLE_GAINED,
    MORE_ACCURATE,
    NOT_MORE_ACCURATE,
    NOTHING_ALONE,
    SAME_ACCURACY,
)
from opnorm.claims.methods import (
    MAIN,
    Context,
    adversarial,
    any_method,
    data_dependent,
    explained,
    global_snr,
    mixed,
    robust,
    standard,
)
from opnorm.claims.reductions import at, difference, gain, value, whole

# Of the analysis `evaluation`, where the experiment does not say otherwise.
ITERATIONS, RESTARTS = (10, 50, 200), 5


def attacks(context: Context) -> list[str]:
    """The longest ascent, AutoAttack, and all attacks together, as the column `attack` calls them."""
    options = context.analyses.get("evaluation", {})
    longest, restarts = options.get("iterations", ITERATIONS)[-1], options.get("restarts", RESTARTS)
    ascent = f"pga_{longest}x{restarts}" if restarts > 1 else f"pga_{longest}"
    return [ascent, *(["autoattack"] if options.get("autoattack", True) else []), "worst_case"]


def _all_together(context: Context) -> list[str]:
    return attacks(context)[-1:]


def _longest(context: Context) -> list[str]:
    """The longest ascent, where there is AutoAttack to compare it with."""
    ascent, *others = attacks(context)
    return [ascent] if "autoattack" in others else []


def ascents(context: Context) -> list[str]:
    """Each longer ascent, and the one with restarts, after the one that it goes on from."""
    options = context.analyses.get("evaluation", {})
    run = {f"pga_{count}" for count in options.get("iterations", ITERATIONS)} | {attacks(context)[0]}
    return [f"{stronger}{AFTER}{weaker}" for weaker, stronger in ladder(run)]


def black_box(context: Context) -> list[str]:
    """The black-box attack after all others of AutoAttack."""
    return [f"square{AFTER}fab_t"] if context.analyses.get("evaluation", {}).get("autoattack", True) else []


def _accuracy(of: Case) -> list[Measure]:
    return [Measure(Rows("evaluation", "correct", where(norm=of.norm, attack=of.detail), "epsilon"), at(of.epsilon))]


def _before_and_after(of: Case) -> list[Measure]:
    stronger, weaker = of.detail.split(AFTER)
    return [measure for attack in (weaker, stronger) for measure in _accuracy(replace(of, detail=attack))]


def checks(context: Context) -> list[str]:
    """Of the networks and the attacks on them, as the column `check` calls them."""
    options = context.analyses.get("sanity", {})
    longer = [f"more_iterations_{count}" for count in options.get("iterations", ITERATIONS)[1:]]
    alone = ["black_box"] if options.get("autoattack", True) else []
    return ["zero_gradients", "randomness", "probabilities", *longer, *alone]


def _passed(checks: str, check: str = "") -> Statistic:
    """The share of the checks of a name, or of the case's, that were passed; `checks` in words."""
    return Statistic(
        f"share of checks passed: {checks}",
        "sanity",
        lambda of: [Measure(Rows("sanity", "passed", where(check=check or of.detail)), whole)],
        value,
        checked=True,
    )


_UNDER_ATTACK = Statistic(
    "accuracy under {detail} at the training epsilon, {0} minus {1}", "evaluation", _accuracy, difference
)
_OF_EXPLANATIONS = replace(_UNDER_ATTACK, figure="evaluation_explanations")
_IN_LINF = replace(_UNDER_ATTACK, figure="evaluation_linf")
_OF_MIXTURES = replace(_UNDER_ATTACK, figure="evaluation_interpolation")
_GAINED = Statistic(
    "accuracy under the longest ascent minus that under AutoAttack, at the training epsilon",
    "evaluation",
    lambda of: [*_accuracy(of), *_accuracy(replace(of, detail="autoattack"))],
    difference,
)
_STEP = Statistic(
    "accuracy at the training epsilon under the weaker attack minus that under the stronger, of these samples: "
    "{detail}",
    "evaluation",
    _before_and_after,
    gain,
    checked=True,
)
# The groups whose networks are evaluated beside the main ones.
_BESIDE = ("explanations", "linf", "interpolation")
# All networks that are evaluated, each in the ball of its training, and where that is seen.
_EVALUATED = ((each(any_method), "evaluation"), *((each_of(group), f"evaluation_{group}") for group in _BESIDE))
_CHECKED = ((each(any_method), "sanity"), *((each_of(group), f"sanity_{group}") for group in _BESIDE))
_FALLING = _passed("accuracy does not rise with epsilon", check="monotone")
_CHANCE = _passed("accuracy at most that of guessing", check="large_epsilon")
_EACH_CHECK = _passed("{detail}")

CLAIMS = (
    Claim("attacked_equally_robust", "5.1", "{0} is as robust as {1} under {detail} too",
          detailed(compared(data_dependent, adversarial), attacks), _UNDER_ATTACK, SAME_ACCURACY),
    Claim("attacked_more_robust_than_standard", "5.1", "{0} is significantly more robust than {1} under {detail} too",
          detailed(compared(robust, standard), attacks), _UNDER_ATTACK, MORE_ACCURATE),
    Claim("attacked_global_snr_not_robust", "5.1",
          "{0} is not substantially more robust than {1} under {detail} either",
          detailed(compared(global_snr, standard), attacks), _UNDER_ATTACK, NOT_MORE_ACCURATE),
    Claim("attacked_mixtures_equally_robust", "5.3",
          "the mixture {0} is as robust as {1} under {detail} too",
          detailed(compared(mixed, adversarial, None), _all_together), _OF_MIXTURES, SAME_ACCURACY),
    Claim("attacked_explanations_less_robust", "4.3", "{0} protects less than {1} under {detail} too",
          detailed(compared(explained, data_dependent, None), _all_together), _OF_EXPLANATIONS, LESS_ACCURATE),
    Claim("attacked_explanations_less_robust_than_adversarial", "4.3", "{0} protects less than {1} under {detail} too",
          detailed(compared(explained, adversarial, None), _all_together), _OF_EXPLANATIONS, LESS_ACCURATE),
    Claim("attacked_linf_equally_robust", "5.3", "in the l-infinity ball, {0} is as robust as {1} under {detail} too",
          detailed(in_linf(data_dependent, adversarial), _all_together), _IN_LINF, SAME_ACCURACY),
    Claim("attacked_linf_more_robust_than_standard", "5.3",
          "in the l-infinity ball, {0} is significantly more robust than {1} under {detail} too",
          detailed(in_linf(robust, standard, MAIN), _all_together), _IN_LINF, MORE_ACCURATE),
    Claim("ascent_as_strong_as_autoattack", "evaluation",
          "AutoAttack finds hardly more than {detail} on {0}", detailed(each(any_method), _longest), _GAINED,
          NOT_MORE_ACCURATE),
    *(Claim("ascent_as_strong_as_autoattack", "evaluation",
            "AutoAttack finds hardly more than {detail} on {0}", detailed(each_of(group), _longest),
            replace(_GAINED, figure=f"evaluation_{group}"), NOT_MORE_ACCURATE) for group in _BESIDE),
    *(Claim("stronger_attack_finds_little", "evaluation",
            "{detail} finds hardly more on {0}", detailed(cases, ascents), replace(_STEP, figure=figure), LITTLE_GAINED)
      for cases, figure in _EVALUATED),
    *(Claim("black_box_finds_nothing_alone", "evaluation",
            "{detail} finds nothing more on {0}", detailed(cases, black_box), replace(_STEP, figure=figure),
            NOTHING_ALONE) for cases, figure in _EVALUATED),
    *(Claim("accuracy_falls_with_epsilon", "evaluation", "attacks on {0} succeed more often the larger the ball",
            cases, replace(_FALLING, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
    *(Claim("chance_at_large_epsilon", "evaluation",
            "in a ball that covers all images the accuracy of {0} is at most that of chance",
            cases, replace(_CHANCE, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
    *(Claim("attacks_can_be_believed", "evaluation", "attacks on {0} give no reason for doubt: {detail}",
            detailed(cases, checks), replace(_EACH_CHECK, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
)  # fmt: skip
