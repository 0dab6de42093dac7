"""Sec. 5.1: that the conclusions on robustness do not depend on the attack, and that the attacks can be believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opnorm.attack_names import AFTER, ladder
from opnorm.claims.cases import compared, detailed, each, each_of, in_linf
from opnorm.claims.claim import OWN, Case, Cases, Claim, Measure, Rows, Statistic, where
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
from opnorm.claims.reductions import at, difference, difference_in_phases, gain, value, whole
from opnorm.claims.verdict import Rule

# Of the analysis `evaluation`, where the experiment does not say otherwise.
ITERATIONS, RESTARTS = (10, 50, 200), 5


def attacks(context: Context) -> list[str]:
    """The longest ascent from several starts, AutoAttack, and all attacks together, as the column `attack` calls
    them."""
    return [*_restarted(context), *_autoattack(context), "worst_case"]


def longer_attacks(context: Context) -> list[str]:
    """The longest ascent from one start, where training attacks with fewer iterations."""
    longest, of_training = _iterations(context)[-1], max((method.iterations for method in context.methods), default=0)
    return [f"pga_{longest}"] if longest > of_training else []


def ascents(context: Context) -> list[str]:
    """Each longer ascent, and the one with restarts, after the one that it goes on from."""
    run = [*(f"pga_{count}" for count in _iterations(context)), *_restarted(context)]
    return [f"{stronger}{AFTER}{weaker}" for weaker, stronger in ladder(run)]


def black_box(context: Context) -> list[str]:
    """The black-box attack after all others of AutoAttack."""
    return [f"square{AFTER}fab_t"] if _autoattack(context) else []


def _over_longest_ascent(cases: Cases) -> Cases:
    """The cases, their attacks over the longest ascent from one start, which may have more samples."""
    return lambda context: [replace(of, over=f"pga_{_iterations(context)[-1]}") for of in cases(context)]


def _all_together(context: Context) -> list[str]:
    return attacks(context)[-1:]


def _longest(context: Context) -> list[str]:
    """The longest ascent, from all starts, where there is AutoAttack to compare it with."""
    ascent = [f"pga_{_iterations(context)[-1]}", *_restarted(context)][-1]
    return [ascent for _ in _autoattack(context)]


def _options(context: Context) -> Mapping[str, Any]:
    return context.analyses.get("evaluation", {})


def _iterations(context: Context) -> Sequence[int]:
    found: Sequence[int] = _options(context).get("iterations", ITERATIONS)
    return found


def _restarted(context: Context) -> list[str]:
    """The longest ascent from several starts, where there are several."""
    starts = _options(context).get("restarts", RESTARTS)
    return [f"pga_{_iterations(context)[-1]}x{starts}"] if starts > 1 else []


def _autoattack(context: Context) -> list[str]:
    """AutoAttack, where it is run."""
    return ["autoattack"] if _options(context).get("autoattack", True) else []


def _accuracy(of: Case) -> list[Measure]:
    return [Measure(Rows("evaluation", "correct", where(norm=of.norm, attack=of.detail), "epsilon"), at(of.epsilon))]


def _in_phases(of: Case) -> list[Measure]:
    """Of the default attack on all samples; of the same and of the longest ascent on those that this had; of it and of
    the case's attack on those that this had."""
    weaker = Measure(Rows("robustness", "correct", where(norm=of.norm), "epsilon"), at(of.epsilon))
    found = [weaker]
    for attack in filter(None, (of.over, of.detail)):
        (stronger,) = _accuracy(replace(of, detail=attack))
        found += [replace(measure, among=stronger.rows) for measure in (weaker, stronger)]
        weaker = stronger
    return found


def _before_and_after(of: Case) -> list[Measure]:
    """Under the weaker and the stronger of two attacks, on the samples that the stronger one was run on."""
    stronger, weaker = of.detail.split(AFTER)
    before, after = (measure for attack in (weaker, stronger) for measure in _accuracy(replace(of, detail=attack)))
    return [replace(measure, among=after.rows) for measure in (before, after)]


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
    "accuracy under {detail} at the training epsilon, {0} minus {1}: under the default attack on all samples, plus "
    "what longer ascents and {detail} change on those that each was run on",
    "evaluation",
    _in_phases,
    difference_in_phases,
)
_OF_EXPLANATIONS = replace(_UNDER_ATTACK, figure="evaluation_explanations")
_IN_LINF = replace(_UNDER_ATTACK, figure="evaluation_linf")
_OF_MIXTURES = replace(_UNDER_ATTACK, figure="evaluation_interpolation")
_GAINED = Statistic(
    "accuracy under the longest ascent minus that under AutoAttack, at the training epsilon",
    "evaluation",
    lambda of: _before_and_after(replace(of, detail=f"autoattack{AFTER}{of.detail}")),
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


def _under_attacks(
    name: str,
    section: str,
    statement: str,
    cases: Cases,
    statistic: Statistic,
    rule: Rule,
    *,
    beyond: Callable[[Context], list[str]] = _all_together,
) -> tuple[Claim, ...]:
    """What the paper says of longer attacks (Sec. 5.1), and the same of others, of which it says nothing."""
    words = f"{statement} under {{detail}} too"
    return (
        Claim(f"longer_attack_{name}", section, words, detailed(cases, longer_attacks), statistic, rule),
        Claim(f"attacked_{name}", OWN, words, _over_longest_ascent(detailed(cases, beyond)), statistic, rule),
    )


CLAIMS = (
    *_under_attacks("equally_robust", "5.1", "{0} is as robust as {1}",
                    compared(data_dependent, adversarial), _UNDER_ATTACK, SAME_ACCURACY, beyond=attacks),
    *_under_attacks("more_robust_than_standard", "5.1", "{0} is significantly more robust than {1}",
                    compared(robust, standard), _UNDER_ATTACK, MORE_ACCURATE, beyond=attacks),
    *_under_attacks("global_snr_not_robust", "5.1", "{0} is not substantially more robust than {1}",
                    compared(global_snr, standard), _UNDER_ATTACK, NOT_MORE_ACCURATE, beyond=attacks),
    *_under_attacks("mixtures_equally_robust", "5.3", "the mixture {0} is as robust as {1}",
                    compared(mixed, adversarial, None), _OF_MIXTURES, SAME_ACCURACY),
    *_under_attacks("explanations_less_robust", "4.3", "{0} protects less than {1}",
                    compared(explained, data_dependent, None), _OF_EXPLANATIONS, LESS_ACCURATE),
    *_under_attacks("explanations_less_robust_than_adversarial", "4.3", "{0} protects less than {1}",
                    compared(explained, adversarial, None), _OF_EXPLANATIONS, LESS_ACCURATE),
    *_under_attacks("linf_equally_robust", "5.3", "in the l-infinity ball, {0} is as robust as {1}",
                    in_linf(data_dependent, adversarial), _IN_LINF, SAME_ACCURACY),
    *_under_attacks("linf_more_robust_than_standard", "5.3",
                    "in the l-infinity ball, {0} is significantly more robust than {1}",
                    in_linf(robust, standard, MAIN), _IN_LINF, MORE_ACCURATE),
    Claim("ascent_as_strong_as_autoattack", OWN,
          "AutoAttack finds hardly more than {detail} on {0}", detailed(each(any_method), _longest), _GAINED,
          NOT_MORE_ACCURATE),
    *(Claim("ascent_as_strong_as_autoattack", OWN,
            "AutoAttack finds hardly more than {detail} on {0}", detailed(each_of(group), _longest),
            replace(_GAINED, figure=f"evaluation_{group}"), NOT_MORE_ACCURATE) for group in _BESIDE),
    *(Claim("stronger_attack_finds_little", OWN,
            "{detail} finds hardly more on {0}", detailed(cases, ascents), replace(_STEP, figure=figure), LITTLE_GAINED)
      for cases, figure in _EVALUATED),
    *(Claim("black_box_finds_nothing_alone", OWN,
            "{detail} finds nothing more on {0}", detailed(cases, black_box), replace(_STEP, figure=figure),
            NOTHING_ALONE) for cases, figure in _EVALUATED),
    *(Claim("accuracy_falls_with_epsilon", OWN, "attacks on {0} succeed more often the larger the ball",
            cases, replace(_FALLING, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
    *(Claim("chance_at_large_epsilon", OWN,
            "in a ball that covers all images the accuracy of {0} is at most that of chance",
            cases, replace(_CHANCE, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
    *(Claim("attacks_can_be_believed", OWN, "attacks on {0} give no reason for doubt: {detail}",
            detailed(cases, checks), replace(_EACH_CHECK, figure=figure), ALL_PASSED) for cases, figure in _CHECKED),
)  # fmt: skip
